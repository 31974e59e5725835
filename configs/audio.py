"""Sounds: YAMNet frozen, and a linear head on what it hears, solved and not trained by steps.

    tftransfer train --config=configs/audio.py --data=esc10 --workdir=runs/sounds

YAMNet's weights are fetched once; without a network give `--weights=` yamnet.h5 or the folder of
its SavedModel. On ESC-10, with all of folds 1 and 2, expect 0.92 on fold 3. Which layer transfers
best is another for other sounds: `tftransfer inspect --data=DIR --backbone=yamnet` compares them,
and `--backbone=yamnet:layer=stage8` takes one.
"""

import tftransfer


def get_config():
    return tftransfer.config(backbone="yamnet", recipe={"name": "few_shot", "solve": "logistic"})
