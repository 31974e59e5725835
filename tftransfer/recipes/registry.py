"""Registries of recipes and of the methods that can be added to them.

A recipe is a function that returns a `Recipe`; a method is a function that takes a `Recipe` and
returns it with losses, heads or phases added. Both take their options by keyword, each with a
default. The planner fills in two options that a function may take: `problem_type` (of the labels)
and `stages` (number of stages of the backbone).
"""

from __future__ import annotations

import inspect
import os
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields

from tftransfer.core.recipe import Phase, Recipe
from tftransfer.utils.errors import UserError, unknown_name
from tftransfer.utils.registry import Registry

RecipeFunction = Callable[..., Recipe]

# A method that is named alone is added to this recipe.
BASE_RECIPE = "fine_tune"
# Options that the planner fills in.
CONTEXT_OPTIONS = ("problem_type", "stages")

RECIPES: Registry[RecipeFunction] = Registry("recipe")
METHODS: Registry[RecipeFunction] = Registry("method")


def register_recipe(function: RecipeFunction) -> RecipeFunction:
    """Registers a function as a recipe: a decorator. The function's name is the recipe's name.

    Args:
      function: Function that returns a `Recipe` and takes its options by keyword; its `**phase`,
        if it has one, takes fields of `Phase`.

    Example:
      >>> import tftransfer
      >>> from tftransfer.recipes import supervised
      >>> @tftransfer.register_recipe
      ... def short_probe(*, epochs: int = 3, **phase):
      ...     return supervised.feature_extraction(epochs=epochs, **phase)
      >>> tftransfer.recipes.make_recipe("short_probe:optimizer=sgd").phases[0].optimizer
      'sgd'
    """
    return RECIPES.register(function.__name__)(function)


def register_method(function: RecipeFunction) -> RecipeFunction:
    """Registers a function as a method: a decorator. `RECIPE+NAME` adds it to a recipe.

    Args:
      function: Function that takes a `Recipe` and options by keyword, and returns a `Recipe`.

    Example:
      >>> import dataclasses
      >>> import tftransfer
      >>> @tftransfer.register_method
      ... def with_sgd(recipe, *, learning_rate: float = 0.01):
      ...     change = {"optimizer": "sgd", "learning_rate": learning_rate}
      ...     phases = [dataclasses.replace(phase, **change) for phase in recipe.phases]
      ...     return dataclasses.replace(recipe, phases=tuple(phases))
      >>> recipe = tftransfer.recipes.make_recipe("scratch+with_sgd:learning_rate=0.1")
      >>> recipe.phases[0].learning_rate
      0.1
    """
    return METHODS.register(function.__name__)(function)


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option of a recipe or a method.

    Attributes:
      name: Name of the keyword.
      default: Value where the option is not given; None where the recipe decides.
      types: Accepted types of a value; empty for any.
      of_phase: Whether the option is a field of `Phase` that the recipe passes on.
    """

    name: str
    default: object
    types: tuple[type, ...] = ()
    of_phase: bool = False

    def checked(self, value: object, where: str) -> object:
        """Returns the value in the option's type.

        A single value becomes a tuple of one, 0 and 1 become booleans, and a path becomes text.

        Args:
          value: Value as given.
          where: Name of the recipe, for the error.

        Raises:
          UserError: The value has another type.
        """
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if tuple in self.types:
            return tuple(value) if isinstance(value, (list, tuple)) else (value,)
        if self.types == (bool,) and value in (0, 1):
            return bool(value)
        wrong = bool not in self.types and isinstance(value, bool)
        if self.types and (wrong or not isinstance(value, _accepted(self.types))):
            names = " or ".join(_TYPE_NAMES.get(each, each.__name__) for each in self.types)
            example = "" if self.default is None else f", such as {self.default!r}"
            raise UserError(
                f"Option {self.name} of recipe {where} is {value!r}.", f"Give {names}{example}."
            )
        return value


_TYPE_NAMES = {int: "a whole number", float: "a number", str: "a word", bool: "true or false"}


def _accepted(types: tuple[type, ...]) -> tuple[type, ...]:
    return (*types, int) if float in types else types


def recipe_names() -> list[str]:
    """Returns every name that `--recipe` may begin with."""
    return sorted({*RECIPES, *METHODS})


def function_of(name: str) -> RecipeFunction:
    """Returns the function of a recipe or method.

    Raises:
      UserError: There is no such recipe or method.
    """
    if name not in RECIPES and name not in METHODS:
        raise unknown_name("recipe", name, recipe_names())
    return RECIPES[name] if name in RECIPES else METHODS[name]


def options_of(name: str) -> dict[str, Option]:
    """Returns the options of one recipe or method, by name."""
    options: dict[str, Option] = {}
    for parameter in inspect.signature(function_of(name)).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            options |= {k: v for k, v in phase_options().items() if k not in options}
        elif parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            options[parameter.name] = _own_option(parameter)
    return options


def recipe_options(name: str) -> dict[str, object]:
    """Returns the options of a recipe with their defaults; None where the recipe decides.

    Args:
      name: Name of a recipe or a method, or several joined by `+`.
    """
    names = with_base(name.split("+"))
    options = {key: option for each in names for key, option in options_of(each).items()}
    return {key: option.default for key, option in options.items()}


def with_base(names: Iterable[str]) -> list[str]:
    """Returns the names with the base recipe in front, where they begin with a method."""
    found = list(names)
    alone = found[0] in METHODS and found[0] not in RECIPES
    return [BASE_RECIPE, *found] if alone else found


def phase_options() -> dict[str, Option]:
    """Returns the fields of `Phase` that a recipe with `**phase` takes, as options."""
    hints = typing.get_type_hints(Phase)
    names = [f.name for f in fields(Phase) if f.name not in ("name", "train", "losses")]
    return {
        name: Option(name=name, default=None, types=_types_of(hints[name]), of_phase=True)
        for name in names
    }


def _types_of(hint: object) -> tuple[type, ...]:
    """Returns the classes of an annotation such as `int`, `int | str` or `tuple[str, ...]`."""
    parts = typing.get_args(hint) if typing.get_origin(hint) is not tuple else ()
    classes = [typing.get_origin(part) or part for part in parts or (hint,)]
    return tuple(each for each in classes if isinstance(each, type) and each is not type(None))


def _own_option(parameter: inspect.Parameter) -> Option:
    default = parameter.default
    hints = typing.get_type_hints(Phase)
    if parameter.name in hints:  # an option such as `augment` accepts what the field of Phase does
        return Option(name=parameter.name, default=default, types=_types_of(hints[parameter.name]))
    kinds = [kind for kind in (bool, int, float, str, tuple) if isinstance(default, kind)]
    return Option(name=parameter.name, default=default, types=tuple(kinds[:1]))
