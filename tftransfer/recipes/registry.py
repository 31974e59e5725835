"""The named recipes, and the methods that are added to them.

A recipe is a function that returns a `Recipe`; a method is one that takes a `Recipe` and
returns it with losses, heads or phases added. Both take options by keyword, all with defaults.
Two names are filled in by the planner when a function takes them and the user does not give
them: `problem_type` (what the labels are) and `stages` (how many the backbone has).
"""

from __future__ import annotations

import inspect
import itertools
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.recipe import Phase, Recipe
from tftransfer.utils.errors import UserError, unknown_name
from tftransfer.utils.registry import Registry, parse_options

_PHASE_OPTIONS = {
    field.name: None for field in fields(Phase) if field.name not in ("name", "train", "losses")
}
# Of `RECIPE:option=value+METHOD`, not of a path with a plus in it.
_JOINED = re.compile(r"\+(?=[a-z_0-9]+(?:[:+]|$))")
# What a method is added to when it is named alone.
_BASE = "fine_tune"

RECIPES: Registry[Callable[..., Recipe]] = Registry("recipe")
METHODS: Registry[Callable[..., Recipe]] = Registry("method")


def register_recipe(function: Callable[..., Recipe]) -> Callable[..., Recipe]:
    """A decorator: the function's name becomes a name for `--recipe`.

    Args:
      function: takes its options by keyword; its `**phase` takes fields of `Phase`.
    """
    return RECIPES.register(function.__name__)(function)


def register_method(function: Callable[..., Recipe]) -> Callable[..., Recipe]:
    """A decorator: the function's name may stand after `+` in `--recipe`, or alone.

    Args:
      function: takes a `Recipe`, and its options by keyword.
    """
    return METHODS.register(function.__name__)(function)


def recipe_names() -> list[str]:
    """Every name that `--recipe` may begin with."""
    return sorted({*RECIPES, *METHODS})


def make_recipe(
    spec: Any, *, problem_type: ProblemType = ProblemType.SINGLE_LABEL, stages: int = 5
) -> Recipe:
    """A `Recipe` from itself, its name, or a mapping of `name` and options.

    Args:
      spec: a `Recipe`, `NAME`, `NAME:option=value,...`, several of these joined by `+`, or a
        mapping; options that are None are as if not given.
      problem_type: what the labels are.
      stages: how many the backbone has.

    Raises:
      UserError: no such recipe or option; the nearest names are given.
    """
    if isinstance(spec, Recipe):
        return spec
    context = {"problem_type": problem_type, "stages": stages}
    recipe: Recipe | None = None
    names = []
    for name, options in _parts(spec):
        make = _function(name, first=recipe is None)
        filled = _filled(name, make, options, context)
        recipe = make(**filled) if recipe is None else make(recipe, **filled)
        names.append(name)
    assert recipe is not None
    alone = names[1:] if names[0] == _BASE and len(names) == 2 else names
    return replace(recipe, name="+".join(alone))


def _parts(spec: Any) -> list[tuple[str, dict[str, Any]]]:
    """Name and options of a recipe and of what is added to it, in that order."""
    name, options = recipe_name_and_options(spec)
    if not isinstance(spec, str):
        return _handed_out(_with_base(name.split("+")), options)
    (first, own), *others = [parse_options(part) for part in _JOINED.split(spec)]
    return _handed_out(_with_base([first]), own) + others


def _with_base(names: list[str]) -> list[str]:
    """A method named alone is added to fine-tuning."""
    alone = names[0] in METHODS and names[0] not in RECIPES
    return [_BASE, *names] if alone else names


