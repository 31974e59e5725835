"""A TF-Hub module as the backbone, frozen: the linear probe.

    tftransfer train --config=configs/hub_linear_probe.py --data=flower_photos --workdir=runs/hub

Any TF2 image module will do: a Kaggle or tfhub.dev handle, or the folder of a downloaded one
(`--backbone=path/to/module`). A module is a program, so `trust_code` must be said. Expect the
same accuracy as with the same network from Keras Applications: 0.89 for MobileNetV2 0.35 on the
flowers at its 224 px.
"""

import tftransfer


def get_config():
    return tftransfer.config(
        backbone="google/mobilenet-v2/tensorFlow2/035-224-feature-vector",
        trust_code=True,
        recipe="feature_extraction",
    )
