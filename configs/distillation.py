"""Distillation from CIFAR-10 to CIFAR-100, with the teacher's weights and its features.

    tftransfer train --config=distillation --workdir=runs/cifar100

`runs/cifar10` comes from `--config=cifar10 --data=tfds:cifar10`. The backbone starts from the
weights of that run, L2-SP keeps it close to them, and an additional head predicts the features of
that run. The classes differ, so that the student cannot learn from the teacher's scores; where the
teacher knows the student's classes, `scratch+distill:teacher=RUN` trains a small student on them.
"""

import tftransfer


def get_config():
    return tftransfer.config(
        data="tfds:cifar100",
        backbone="runs/cifar10",
        recipe={"name": "fine_tune+l2_sp+distill_features", "teacher": "runs/cifar10"},
    )
