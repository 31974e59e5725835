"""A run as the backbone of the next one: fine-tuning from its weights, with L2-SP.

    tftransfer train --config=run_as_source --backbone=runs/flowers --data=garden \\
        --workdir=runs/garden

`tftransfer demo` does this with handwritten digits, from 0 to 4 to 5 to 9.
"""

import tftransfer


def get_config():
    return tftransfer.config(
        backbone="runs/flowers", recipe={"name": "l2_sp", "strength": 0.01, "unfreeze": 2}
    )
