"""What a backbone is loaded with, and checks of the options in its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tftransfer.utils.cache_dir import user_cache_dir
from tftransfer.utils.errors import UserError, unknown_name

PRETRAINED = "pretrained"
NO_WEIGHTS = "none"
# Parameters of builders that the package fills in itself or has no use for.
_NOT_OPTIONS = (
    "image_size",
    "include_top",
    "weights",
    "input_tensor",
    "input_shape",
    "classes",
    "classifier_activation",
)


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """How to load a backbone, besides its name.

    Attributes:
      weights: `pretrained`, `none`, a path, or an https URL.
      image_size: Side of the input, in pixels; 0 for the backbone's default.
      seed: Seed of random weights.
      trust_code: Whether TF-Hub modules, which are programs, may run.
      cache: Folder for downloads; None for the user's cache folder.
      length: Seconds of audio or tokens of text that are read; 0 for the backbone's default.
      assets: Folder of a run's `Backbone.assets`, to build the backbone of that run again.
    """

    weights: str = PRETRAINED
    image_size: int = 0
    seed: int = 0
    trust_code: bool = False
    cache: Path | None = None
    length: float = 0.0
    assets: Path | None = None

    @property
    def cache_folder(self) -> Path:
        """The folder for downloads."""
        return self.cache or user_cache_dir()

    @property
    def assets_folder(self) -> Path | None:
        """The folder of assets where it exists."""
        return self.assets if self.assets is not None and self.assets.is_dir() else None


def option_defaults(function: Callable[..., object]) -> dict[str, object]:
    """Returns the options of a builder with their defaults, without what the package fills in."""
    parameters = inspect.signature(function).parameters.values()
    return {
        each.name: each.default
        for each in parameters
        if each.name not in _NOT_OPTIONS and each.kind is not inspect.Parameter.VAR_KEYWORD
    }


def check_options(
    base: str, function: Callable[..., object], options: Mapping[str, object]
) -> None:
    """Raises an error for an option that a builder does not have.

    Args:
      base: Name of the backbone, without options.
      function: The builder. One with `**kwargs` has any option.
      options: Names and values of the options.

    Raises:
      UserError: An unknown option, with the nearest names.
    """
    parameters = inspect.signature(function).parameters.values()
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters):
        return
    known = option_defaults(function)
    for option in options:
        if option not in known:
            raise unknown_name(f"option of backbone {base}", option, known)


def check_counts(base: str, options: Mapping[str, object], names: Iterable[str]) -> None:
    """Raises an error for an option that must be a positive whole number and is not.

    Args:
      base: Name of the backbone, without options.
      options: Names and values of the options.
      names: The options that count something.

    Raises:
      UserError: The option and its value.
    """
    for name in names:
        value = options.get(name, 1)
        if type(value) is not int or value < 1:
            raise UserError(
                f"--backbone={base}:{name}={value}: {value} is not a positive whole number.",
                f"Give one, or omit {name}.",
            )
