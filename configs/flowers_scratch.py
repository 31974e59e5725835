"""The bar that a transfer must pass: the flowers from random weights, everything trained.

    tftransfer train --config=configs/flowers_scratch.py --data=flower_photos --workdir=runs/scratch

Expect accuracy 0.75 after more than four times the time of `configs/flowers.py`, which reaches
0.93; with three epochs, by `--epochs=3`, 0.57.
"""

import tftransfer


def get_config():
    return tftransfer.config(
        backbone="mobilenet_v2", weights="none", image_size=160, recipe="scratch", epochs=20
    )
