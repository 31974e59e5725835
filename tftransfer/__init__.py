"""Transfer learning for Keras 3 and TensorFlow.

Importing this package imports neither TensorFlow nor Keras; each name below is
loaded from its module when it is first used.
"""

from __future__ import annotations

import importlib
from typing import Any

from tftransfer.utils.console import console_handler

__version__ = "0.1.0"

_HOME = {
    "Experiment": "tftransfer.core.experiment",
    "Head": "tftransfer.core.recipe",
    "Phase": "tftransfer.core.recipe",
    "Recipe": "tftransfer.core.recipe",
    "UserError": "tftransfer.utils.errors",
    "losses": "tftransfer.losses",
    "recipes": "tftransfer.recipes",
    "register_method": "tftransfer.recipes",
    "register_recipe": "tftransfer.recipes",
    "register_backbone": "tftransfer.backbones.registry",
    "compare": "tftransfer.api",
    "config": "tftransfer.cli.config",
    "episodes": "tftransfer.api",
    "evaluate": "tftransfer.api",
    "export": "tftransfer.api",
    "from_waveforms": "tftransfer.data.in_memory",
    "inspect": "tftransfer.api",
    "load": "tftransfer.api",
    "plan": "tftransfer.api",
    "predict": "tftransfer.api",
    "set_verbosity": "tftransfer.utils.console",
    "train": "tftransfer.api",
}
_MODULES = {"losses", "recipes"}

__all__ = sorted([*_HOME, "__version__"])

console_handler()


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tftransfer' has no attribute {name!r}")
    from tftransfer.utils import import_time

    with import_time.measure():
        module = importlib.import_module(_HOME[name])
    value = module if name in _MODULES else getattr(module, name)
    globals()[name] = value  # over a submodule of the same name, which an import leaves here
    return value


def __dir__() -> list[str]:
    return __all__
