"""Many images, few labels: contrastive pretraining without labels (SimCLR), then the labels.

    tftransfer train --config=contrastive --data=labeled --unlabelled_data=images \\
        --workdir=runs/contrastive

`images` is any folder of images; without it the training images are used. `autoencoder`, `vae` and
`simsiam` pretrain in the same way; `scratch+fixmatch` learns from both at once.
"""

import tftransfer


def get_config():
    return tftransfer.config(
        backbone="small_cnn",
        weights="none",
        image_size=64,
        recipe={"name": "scratch+simclr", "epochs": 30, "pretrain_epochs": 50},
    )
