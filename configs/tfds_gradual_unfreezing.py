"""A TensorFlow Datasets name as data, and one stage more in each phase (Howard & Ruder, 2018).

    tftransfer train --config=configs/tfds_gradual_unfreezing.py --workdir=runs/beans

The data set is prepared by TFDS on first use, which needs a network; a prepared folder does as
well: `--data=tfds:path/to/beans/0.1.0`. `beans` has 1,295 leaves, healthy or with one of two
diseases, and its own validation and test splits, which are kept.
"""

import tftransfer


def get_config():
    return tftransfer.config(data="tfds:beans", recipe="gradual_unfreezing")
