"""The named recipes: each a function that returns a `Recipe`.

A recipe function takes options by keyword, all with defaults. Two names are filled
in by the planner when the function takes them and the user does not give them:
`target` (what the labels are) and `stages` (how many the backbone has).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from tftransfer.ground.errors import UserError, unknown_name
from tftransfer.ground.recipe import Head, Phase, Recipe
from tftransfer.ground.registry import Registry, parse_options
from tftransfer.parts.losses import L2SP, supervised

_PHASE_OPTIONS = {
    field.name: None for field in fields(Phase) if field.name not in ("name", "train", "losses")
}

RECIPES: Registry[Callable[..., Recipe]] = Registry("recipe")
_EXTENDS: dict[str, str] = {}


def register_recipe(
    function: Callable[..., Recipe] | None = None, *, extends: str = ""
) -> Callable[..., Any]:
    """A decorator: the function's name becomes a name for `--recipe`.

    Args:
      function: takes its options by keyword; its `**phase` takes fields of `Phase`.
      extends: the recipe that its `**options` are handed on to.
    """

    def enter(function: Callable[..., Recipe]) -> Callable[..., Recipe]:
        if extends:
            _EXTENDS[function.__name__] = extends
        return RECIPES.register(function.__name__)(function)

    return enter(function) if function else enter


def make_recipe(spec: Any, *, target: str = "single_label", stages: int = 5) -> Recipe:
    """A `Recipe` from itself, its name, or a mapping of `name` and options.

    Args:
      spec: a `Recipe`, `NAME`, `NAME:option=value,...`, or a mapping; options
        that are None are as if not given.
      target: what the labels are.
      stages: how many the backbone has.

    Raises:
      UserError: no such recipe or option; the nearest names are given.
    """
    if isinstance(spec, Recipe):
        return spec
    name, options = recipe_name_and_options(spec)
    known = recipe_options(name)
    for option in options:
        if option not in known:
            raise unknown_name(f"option of recipe {name}", option, known)
    context = {"target": target, "stages": stages}
    filled = {key: value for key, value in context.items() if key in known}
    for option, value in options.items():
        if value is not None:
            default = known[option] if known[option] is not None else getattr(Phase, option, None)
            filled[option] = _of_kind(f"Option {option} of recipe {name}", value, default)
    return RECIPES[name](**filled)


_KINDS = {int: "a whole number", float: "a number", str: "a word"}


def _of_kind(what: str, value: Any, default: Any) -> Any:
    """The value as the default's kind: a whole number stands for a tuple of one."""
    if isinstance(default, tuple):
        return tuple(value) if isinstance(value, (list, tuple)) else (value,)
    kinds: dict[type, tuple[type, ...]] = {int: (int,), float: (int, float), str: (str,)}
    wanted = kinds.get(type(default))
    if wanted and (not isinstance(value, wanted) or isinstance(value, bool)):
        raise UserError(
            f"{what} is {value!r}.", f"Give {_KINDS[type(default)]}, such as {default!r}."
        )
    return value


def recipe_name_and_options(spec: Any) -> tuple[str, dict[str, Any]]:
    """Parts `NAME:option=value,...`, or a mapping with the key `name`."""
    if isinstance(spec, str):
        return parse_options(spec)
    options = dict(spec)
    name = options.pop("name", None)
    if name is None:
        raise UserError("The recipe has no name.", f"Name one of: {', '.join(sorted(RECIPES))}.")
    return name, options


def recipe_options(name: str) -> dict[str, Any]:
    """Every option of a recipe with its default; None for what the recipe decides."""
    options: dict[str, Any] = {}
    for parameter in inspect.signature(RECIPES[name]).parameters.values():
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            options[parameter.name] = parameter.default
        elif name in _EXTENDS:
            taken = ("name", "extra_losses")  # by the recipe that extends the other
            inner = recipe_options(_EXTENDS[name])
            options = {k: v for k, v in inner.items() if k not in taken} | options
        else:
            options = _PHASE_OPTIONS | options
    return options


