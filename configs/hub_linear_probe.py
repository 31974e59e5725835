"""A linear probe on the frozen features of a TF-Hub module.

    tftransfer train --config=hub_linear_probe --data=flower_photos --workdir=runs/hub

Any TF2 module for images works: a handle of Kaggle or tfhub.dev, or the folder of a downloaded one
(`--backbone=path/to/module`). A module can run any code, so that `trust_code` must be set. Expect
the same accuracy as with the same network from Keras Applications: 0.89 for MobileNetV2 0.35 on the
flowers at its 224 px.
"""

import tftransfer


def get_config():
    return tftransfer.config(
        backbone="google/mobilenet-v2/tensorFlow2/035-224-feature-vector",
        trust_code=True,
        recipe="feature_extraction",
    )
