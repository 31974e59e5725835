"""The flag --config, by `ml_collections`: a Python file, the JSON of a run, or the defaults."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import config_dict, config_flags

from tftransfer.building.config import config
from tftransfer.ground.errors import UserError, unknown_name
from tftransfer.ground.serialise import from_jsonable, read_json


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
        found = config(recipe=_recipe_in(rest))
    elif path.endswith(".json"):
        found = _from_json(Path(path))
    else:
        found = _from_python(path)
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
    said = [word.split("=", 1)[1] for word in arguments if re.match(r"--?recipe=", word)]
    return said[-1] if said else "fine_tune"


def _from_python(path: str) -> Any:
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", path, flag_values=values, sys_argv=["tftransfer"])
    try:
        values(["tftransfer", f"--config={path}"])
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"--config={path} fails: {type(error).__name__}: {str(error).splitlines()[0]}",
            "Mend the file; it must define get_config().",
        ) from None
    return values["config"].value


def _from_json(path: Path) -> Any:
    stored = read_json(path)
    experiment = from_jsonable(stored.get("experiment", stored))
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
