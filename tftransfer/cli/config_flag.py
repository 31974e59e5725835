"""The flag --config, by `ml_collections`: a config's name or file, or the JSON of a run."""

from __future__ import annotations

import re
import runpy
import traceback
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import config_dict, config_flags

from tftransfer.cli.config import config
from tftransfer.cli.flags import flag_values
from tftransfer.cli.shipped_configs import find_config
from tftransfer.core.experiment import Experiment
from tftransfer.core.serialization import from_jsonable, read_json
from tftransfer.utils.errors import UserError, unknown_name

_MAX_ERROR_CHARACTERS = 200


def define_config(values: flags.FlagValues, words: Sequence[str]) -> list[str]:
    """Defines the flag `config`, with a flag `config.FIELD` for each field.

    Args:
      values: Values of the command's flags, to which the flag is added.
      words: Words of the command line.

    Returns:
      The words without `--config` itself.

    Raises:
      UserError: If the config does not exist or fails, or has no such field.
    """
    source, rest = _split_config(words)
    recipe = ["", *flag_values(rest, "recipe")][-1]
    settings = _load(source) if source else config(recipe=recipe or "fine_tune")
    if source and recipe:
        settings.recipe = config(recipe=recipe).recipe
    _check_fields(settings, rest)
    config_flags.DEFINE_config_dict(
        "config", settings, flag_values=values, sys_argv=["tftransfer", *rest]
    )
    return rest


def run_file(path: str) -> dict[str, Any]:
    """Runs a Python file, which may register backbones and recipes.

    Returns:
      The values that the file defines, by name.

    Raises:
      UserError: If the file does not exist or fails.
    """
    if not Path(path).is_file():
        raise UserError(f"{path} does not exist.", "Give a file such as configs/squeezenet.py.")
    try:
        return runpy.run_path(path, run_name="tftransfer_config")
    except UserError:
        raise
    except Exception as error:
        raise UserError(_describe(error, Path(path)), "Fix the file.") from error


def _split_config(words: Sequence[str]) -> tuple[str, list[str]]:
    """Returns the value of --config, or "", and the other words."""
    for place, word in enumerate(words):
        if re.fullmatch(r"--?config", word) and place + 1 < len(words):
            return words[place + 1], [*words[:place], *words[place + 2 :]]
        if re.match(r"--?config=", word):
            return word.split("=", 1)[1], [*words[:place], *words[place + 1 :]]
    return "", list(words)


def _load(source: str) -> config_dict.ConfigDict:
    """Loads `NAME`, `FILE` or `FILE:TEXT`; the text is the argument of `get_config`."""
    name, _, text = source.partition(":")
    path = find_config(name)
    return _from_json(path) if path.suffix == ".json" else _from_python(path, text)


def _from_python(path: Path, text: str) -> config_dict.ConfigDict:
    names = run_file(str(path))
    try:
        get_config = names["get_config"]
        settings = get_config(text) if text else get_config()
        return config_dict.ConfigDict(settings, type_safe=False)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            _describe(error, path),
            "Fix the file; it must define get_config(), which returns tftransfer.config(...).",
        ) from error


def _from_json(path: Path) -> config_dict.ConfigDict:
    stored = read_json(path)
    experiment = from_jsonable(stored.get("experiment", stored)) if isinstance(stored, dict) else 0
    if not isinstance(experiment, Experiment):
        raise UserError(f"{path} holds no experiment.", "Give the config.json of a run.")
    values = {field.name: getattr(experiment, field.name) for field in fields(experiment)}
    return config_dict.ConfigDict(values, type_safe=False)


def _check_fields(settings: config_dict.ConfigDict, words: Sequence[str]) -> None:
    """Raises an error for a `--config.FIELD` that the config does not have."""
    for word in words:
        override = re.match(r"--?config\.([\w.]+)=?", word)
        if not override:
            continue
        level = settings
        for name in override[1].split("."):
            known = list(level) if isinstance(level, config_dict.ConfigDict) else []
            if name not in known:
                raise unknown_name(f"field of the config for --config.{override[1]}", name, known)
            level = level.get_ref(name) if level[name] is None else level[name]


def _describe(error: Exception, path: Path) -> str:
    """Returns what went wrong in a file, and on which of its lines."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path)
    ]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    message = " ".join(str(error).split())[:_MAX_ERROR_CHARACTERS]
    place = f" on line {line}" if line else ""
    return f"{path} fails{place}: {type(error).__name__}: {message}."
