"""What `--recipe` holds, parsed once: a recipe and the methods added to it, with their options."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.recipe import Recipe
from tftransfer.recipes.registry import (
    BASE_RECIPE,
    CONTEXT_OPTIONS,
    METHODS,
    RECIPES,
    function_of,
    options_of,
    recipe_names,
    with_base,
)
from tftransfer.utils.errors import UserError, unknown_name
from tftransfer.utils.registry import parse_options

# A plus in front of a method's name separates; one inside a path does not.
_SEPARATOR = re.compile(r"\+(?=[a-z_0-9]+(?:[:+]|$))")


@dataclass(frozen=True, kw_only=True)
class RecipePart:
    """A recipe or a method, and the options given for it.

    Attributes:
      name: Name of the recipe or method.
      options: Option name to value, of the types that the function takes.
    """

    name: str
    options: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        options = ",".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.name}:{options}" if options else self.name


@dataclass(frozen=True, kw_only=True)
class RecipeSpec:
    """A recipe by name, with methods and options; or a ready `Recipe`.

    Attributes:
      parts: The recipe, then the methods in the order in which they are added.
      recipe: A `Recipe` that was given instead of a name.
    """

    parts: tuple[RecipePart, ...] = ()
    recipe: Recipe | None = None

    @property
    def name(self) -> str:
        """Names of the parts, joined by `+`; without the base recipe for a method alone."""
        if self.recipe:
            return self.recipe.name
        names = [part.name for part in self.parts]
        alone = names[0] == BASE_RECIPE and len(names) == 2
        return "+".join(names[1:] if alone else names)

    def __str__(self) -> str:
        return self.name if self.recipe else "+".join(map(str, self.parts))

    def build(
        self, *, problem_type: ProblemType = ProblemType.SINGLE_LABEL, stages: int = 5
    ) -> Recipe:
        """Returns the `Recipe`.

        Args:
          problem_type: Problem type of the labels, a `ProblemType`.
          stages: Number of stages of the backbone.

        Raises:
          UserError: An option has a value that the recipe does not take.
        """
        if self.recipe:
            return self.recipe
        context = {"problem_type": problem_type, "stages": stages}
        recipe: Recipe | None = None
        for part in self.parts:
            known = options_of(part.name)
            filled = {key: value for key, value in context.items() if key in known}
            arguments = () if recipe is None else (recipe,)
            recipe = function_of(part.name)(*arguments, **{**filled, **part.options})
        assert recipe is not None
        return replace(recipe, name=self.name)

    def without(self, method: str) -> RecipeSpec:
        """Returns the spec without a method and its options; a ready recipe stays as it is."""
        return replace(self, parts=tuple(part for part in self.parts if part.name != method))

    def to_mapping(self) -> dict[str, object]:
        """Returns `name` and the given options, such that `parse_recipe` returns the same spec.

        An option that a later part takes too is in a mapping under its own part's name.
        """
        found: dict[str, object] = {"name": self.name}
        for number, part in enumerate(self.parts):
            later = {name for other in self.parts[number + 1 :] for name in options_of(other.name)}
            own = {key: value for key, value in part.options.items() if key in later}
            found |= {key: value for key, value in part.options.items() if key not in later}
            found |= {part.name: own} if own else {}
        return found


RecipeLike: TypeAlias = Recipe | RecipeSpec | str | Mapping[str, object]


def parse_recipe(spec: RecipeLike) -> RecipeSpec:
    """Parses a recipe and checks the names of its parts and options, and the options' types.

    Args:
      spec: A `Recipe`, `NAME`, `NAME:option=value,...`, several of these joined by `+`, or a
        mapping of `name` and options. In a mapping, an option belongs to the last part that takes
        it, unless it is in a mapping under the part's name; an option that is None counts as not
        given.

    Raises:
      UserError: There is no such recipe, method or option; the nearest names are given.
    """
    if isinstance(spec, RecipeSpec):
        return spec
    if isinstance(spec, Recipe):
        return RecipeSpec(recipe=spec)
    parts = _parts_of_text(spec) if isinstance(spec, str) else _parts_of_mapping(spec)
    return RecipeSpec(parts=tuple(_checked(part) for part in parts))


def make_recipe(
    spec: RecipeLike, *, problem_type: ProblemType = ProblemType.SINGLE_LABEL, stages: int = 5
) -> Recipe:
    """Returns the `Recipe` of a name with options.

    Args:
      spec: A recipe as `parse_recipe` takes it.
      problem_type: Problem type of the labels, a `ProblemType`.
      stages: Number of stages of the backbone.

    Raises:
      UserError: There is no such recipe, method or option; the nearest names are given.

    Example:
      >>> from tftransfer.recipes import make_recipe
      >>> recipe = make_recipe("fine_tune:unfreeze=1,epochs=4+l2_sp")
      >>> recipe.name, recipe.phases[1].epochs, recipe.phases[1].train
      ('l2_sp', 4, {'head': 1.0, 'stage-1': 1.0})
    """
    return parse_recipe(spec).build(problem_type=problem_type, stages=stages)


def with_option(spec: RecipeLike, option: str, value: object) -> str:
    """Returns the text of a recipe with an option set: where it is given, else in the first part.

    Args:
      spec: A recipe as `parse_recipe` takes it, but for a `Recipe`.
      option: Name of the option.
      value: Its value.

    Raises:
      UserError: No part of the recipe takes the option.

    Example:
      >>> with_option("fine_tune:unfreeze=2+l2_sp", "augment", "shift")
      'fine_tune:unfreeze=2,augment=shift+l2_sp'
    """
    parts = parse_recipe(spec).parts
    given = [part for part in parts if option in part.options]
    taking = given or [part for part in parts if option in options_of(part.name)][:1]
    if not taking:
        raise unknown_option(str(spec), option, ())
    changed = [
        _checked(replace(part, options={**part.options, option: value}))
        if any(part is each for each in taking)
        else part
        for part in parts
    ]
    return str(RecipeSpec(parts=tuple(changed)))


def _parts_of_text(text: str) -> list[RecipePart]:
    (first, options), *others = [parse_options(part) for part in _SEPARATOR.split(text)]
    names = with_base([first])
    _check_names([*names, *(name for name, _ in others)])
    added = [RecipePart(name=name, options=mine) for name, mine in others]
    return [*_assigned(names, options), *added]


def _parts_of_mapping(mapping: Mapping[str, object]) -> list[RecipePart]:
    try:
        options = dict(mapping)
    except (TypeError, ValueError):
        raise UserError(
            f"The recipe is {mapping!r}.", "Give a name, a mapping with a name, or a Recipe."
        ) from None
    name = options.pop("name", None)
    if name is None:
        raise UserError("The recipe has no name.", f"Name one of: {', '.join(recipe_names())}.")
    names = with_base(str(name).split("+"))
    _check_names(names)
    own = {name: options.pop(name) for name in names if isinstance(options.get(name), Mapping)}
    return [
        replace(part, options={**part.options, **dict(own.get(part.name, {}))})  # type: ignore[call-overload]
        for part in _assigned(names, options)
    ]


def _check_names(names: list[str]) -> None:
    if names[0] not in RECIPES:
        raise unknown_name("recipe", names[0], recipe_names())
    for name in names[1:]:
        if name not in METHODS:
            raise unknown_name("method", name, METHODS)


def _assigned(names: list[str], options: Mapping[str, object]) -> list[RecipePart]:
    """Returns the parts, each option assigned to the last part that takes it."""
    known = {name: options_of(name) for name in names}
    assigned: dict[str, dict[str, object]] = {name: {} for name in names}
    for option, value in options.items():
        owner = next((name for name in reversed(names) if option in known[name]), None)
        if owner is None:
            raise unknown_option(
                names[-1], option, (each for mine in known.values() for each in mine)
            )
        assigned[owner][option] = value
    return [RecipePart(name=name, options=assigned[name]) for name in names]


def _checked(part: RecipePart) -> RecipePart:
    known = options_of(part.name)
    for name in part.options:
        if name not in known:
            raise unknown_option(part.name, name, known)
    given = {key: value for key, value in part.options.items() if value is not None}
    return replace(
        part, options={key: known[key].checked(value, part.name) for key, value in given.items()}
    )


def unknown_option(recipe: str, option: str, known: Iterable[str]) -> UserError:
    """Returns the error for an option that a recipe does not take.

    Args:
      recipe: Name of the recipe or method.
      option: Name of the option.
      known: Names of the options that it takes.
    """
    shown = [name for name in known if name not in CONTEXT_OPTIONS]
    return unknown_name(f"option of recipe {recipe}", option, shown)
