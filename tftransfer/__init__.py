"""Transfer learning for Keras 3 and TensorFlow.

Importing this package imports neither TensorFlow nor Keras; each name below is
loaded from its module when it is first used.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "Experiment": "tftransfer.ground.experiment",
    "Head": "tftransfer.ground.recipe",
    "Phase": "tftransfer.ground.recipe",
    "Recipe": "tftransfer.ground.recipe",
    "UserError": "tftransfer.ground.errors",
    "losses": "tftransfer.parts.losses",
    "recipes": "tftransfer.building.recipes",
    "register_method": "tftransfer.building.recipes",
    "register_recipe": "tftransfer.building.recipes",
    "register_backbone": "tftransfer.parts.backbones.registered",
    "compare": "tftransfer.top.api",
    "config": "tftransfer.building.config",
    "episodes": "tftransfer.top.api",
    "evaluate": "tftransfer.top.api",
    "export": "tftransfer.top.api",
    "from_waveforms": "tftransfer.parts.data.waveforms",
    "inspect": "tftransfer.top.api",
    "load": "tftransfer.top.api",
    "plan": "tftransfer.top.api",
    "predict": "tftransfer.top.api",
    "train": "tftransfer.top.api",
}
_MODULES = {"losses", "recipes"}

__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tftransfer' has no attribute {name!r}")
    from tftransfer.ground import imports

    with imports.counted():
        module = importlib.import_module(_HOME[name])
    value = module if name in _MODULES else getattr(module, name)
    globals()[name] = value  # over a submodule of the same name, which an import leaves here
    return value


def __dir__() -> list[str]:
    return __all__
