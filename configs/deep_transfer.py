"""Deep transfer: three stages come from the source, the others are new (Yosinski et al., 2014).

    tftransfer train --config=deep_transfer --data=flower_photos --workdir=runs/deep

For data that share edges and textures with the source but not its objects. Expect accuracy 0.86 on
the flowers, between training from scratch and fine-tuning.
"""

import tftransfer


def get_config():
    return tftransfer.config(
        backbone="mobilenet_v2",
        image_size=160,
        recipe={"name": "deep_transfer", "keep": 3, "frozen": 2},
    )
