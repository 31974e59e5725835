"""Parses the command line of a command; every error names what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from absl import flags

from tftransfer.cli.commands import Command
from tftransfer.cli.flags import FLAGS, define_flags, expected_value, flag_values
from tftransfer.utils.errors import UserError, unknown_name
from tftransfer.utils.registry import parse_options

_ILLEGAL_VALUE = re.compile(r"flag (--(\w+)=.*?): ", re.DOTALL)
_CONFIG_FLAG = re.compile(r"--?config([.=].*)?", re.DOTALL)
_FLAG = re.compile(r"--?(\w+)(?:=(.*))?", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """A parsed command line.

    Attributes:
      flags: Values of the flags, as attributes.
      free: Words that are not flags.
      experiment: Fields of `Experiment`: those of the config, then those that flags give.
    """

    flags: flags.FlagValues
    free: Sequence[str]
    experiment: Mapping[str, Any]


def parse_arguments(command: Command, words: Sequence[str]) -> Arguments:
    """Parses the words that follow the name of a command.

    Raises:
      UserError: If a flag, a value or a word is not one that the command takes.
    """
    values, rest = define_flags(flag.name for flag in command.all_flags), list(words)
    if command.takes_config and any(_CONFIG_FLAG.fullmatch(word) for word in words):
        from tftransfer.cli.config_flag import define_config

        rest = define_config(values, rest)
    try:
        free = values([command.name, *rest])[1:]
    except flags.UnrecognizedFlagError as error:
        raise _unknown_flag(command, values, rest, error.flagname) from None
    except flags.IllegalFlagValueError as error:
        raise _illegal_value(command, error) from None
    except flags.Error as error:
        raise UserError(
            f"{_one_line(error)}.", f"tftransfer {command.name} --help prints the flags."
        ) from None
    if free and not command.arguments:
        raise UserError(
            f"tftransfer {command.name} takes no argument {free[0]!r}.",
            "Write flags as --NAME=VALUE.",
        )
    experiment = _experiment_values(values, command)
    _check_required(command, values, experiment)
    return Arguments(flags=values, free=free, experiment=experiment)


def _experiment_values(values: flags.FlagValues, command: Command) -> dict[str, Any]:
    config: Any = values["config"].value if "config" in values else {}
    fields = {key: config[key] for key in config}
    fields = {k: v.to_dict() if hasattr(v, "to_dict") else v for k, v in fields.items()}
    given = {name: values[name].value for name in command.experiment_flags if values[name].present}
    if fields:
        given.pop("recipe", None)  # The config has it already, with --config.recipe's options.
    return fields | given


def _check_required(
    command: Command, values: flags.FlagValues, experiment: Mapping[str, Any]
) -> None:
    """Raises an error for a missing flag, before TensorFlow is imported."""
    if str(experiment.get("recipe", "")).startswith("help"):
        return
    dry_run = "dry_run" in values and values["dry_run"].value
    for name in command.required:
        in_experiment = name in command.experiment_flags
        value = experiment.get(name, "") if in_experiment else values[name].value
        if value == "" and not (dry_run and name == "workdir"):
            raise UserError(f"--{name} is missing.", f"Add it, as in: {command.examples[0]}")


def _unknown_flag(
    command: Command, values: flags.FlagValues, words: Sequence[str], name: str
) -> UserError:
    """Returns the error for a flag that the command does not have, perhaps a recipe's option."""
    if command.name == "compare" or "recipe" in command.flags:
        from tftransfer.recipes import METHODS, RECIPES, recipe_options

        recipes = sorted({*RECIPES, *METHODS})
        having = [recipe for recipe in recipes if name in recipe_options(recipe)]
        if having:
            return _option_as_flag(command, values, words, name, having)
    known = ["--help", *(f"--{flag}" for flag in values)]
    return unknown_name(f"flag of tftransfer {command.name}", f"--{name}", known)


def _option_as_flag(
    command: Command,
    values: flags.FlagValues,
    words: Sequence[str],
    name: str,
    having: Sequence[str],
) -> UserError:
    """Returns the error for an option of the recipes `having` that was written as a flag."""
    from tftransfer.recipes import RECIPES, recipe_options

    recipe = _given_recipe(command, values, words)
    options = recipe_options(parse_options(recipe)[0])
    if name not in options:
        alone = [each for each in having if each in RECIPES]
        return UserError(
            f"--{name} is an option of recipes, but {recipe} does not have it.",
            f"Recipes with this option: {', '.join(alone or having)}.",
        )
    found = {flag: value for flag, value in _unknown_flags(words, values) if flag in options}
    names = " and ".join(f"--{flag}" for flag in found)
    are_options = "is an option of the recipe, not a flag"
    if len(found) > 1:
        are_options = "are options of the recipe, not flags"
    return UserError(
        f"{names} {are_options}.",
        f"Write {_with_options(command, values, recipe, found)}",
    )


def _unknown_flags(words: Sequence[str], values: flags.FlagValues) -> Iterator[tuple[str, str]]:
    """Yields the name and the value of each flag that the command does not have."""
    for word, following in zip(words, [*words[1:], "--"]):
        found = _FLAG.fullmatch(word)
        if found and found[1] not in values:
            value = found[2] if found[2] is not None else following
            yield found[1], "true" if value.startswith("-") else value


def _given_recipe(command: Command, values: flags.FlagValues, words: Sequence[str]) -> str:
    """Returns the recipe of the command line, with its options."""
    if command.name == "compare":
        from tftransfer.recipes import METHODS, RECIPES

        first = (word for word in words if re.split("[:+]", word)[0] in {*RECIPES, *METHODS})
        return next(first, "fine_tune")
    given = flag_values(words, "recipe")
    if given or "config" not in values:
        return [str(FLAGS["recipe"].default), *given][-1]
    config: Any = values["config"].value
    recipe = config.recipe
    return str(recipe["name"] if hasattr(recipe, "keys") else recipe.name)


def _with_options(
    command: Command, values: flags.FlagValues, recipe: str, options: Mapping[str, str]
) -> str:
    """Returns the words that give options to a recipe."""
    if "config" in values:
        return " ".join(f"--config.recipe.{name}={value}" for name, value in options.items())
    separator = "," if parse_options(recipe)[1] else ":"
    given = ",".join(f"{name}={value}" for name, value in options.items())
    flag = "" if command.name == "compare" else "--recipe="
    return f"{flag}{recipe}{separator}{given}"


def _illegal_value(command: Command, error: flags.Error) -> UserError:
    found = _ILLEGAL_VALUE.match(str(error))
    if not found or found[2] not in FLAGS:
        return UserError(
            f"{_one_line(error)}.", f"tftransfer {command.name} --help prints the flags."
        )
    return UserError(f"{found[1]} is not a valid value.", expected_value(FLAGS[found[2]]))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
