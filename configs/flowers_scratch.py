"""The bar that a transfer must pass: the flowers from random weights, everything trained.

    tftransfer train --config=configs/flowers_scratch.py --data=flower_photos --workdir=runs/scratch

Expect accuracy TODO: far below `configs/flowers.py`, and ten times as slow.
"""

import tftransfer


def get_config():
    return tftransfer.config(
        backbone="mobilenet_v2", weights="none", image_size=160, recipe="scratch", epochs=20
    )
