"""Transfer learning for Keras 3 and TensorFlow.

Importing this package imports neither TensorFlow nor Keras; each name below is loaded from its
module when it is first used.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tftransfer.utils.console import console_handler, quiet_stderr

if TYPE_CHECKING:
    from tftransfer import losses, recipes
    from tftransfer.api import (
        compare,
        episodes,
        evaluate,
        export,
        inspect,
        load,
        plan,
        predict,
        report,
        train,
    )
    from tftransfer.backbones.listing import BackboneInfo, list_backbones
    from tftransfer.backbones.registry import register_backbone
    from tftransfer.cli.config import config
    from tftransfer.commands.comparison import Comparison
    from tftransfer.commands.episodes import EpisodeResults
    from tftransfer.core.experiment import Experiment
    from tftransfer.core.loss import Loss
    from tftransfer.core.problem_types import ProblemType
    from tftransfer.core.recipe import Head, Phase, Recipe
    from tftransfer.data.examples import Examples
    from tftransfer.losses.registry import LossInfo, list_losses, register_loss
    from tftransfer.planning.plan import Plan
    from tftransfer.preprocessing.augmentations import AugmentationInfo, list_augmentations
    from tftransfer.readers.in_memory import from_waveforms
    from tftransfer.recipes import (
        list_methods,
        list_recipes,
        recipe_help,
        register_method,
        register_recipe,
    )
    from tftransfer.recipes.describe import OptionInfo, RecipeInfo
    from tftransfer.runs.evaluation import Evaluation
    from tftransfer.runs.predictions import Prediction
    from tftransfer.runs.run import Run
    from tftransfer.serving.saved_model import ExportReport
    from tftransfer.utils.console import set_verbosity
    from tftransfer.utils.errors import UserError

__version__ = "0.1.0"

__all__ = [
    "AugmentationInfo",
    "BackboneInfo",
    "Comparison",
    "EpisodeResults",
    "Evaluation",
    "Examples",
    "Experiment",
    "ExportReport",
    "Head",
    "Loss",
    "LossInfo",
    "OptionInfo",
    "Phase",
    "Plan",
    "Prediction",
    "ProblemType",
    "Recipe",
    "RecipeInfo",
    "Run",
    "UserError",
    "__version__",
    "compare",
    "config",
    "episodes",
    "evaluate",
    "export",
    "from_waveforms",
    "inspect",
    "list_augmentations",
    "list_backbones",
    "list_losses",
    "list_methods",
    "list_recipes",
    "load",
    "losses",
    "plan",
    "predict",
    "recipe_help",
    "recipes",
    "register_backbone",
    "register_loss",
    "register_method",
    "register_recipe",
    "report",
    "set_verbosity",
    "train",
]

# Where each name is loaded from: the same as in the block for type checkers.
_MODULES = {
    "tftransfer.api": (
        "compare",
        "episodes",
        "evaluate",
        "export",
        "inspect",
        "load",
        "plan",
        "predict",
        "report",
        "train",
    ),
    "tftransfer.backbones.listing": (
        "BackboneInfo",
        "list_backbones",
    ),
    "tftransfer.backbones.registry": ("register_backbone",),
    "tftransfer.cli.config": ("config",),
    "tftransfer.commands.comparison": ("Comparison",),
    "tftransfer.commands.episodes": ("EpisodeResults",),
    "tftransfer.core.experiment": ("Experiment",),
    "tftransfer.core.loss": ("Loss",),
    "tftransfer.core.problem_types": ("ProblemType",),
    "tftransfer.core.recipe": (
        "Head",
        "Phase",
        "Recipe",
    ),
    "tftransfer.data.examples": ("Examples",),
    "tftransfer.readers.in_memory": ("from_waveforms",),
    "tftransfer.losses.registry": (
        "LossInfo",
        "list_losses",
        "register_loss",
    ),
    "tftransfer.planning.plan": ("Plan",),
    "tftransfer.preprocessing.augmentations": (
        "AugmentationInfo",
        "list_augmentations",
    ),
    "tftransfer.recipes": (
        "list_methods",
        "list_recipes",
        "recipe_help",
        "register_method",
        "register_recipe",
    ),
    "tftransfer.recipes.describe": (
        "OptionInfo",
        "RecipeInfo",
    ),
    "tftransfer.runs.evaluation": ("Evaluation",),
    "tftransfer.runs.predictions": ("Prediction",),
    "tftransfer.runs.run": ("Run",),
    "tftransfer.serving.saved_model": ("ExportReport",),
    "tftransfer.utils.console": ("set_verbosity",),
    "tftransfer.utils.errors": ("UserError",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}
_SUBMODULES = ("losses", "recipes")

console_handler()


@contextlib.contextmanager
def _quiet_tensorflow() -> Iterator[None]:
    """Keeps the messages of TensorFlow's C++ libraries off stderr, if the block imports them."""
    if "tensorflow" in sys.modules or sys.stderr is None:
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from tftransfer.utils.progress import waiting

    quiet = quiet_stderr()  # some messages are written before TensorFlow reads the level
    with quiet, waiting("importing TensorFlow", log=False):
        yield


if not TYPE_CHECKING:  # a type checker would accept any attribute

    def __getattr__(name: str) -> object:
        if name not in _MODULE_OF and name not in _SUBMODULES:
            raise AttributeError(f"module 'tftransfer' has no attribute {name!r}")
        from tftransfer.utils import import_time

        with import_time.measure(), _quiet_tensorflow():
            if name in _SUBMODULES:
                return importlib.import_module(f"tftransfer.{name}")
            value: object = getattr(importlib.import_module(_MODULE_OF[name]), name)
        globals()[name] = value  # instead of a submodule of the same name
        return value


def __dir__() -> list[str]:
    return __all__