def _handed_out(names: list[str], options: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Each option with the last of the names that knows it."""
    known = {name: _own_options(name) for name in names}
    parts: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in names]
    for option, value in options.items():
        for name, mine in reversed(parts):
            if option in known[name]:
                mine[option] = value
                break
        else:
            every = [each for mine in known.values() for each in mine]
            raise unknown_name(f"option of recipe {names[-1]}", option, every)
    return parts


def _function(name: str, *, first: bool) -> Callable[..., Recipe]:
    if first:
        if name not in RECIPES:
            raise unknown_name("recipe", name, recipe_names())
        return RECIPES[name]
    return METHODS[name]


def _filled(
    name: str, make: Callable[..., Recipe], options: Mapping[str, Any], context: Mapping[str, Any]
) -> dict[str, Any]:
    known = _own_options(name)
    for option in options:
        if option not in known:
            raise unknown_name(f"option of recipe {name}", option, known)
    filled = {key: value for key, value in context.items() if key in known}
    for option, value in options.items():
        if value is not None:
            default = known[option] if known[option] is not None else getattr(Phase, option, None)
            filled[option] = _of_kind(f"Option {option} of recipe {name}", value, default)
    return filled


_KINDS = {int: "a whole number", float: "a number", str: "a word"}


def _of_kind(what: str, value: Any, default: Any) -> Any:
    """The value as the default's kind: a whole number stands for a tuple of one."""
    if isinstance(default, tuple):
        return tuple(value) if isinstance(value, (list, tuple)) else (value,)
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
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
        parts = [parse_options(part) for part in _JOINED.split(spec)]
        options = {key: value for _, mine in parts for key, value in mine.items()}
        return "+".join(name for name, _ in parts), options
    options = dict(spec)
    name = options.pop("name", None)
    if name is None:
        raise UserError("The recipe has no name.", f"Name one of: {', '.join(recipe_names())}.")
    return name, options


def without_method(spec: Any, name: str) -> Any:
    """A recipe's text or mapping, but for a method and the options that it alone knows."""
    text = isinstance(spec, str)
    first, *others = _JOINED.split(spec) if text else str(spec["name"]).split("+")
    if parse_options(first)[0] == name:
        mine = _own_options(name)
        pairs = [each for each in first.partition(":")[2].split(",") if each]
        kept = [each for each in pairs if each.partition("=")[0].strip() not in mine]
        first = f"{_BASE}{':' * bool(kept)}{','.join(kept)}"
    joined = "+".join([first, *(each for each in others if parse_options(each)[0] != name)])
    if text:
        return joined
    known = recipe_options(joined)
    gone = {option for option in _own_options(name) if option not in known}
    return {**{key: value for key, value in spec.items() if key not in gone}, "name": joined}


def recipe_options(name: str) -> dict[str, Any]:
    """Every option of a recipe with its default; None for what the recipe decides.

    Args:
      name: of a recipe, a method, or several joined by `+`.
    """
    options: dict[str, Any] = {}
    for each in _with_base(name.split("+")):
        options |= _own_options(each)
    return options


def _own_options(name: str) -> dict[str, Any]:
    if name not in RECIPES and name not in METHODS:
        raise unknown_name("recipe", name, recipe_names())
    make = RECIPES[name] if name in RECIPES else METHODS[name]
    options: dict[str, Any] = {}
    for parameter in inspect.signature(make).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            options = _PHASE_OPTIONS | options
        elif parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            options[parameter.name] = parameter.default
    return options


def with_budget(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe, its phases shortened or lengthened alike, to `epochs` in all; 0: as it is.

    Every phase keeps at least one epoch; those without steps have none to give or take.
    """
    trained = [phase for phase in recipe.phases if phase.has_steps]
    if not epochs or not trained:
        return recipe
    total = sum(phase.epochs for phase in trained)
    bounds, done = [0], 0
    for number, phase in enumerate(trained, 1):
        done += phase.epochs
        share = min(round(epochs * done / total), epochs - (len(trained) - number))
        bounds.append(max(bounds[-1] + 1, share))
    lengths = iter([end - start for start, end in itertools.pairwise(bounds)])
    phases = [
        replace(phase, epochs=next(lengths)) if phase.has_steps else phase
        for phase in recipe.phases
    ]
    return replace(recipe, phases=tuple(phases))
