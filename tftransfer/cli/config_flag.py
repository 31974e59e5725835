"""The flag --config, by `ml_collections`: a Python file, the JSON of a run, or the defaults."""

from __future__ import annotations

import re
import runpy
from dataclasses import fields
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import config_dict, config_flags

from tftransfer.cli.config import config
from tftransfer.core.experiment import Experiment
from tftransfer.core.serialization import from_jsonable, read_json
from tftransfer.utils.errors import UserError, unknown_name


def define_config(values: flags.FlagValues, arguments: list[str]) -> list[str]:
    """Defines `config` and its overrides in `values`.

    Args:
      values: of the command; gets the flag.
      arguments: of the command line.

    Returns:
      The arguments that remain to be parsed.

    Raises:
      UserError: no such file, or an override of what the config does not have.
    """
    path, rest = _path_in(arguments)
    if path and not Path(path.split(":")[0]).is_file():
        raise UserError(f"--config={path} does not exist.", "Give a file such as configs/*.py.")
    if not path:
        found = config(recipe=_recipe_in(rest) or "fine_tune")
    elif path.endswith(".json"):
        found = _from_json(Path(path))
    else:
        found = _from_python(path)
    said = _recipe_in(rest)
    if path and said:
        found.recipe = config(recipe=said).recipe
    _check_overrides(found, rest)
    config_flags.DEFINE_config_dict(
        "config", found, flag_values=values, sys_argv=["tftransfer", *rest]
    )
    return rest


def _path_in(arguments: list[str]) -> tuple[str, list[str]]:
    for place, word in enumerate(arguments):
        if re.fullmatch(r"--?config", word) and place + 1 < len(arguments):
            return arguments[place + 1], arguments[:place] + arguments[place + 2 :]
        if re.match(r"--?config=", word):
            return word.split("=", 1)[1], arguments[:place] + arguments[place + 1 :]
    return "", arguments


def _recipe_in(arguments: list[str]) -> str:
    said = ""
    for word, following in zip(arguments, [*arguments[1:], ""]):
        if re.match(r"--?recipe=", word):
            said = word.split("=", 1)[1]
        elif re.fullmatch(r"--?recipe", word):
            said = following
    return said


def _from_python(path: str) -> Any:
    """What `get_config()` of the file returns; `FILE:TEXT` hands it the text."""
    file, _, text = path.partition(":")
    names = run_file(file)
    try:
        get_config = names["get_config"]
        found = get_config(text) if text else get_config()
        return config_dict.ConfigDict(found, type_safe=False)
    except UserError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise UserError(
            f"--config={file} fails: {type(error).__name__}: {said}.",
            "Mend the file; it must define get_config(), which returns tftransfer.config(...).",
        ) from None


def run_file(path: str) -> dict[str, Any]:
    """Runs a Python file, which may register backbones and recipes; returns its names.

    Raises:
      UserError: no such file, or it fails.
    """
    if not Path(path).is_file():
        raise UserError(f"{path} does not exist.", "Give a file such as configs/squeezenet.py.")
    try:
        return runpy.run_path(path, run_name="tftransfer_config")
    except UserError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path} fails: {type(error).__name__}: {said}.", "Mend the file."
        ) from None


def _from_json(path: Path) -> Any:
    stored = read_json(path)
    experiment = from_jsonable(stored.get("experiment", stored)) if isinstance(stored, dict) else 0
    if not isinstance(experiment, Experiment):
        raise UserError(f"--config={path} holds no experiment.", "Give the config.json of a run.")
    known = {field.name: getattr(experiment, field.name) for field in fields(experiment)}
    return config_dict.ConfigDict(known, type_safe=False)


def _check_overrides(found: Any, arguments: list[str]) -> None:
    for word in arguments:
        override = re.match(r"--?config\.([\w.]+)=?", word)
        if not override:
            continue
        level = found
        for name in override[1].split("."):
            known = list(level) if isinstance(level, config_dict.ConfigDict) else []
            if name not in known:
                raise unknown_name(f"config key for --config.{override[1]}", name, known)
            level = level.get_ref(name) if level[name] is None else level[name]
