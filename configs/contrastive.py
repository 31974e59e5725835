"""Many pictures, few labels: first the pictures teach themselves (SimCLR), then the labels.

    tftransfer train --config=configs/contrastive.py --data=labelled --unlabelled_data=pictures \\
        --workdir=runs/contrastive

`pictures` is any folder of pictures; without it the training pictures serve. `autoencoder`, `vae`
and `simsiam` go first in the same way; `scratch+fixmatch` uses both at once.
"""

import tftransfer


def get_config():
    return tftransfer.config(
        backbone="small_cnn",
        weights="none",
        image_size=64,
        recipe={"name": "scratch+simclr", "epochs": 30, "pretrain_epochs": 50},
    )
