"""CIFAR-10 teaches CIFAR-100, by its weights and by what its features say.

    tftransfer train --config=configs/distillation.py --workdir=runs/cifar100

`runs/cifar10` comes from configs/cifar10.py with `--data=tfds:cifar10`. The backbone begins with
the weights of that run and is held to them by L2-SP; a head of
its own tells the features of that run. The classes differ, so scores cannot be taught; where the
teacher knows the student's classes, `scratch+distill:teacher=RUN` teaches them to a small student.
"""

import tftransfer


def get_config():
    return tftransfer.config(
        data="tfds:cifar100",
        backbone="runs/cifar10",
        recipe={"name": "fine_tune+l2_sp+distill_features", "teacher": "runs/cifar10"},
    )
