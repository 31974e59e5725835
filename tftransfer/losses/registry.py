"""Losses by name: registration, construction from text, and the checks before training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from tftransfer.core.loss import Loss, UnavailableLoss
from tftransfer.core.recipe import Recipe
from tftransfer.core.serialization import from_jsonable, register_serializable, to_jsonable
from tftransfer.core.typing import JSON
from tftransfer.utils.errors import UserError, unknown_name
from tftransfer.utils.registry import Registry, parse_options

LossClass = TypeVar("LossClass", bound=type[Loss])

_LOSSES: Registry[type[Loss]] = Registry("loss")


@dataclass(frozen=True, kw_only=True)
class LossInfo:
    """A registered loss.

    Attributes:
      name: Name of the class.
      summary: First line of its docstring.
      fields: Default value of each field.

    Example:
      >>> import tftransfer
      >>> info = next(each for each in tftransfer.list_losses() if each.name == "CrossEntropy")
      >>> info.fields["label_smoothing"]
      0.0
    """

    name: str
    summary: str
    fields: Mapping[str, JSON] = field(default_factory=dict)

    def __str__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.fields.items())
        return f"{self.name}({fields})\n  {self.summary}"


def register_loss(cls: LossClass) -> LossClass:
    """Registers a loss, so that recipes with it can be stored and it has a name; a decorator.

    Args:
      cls: A frozen dataclass that subclasses `Loss` and has a default for every field. Its
        fields must be values that JSON can hold: numbers, texts, booleans, and tuples of these.

    Raises:
      UserError: The class is no such dataclass, or its name is taken.

    Example:
      >>> import dataclasses
      >>> import tftransfer
      >>> from keras import ops
      >>> @tftransfer.register_loss
      ... @dataclasses.dataclass(frozen=True, kw_only=True)
      ... class FeatureNorm(tftransfer.Loss):
      ...     '''Mean squared length of the features.'''
      ...     features: str = "train.features"
      ...
      ...     def __call__(self, tensors):
      ...         return ops.mean(ops.sum(ops.square(tensors[self.features]), axis=-1))
      >>> tftransfer.losses.get("FeatureNorm:weight=0.1").weight
      0.1
    """
    _check_class(cls)
    _LOSSES.register(cls.__name__)(cls)
    return register_serializable(cls)


def _check_class(cls: type) -> None:
    name = getattr(cls, "__name__", repr(cls))
    if not (isinstance(cls, type) and issubclass(cls, Loss)):
        raise UserError(f"{name} is not a loss.", "Let the class inherit from tftransfer.Loss.")
    # A subclass that is not decorated itself has the fields of its base only.
    params = vars(cls).get("__dataclass_params__")
    if params is None or not params.frozen:
        raise UserError(
            f"The loss {name} is not a frozen dataclass.",
            "Put @dataclasses.dataclass(frozen=True, kw_only=True) below @register_loss.",
        )
    missing = dataclasses.MISSING
    required = [
        f.name for f in dataclasses.fields(cls) if f.default is f.default_factory is missing
    ]
    if required:
        raise UserError(
            f"The loss {name} has no default for {', '.join(required)}.",
            "Give every field a default.",
        )


def get(spec: Loss | str) -> Loss:
    """Returns a loss from itself or from text.

    Args:
      spec: A loss, `NAME`, or `NAME:field=value,field=value`.

    Raises:
      UserError: The loss or the field does not exist; the error names the nearest.

    Example:
      >>> import tftransfer
      >>> tftransfer.losses.get("CrossEntropy:label_smoothing=0.2").label_smoothing
      0.2
    """
    if isinstance(spec, Loss):
        return spec
    name, options = parse_options(spec)
    cls = _LOSSES[name]
    known = [each.name for each in dataclasses.fields(cls)]
    for option in options:
        if option not in known:
            raise unknown_name(f"field of {name}", option, known)
    return cls(**options)


def list_losses() -> list[LossInfo]:
    """Returns the registered losses in alphabetical order, with their fields and defaults.

    Example:
      >>> import tftransfer
      >>> print(next(each for each in tftransfer.list_losses() if each.name == "BSS"))
      BSS(features='train.features', count=1, weight=0.001, ramp=0.0)
        Penalty on the smallest singular values of the features (Chen et al., 2019).
    """
    return [_info(name, _LOSSES[name]) for name in sorted(_LOSSES, key=str.lower)]


def _info(name: str, cls: type[Loss]) -> LossInfo:
    default = cls()
    common = [each.name for each in dataclasses.fields(Loss)]
    own = [each.name for each in dataclasses.fields(cls) if each.name not in common]
    fields = {each: getattr(default, each) for each in (*own, *common)}
    lines = (cls.__doc__ or "").strip().splitlines()
    return LossInfo(name=name, summary=lines[0] if lines else "", fields=fields)


def check_losses(recipe: Recipe) -> None:
    """Checks that every loss of a recipe can be stored in the run's config.json and read again.

    Raises:
      UserError: A loss is not registered, or the value of a field is not stored unchanged.
    """
    for phase in recipe.phases:
        for loss in phase.losses:
            _check_loss(loss, f"phase {phase.name!r}")


def _check_loss(loss: Loss, where: str) -> None:
    if isinstance(loss, UnavailableLoss):
        raise loss.error()
    name = type(loss).__name__
    if name not in _LOSSES or _LOSSES[name] is not type(loss):
        raise UserError(
            f"The loss {name} of {where} is not registered.",
            f"Put @tftransfer.register_loss above the class {name}.",
        )
    for each in dataclasses.fields(loss):
        value = getattr(loss, each.name)
        if from_jsonable(to_jsonable(value)) != value:
            raise UserError(
                f"The field {each.name} of the loss {name} of {where} cannot be stored as JSON: it "
                f"is of type {type(value).__name__}.",
                "Use numbers, texts, booleans, and tuples of these.",
            )
