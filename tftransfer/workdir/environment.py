"""The versions, threads and devices that a run's results depend on."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any


def environment() -> dict[str, Any]:
    """Returns versions, threads and devices, as far as results depend on them."""
    import keras
    import numpy
    import tensorflow as tf

    from tftransfer import __version__

    return {
        "tftransfer": __version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": numpy.__version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "machine": f"{platform.machine()} {_processor_name()}".strip(),
        "cpus": os.cpu_count(),
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
        "deterministic": os.environ.get("TF_DETERMINISTIC_OPS", ""),
        "devices": [device.name for device in tf.config.list_logical_devices()],
    }


def _processor_name() -> str:
    """Returns the model of the processor: kernels are selected by it and round differently."""
    with contextlib.suppress(OSError):
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        if found:
            return found[1]
    return platform.processor()
