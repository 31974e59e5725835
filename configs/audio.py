"""Audio: a logistic head on the frozen features of YAMNet, solved in closed form.

    tftransfer train --config=audio --data=esc10 --workdir=runs/sounds

YAMNet's weights are downloaded once. Without a network, `--weights=` takes the file yamnet.h5 or
the folder of its SavedModel. On ESC-10, with all of folds 1 and 2, expect accuracy 0.92 on fold 3.
The best layer depends on the sounds: `tftransfer inspect --data=DIR --backbone=yamnet` compares the
layers, and `--backbone=yamnet:layer=stage8` selects one.
"""

import tftransfer


def get_config():
    return tftransfer.config(backbone="yamnet", recipe={"name": "few_shot", "solve": "logistic"})
