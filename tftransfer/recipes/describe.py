"""Descriptions of recipes and methods, from the docstrings of their functions."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tftransfer.core.recipe import Phase, Recipe
from tftransfer.recipes.registry import (
    BASE_RECIPE,
    CONTEXT_OPTIONS,
    METHODS,
    RECIPES,
    Option,
    function_of,
    options_of,
    with_base,
)

_WIDTH_COLUMNS = 100
_NAME_COLUMNS = 30
# An entry of `Args:` or `Attributes:`, such as `epochs: Number of epochs.`
_ENTRY = re.compile(r"(\*{0,2}\w+): (.*)")
_SENTENCE = re.compile(r".*?\.(?=\s|$)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class OptionInfo:
    """An option of a recipe or a method.

    Attributes:
      name: Name of the option.
      default: Value where the option is not given.
      summary: What it does, in one sentence.
      of_phase: Whether it is a field of `Phase`, which most recipes take.

    Example:
      >>> import tftransfer
      >>> option = tftransfer.OptionInfo(name="epochs", default=10, summary="Number of epochs.")
      >>> option.name, option.default
      ('epochs', 10)
    """

    name: str
    default: object
    summary: str
    of_phase: bool = False

    def __str__(self) -> str:
        return _columns(f"  {self.name}={_shown(self.default)}", self.summary)


@dataclass(frozen=True, kw_only=True)
class RecipeInfo:
    """A recipe, or a method that can be added to one.

    Attributes:
      name: Name for `--recipe`.
      kind: `recipe` or `method`.
      summary: What it does, in one line.
      options: Its options; fields of `Phase` come last.
      details: The further paragraphs of its documentation, if any.

    Example:
      >>> import tftransfer
      >>> info = next(each for each in tftransfer.list_recipes() if each.name == "fine_tune")
      >>> info.kind, "unfreeze" in [option.name for option in info.options]
      ('recipe', True)
    """

    name: str
    kind: str
    summary: str
    options: tuple[OptionInfo, ...] = ()
    details: str = ""

    def __str__(self) -> str:
        return _columns(self.name, self.summary)


def list_recipes() -> list[RecipeInfo]:
    """Returns a description of every recipe, sorted by name.

    Example:
      >>> import tftransfer
      >>> [recipe.name for recipe in tftransfer.list_recipes() if "unfreez" in recipe.name]
      ['gradual_unfreezing']
    """
    return [describe_recipe(name) for name in sorted(RECIPES)]


def list_methods() -> list[RecipeInfo]:
    """Returns a description of every method that can be added to a recipe, sorted by name.

    Example:
      >>> import tftransfer
      >>> (l2_sp,) = [each for each in tftransfer.list_methods() if each.name == "l2_sp"]
      >>> [(option.name, option.default) for option in l2_sp.options]
      [('strength', 0.01)]
    """
    return [describe_recipe(name) for name in sorted(METHODS)]


def describe_recipe(name: str) -> RecipeInfo:
    """Returns the description of one recipe or method.

    Raises:
      UserError: There is no such recipe or method; the nearest names are given.
    """
    documentation = inspect.getdoc(function_of(name)) or ""
    summary, _, rest = documentation.partition("\n")
    options = [each for each in options_of(name).values() if each.name not in CONTEXT_OPTIONS]
    texts = argument_texts(documentation)
    phase_texts, phase_defaults = argument_texts(inspect.getdoc(Phase) or ""), _phase_defaults(name)
    return RecipeInfo(
        name=name,
        kind="recipe" if name in RECIPES else "method",
        summary=summary,
        options=tuple(
            _described(option, phase_texts, phase_defaults)
            if option.of_phase
            else _described(option, texts, {})
            for option in sorted(options, key=lambda option: option.of_phase)
        ),
        details=re.split(r"\n(?:Args|Returns|Raises|Example):", rest)[0].strip(),
    )


def recipe_help(name: str) -> str:
    """Returns the help of a recipe: what it does, and its options with their defaults.

    Args:
      name: Name of a recipe or a method, or several joined by `+`.

    Raises:
      UserError: There is no such recipe or method; the nearest names are given.

    Example:
      >>> import tftransfer
      >>> "strength=0.01" in tftransfer.recipe_help("l2_sp")
      True
    """
    parts = [describe_recipe(part) for part in with_base(name.split("+"))]
    alone = parts[0].name == BASE_RECIPE and name.split("+")[0] != BASE_RECIPE
    return "\n\n".join(map(_help, parts[1:] + parts[:1] if alone else parts))


def argument_texts(documentation: str) -> dict[str, str]:
    """Returns the entries of a docstring's `Args:` or `Attributes:`, each in one line.

    Args:
      documentation: Docstring without its indentation.
    """
    found: dict[str, str] = {}
    name = ""
    section = re.split(r"(?m)^(?:Args|Attributes):\n", documentation)
    for line in section[1].splitlines() if len(section) > 1 else []:
        if line and not line.startswith(" "):
            break
        entry = _ENTRY.fullmatch(line.strip())
        if entry and len(line) - len(line.lstrip()) == 2:
            name = entry[1].lstrip("*")
            found[name] = entry[2]
        elif line.strip():
            found[name] = f"{found[name]} {line.strip()}"
    return found


def _described(
    option: Option, texts: Mapping[str, str], defaults: Mapping[str, object]
) -> OptionInfo:
    sentence = _SENTENCE.match(texts.get(option.name, ""))
    return OptionInfo(
        name=option.name,
        default=defaults.get(option.name, option.default),
        summary=sentence[0] if sentence else texts.get(option.name, ""),
        of_phase=option.of_phase,
    )


def _phase_defaults(name: str) -> dict[str, object]:
    """Returns the value of every field of the last phase that a recipe makes by default."""
    make: Callable[..., Recipe] = function_of(name)
    if name not in RECIPES:
        return {}
    phases = make().phases
    return dict(vars(phases[-1])) if phases else {}


def _help(described: RecipeInfo) -> str:
    own = [str(each) for each in described.options if not each.of_phase]
    phase = [str(each) for each in described.options if each.of_phase]
    usage = described.name if described.kind == "recipe" else f"RECIPE+{described.name}"
    option = ":option=value,..." if described.options else ""
    return "\n".join(
        [
            f"--recipe={usage}{option}",
            *textwrap.wrap(described.summary, _WIDTH_COLUMNS),
            *(["", described.details] if described.details else []),
            *(["", "Options:", *own] if own else []),
            *(["", "Options of its last phase:", *phase] if phase else []),
        ]
    )


def _columns(name: str, text: str) -> str:
    """Returns a name and a text side by side, the text wrapped."""
    indent = " " * _NAME_COLUMNS
    start = f"{name:<{_NAME_COLUMNS - 2}}  "
    if len(start) > _NAME_COLUMNS:
        return f"{name}\n" + textwrap.fill(
            text, _WIDTH_COLUMNS, initial_indent=indent, subsequent_indent=indent
        )
    return textwrap.fill(text, _WIDTH_COLUMNS, initial_indent=start, subsequent_indent=indent)


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return "none" if not default else ",".join(map(str, default))
    return "" if default is None else str(default)
