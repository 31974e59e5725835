"""Fine-tuning on photographs: 2,934 flowers of five kinds, the usual first data set.

    tftransfer train --config=configs/flowers.py --data=flower_photos --workdir=runs/flowers

Expect accuracy TODO (MobileNetV2, 160 px) after some two minutes on two cores; the linear probe
gives TODO, and training from random weights TODO.
"""

import tftransfer


def get_config():
    return tftransfer.config(backbone="mobilenet_v2", image_size=160, recipe="fine_tune")
