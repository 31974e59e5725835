"""Gradual unfreezing on a TensorFlow Dataset: each phase trains one more stage (ULMFiT, 2018).

    tftransfer train --config=tfds_gradual_unfreezing --workdir=runs/beans

TFDS prepares the data set on first use, which needs a network; a prepared folder also works:
`--data=tfds:path/to/beans/0.1.0`. `beans` has 1,295 leaves, healthy or with one of two diseases,
and its own validation and test splits, which are used.
"""

import tftransfer


def get_config():
    return tftransfer.config(data="tfds:beans", recipe="gradual_unfreezing")
