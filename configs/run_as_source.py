"""A run as the backbone of the next: what one task taught helps another, held by L2-SP.

    tftransfer train --config=configs/run_as_source.py --backbone=runs/flowers --data=garden \\
        --workdir=runs/garden

`tftransfer demo` does this with handwritten digits: 0 to 4 teach 5 to 9.
"""

import tftransfer


def get_config():
    return tftransfer.config(
        backbone="runs/flowers", recipe={"name": "l2_sp", "strength": 0.01, "unfreeze": 2}
    )
