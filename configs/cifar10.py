"""Small images: three stages are fine-tuned on CIFAR-10, enlarged to 96 px.

    tftransfer train --config=cifar10 --data=cifar10 --workdir=runs/cifar10

`cifar10` holds `train/` and `test/`, each with one folder per class. With 600 images per class
expect accuracy 0.86 after four minutes on two cores.
"""

import tftransfer


def get_config():
    return tftransfer.config(
        backbone="mobilenet_v2", image_size=96, recipe={"name": "fine_tune", "unfreeze": 3}
    )