def with_budget(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe, its phases shortened or lengthened alike, to `epochs` in all; 0: as it is.

    Every phase keeps at least one epoch.
    """
    if not epochs:
        return recipe
    total = sum(phase.epochs for phase in recipe.phases)
    bounds, done = [0], 0
    for number, phase in enumerate(recipe.phases, 1):
        done += phase.epochs
        share = min(round(epochs * done / total), epochs - (len(recipe.phases) - number))
        bounds.append(max(bounds[-1] + 1, share))
    phases = [
        replace(phase, epochs=end - start)
        for phase, start, end in zip(recipe.phases, bounds, bounds[1:])
    ]
    return replace(recipe, phases=tuple(phases))


@register_recipe
def scratch(
    *,
    target: str = "single_label",
    epochs: int = 30,
    learning_rate: float = 1e-3,
    label_smoothing: float = 0.1,
    class_weight: str = "none",
    augment: str = "crop",
    **phase: Any,
) -> Recipe:
    """Everything from random weights: the bar that a transfer must pass."""
    loss = supervised(target, label_smoothing=label_smoothing, class_weight=class_weight)
    everything = {"stage*": 1.0, "head": 1.0}
    defaults = {"reset": tuple(everything), "batch_norm": "train", "patience": 0}
    only = Phase(
        name="scratch", train=everything, losses=(loss,), epochs=epochs,
        learning_rate=learning_rate, augment=augment, **{**defaults, **phase},
    )  # fmt: skip
    return Recipe(name="scratch", phases=(only,))


@register_recipe
def feature_extraction(
    *,
    target: str = "single_label",
    epochs: int = 30,
    learning_rate: float = 3e-4,
    label_smoothing: float = 0.1,
    class_weight: str = "none",
    hidden: tuple[int, ...] = (),
    dropout: float = 0.3,
    **phase: Any,
) -> Recipe:
    """The linear probe: only the head learns, on features computed once."""
    loss = supervised(target, label_smoothing=label_smoothing, class_weight=class_weight)
    return Recipe(
        name="feature_extraction",
        heads=(Head(hidden=tuple(hidden), dropout=dropout),),
        phases=(_head_phase(loss, epochs, learning_rate, **phase),),
    )


@register_recipe
def fine_tune(
    *,
    target: str = "single_label",
    stages: int | None = None,
    unfreeze: int = 2,
    decay: float = 0.3,
    epochs: int = 10,
    head_epochs: int = 10,
    learning_rate: float = 3e-4,
    head_learning_rate: float = 1e-3,
    label_smoothing: float = 0.1,
    class_weight: str = "none",
    augment: str = "crop",
    dropout: float = 0.0,
    extra_losses: tuple[Any, ...] = (),
    name: str = "fine_tune",
    **phase: Any,
) -> Recipe:
    """First the head, then the head and the top stages at rates that fall with depth.

    Args:
      target: what the labels are.
      stages: how many the backbone has; bounds `unfreeze`.
      unfreeze: how many stages train, from the top.
      decay: each stage's rate relative to the one above it; the top stage has the head's.
      epochs: of the second phase.
      head_epochs: of the first phase.
      learning_rate: peak, of the head and the top stage in the second phase.
      head_learning_rate: peak, of the first phase.
      label_smoothing: of both phases.
      class_weight: of both phases.
      augment: of both phases.
      dropout: before the head's output.
      extra_losses: added in the second phase.
      name: the recipe's name.
      **phase: further fields of the second `Phase`.
    """
    loss = supervised(target, label_smoothing=label_smoothing, class_weight=class_weight)
    depth = min(unfreeze, stages) if stages else unfreeze
    rates = {"head": 1.0, **{f"stage-{k}": decay ** (k - 1) for k in range(1, depth + 1)}}
    tune = Phase(
        name="tune", train=rates, losses=(loss, *extra_losses), epochs=epochs,
        learning_rate=learning_rate, augment=augment, **phase,
    )  # fmt: skip
    head = _head_phase(loss, head_epochs, head_learning_rate, augment=augment)
    return Recipe(name=name, heads=(Head(dropout=dropout),), phases=(head, tune))


@register_recipe
def gradual_unfreezing(
    *,
    target: str = "single_label",
    stages: int | None = None,
    unfreeze: int = 3,
    decay: float = 0.3,
    epochs: int = 4,
    head_epochs: int = 10,
    learning_rate: float = 3e-4,
    head_learning_rate: float = 1e-3,
    label_smoothing: float = 0.1,
    class_weight: str = "none",
    augment: str = "crop",
    **phase: Any,
) -> Recipe:
    """The head, then one stage more in each phase, from the top (Howard & Ruder, 2018)."""
    loss = supervised(target, label_smoothing=label_smoothing, class_weight=class_weight)
    depth = min(unfreeze, stages) if stages else unfreeze
    phases = [_head_phase(loss, head_epochs, head_learning_rate, augment=augment)]
    for lowest in range(1, depth + 1):
        rates = {"head": 1.0, **{f"stage-{k}": decay ** (k - 1) for k in range(1, lowest + 1)}}
        phases.append(
            Phase(
                name=f"unfreeze{lowest}",
                train=rates,
                losses=(loss,),
                epochs=epochs,
                learning_rate=learning_rate,
                augment=augment,
                **phase,
            )
        )
    return Recipe(name="gradual_unfreezing", phases=tuple(phases))


@register_recipe
def deep_transfer(
    *,
    target: str = "single_label",
    stages: int = 5,
    keep: int = 3,
    frozen: int = 2,
    epochs: int = 20,
    learning_rate: float = 1e-3,
    source_rate: float = 0.1,
    label_smoothing: float = 0.1,
    class_weight: str = "none",
    augment: str = "crop",
    **phase: Any,
) -> Recipe:
    """The first `keep` stages from the source, the rest new (Yosinski et al., 2014).

    Of the kept stages the first `frozen` stay as they are; the others train at `source_rate`.
    """
    keep, frozen = min(keep, stages), min(frozen, keep, stages)
    new = [f"stage{k}" for k in range(keep + 1, stages + 1)]
    rates = {f"stage{k}": source_rate for k in range(frozen + 1, keep + 1)}
    rates |= dict.fromkeys([*new, "head"], 1.0)
    loss = supervised(target, label_smoothing=label_smoothing, class_weight=class_weight)
    only = Phase(
        name="deep_transfer", train=rates, losses=(loss,), epochs=epochs,
        learning_rate=learning_rate, augment=augment,
        **{"reset": (*new, "head"), "batch_norm": "train", **phase},
    )  # fmt: skip
    return Recipe(name="deep_transfer", phases=(only,))


@register_recipe(extends="fine_tune")
def l2_sp(*, strength: float = 0.01, **options: Any) -> Recipe:
    """Fine-tuning held to the source's weights by L2-SP (Li et al., 2018).

    Args:
      strength: weight of the penalty, the paper's alpha.
      **options: as of `fine_tune`.
    """
    return fine_tune(name="l2_sp", extra_losses=(L2SP(weight=strength),), **options)


def _head_phase(loss: Any, epochs: int, learning_rate: float, **phase: Any) -> Phase:
    return Phase(
        name="head", train={"head": 1.0}, losses=(loss,), epochs=epochs,
        learning_rate=learning_rate, **phase,
    )  # fmt: skip
