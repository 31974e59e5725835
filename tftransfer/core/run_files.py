"""The files of a run that rooms below `runs` read, and whether a folder is a run."""

from __future__ import annotations

from pathlib import Path

from tftransfer.core.serialization import read_json
from tftransfer.core.typing import PathLike

CONFIG = "config.json"
RESULT = "result.json"
WEIGHTS = "weights.npz"
ASSETS = "assets"
PREDICTIONS = "predictions.csv"


def is_run(folder: PathLike) -> bool:
    """Returns whether a folder is a run: its `config.json` holds an experiment.

    Folders of transformers have a file of that name too, without an experiment.

    Raises:
      UserError: The file is not valid JSON.
    """
    config = Path(folder).expanduser() / CONFIG
    if not config.is_file():
        return False
    content = read_json(config)
    return isinstance(content, dict) and "experiment" in content
