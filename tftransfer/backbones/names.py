"""What the name of a backbone means, answered without loading anything."""

from __future__ import annotations

import re
from pathlib import Path

from tftransfer.core.run_files import CONFIG, RESULT, is_run
from tftransfer.core.serialization import read_json
from tftransfer.utils.errors import UserError

_LAYER_OPTION = re.compile(r"([:,])layer=([^:,=]+)(?=,|$)")
# Beginnings of names that exist for one modality only.
_BEGINNINGS = {
    "audio": ("yamnet", "whisper"),
    "text": ("word_vectors", "bert_", "distil_bert", "roberta", "albert", "electra", "gpt2"),
}
# A Kaggle handle is OWNER/MODEL/FRAMEWORK/VARIATION, perhaps with a version.
_SLASHES_OF_HANDLES = (3, 4)


def split_layer(name: str) -> tuple[str, str]:
    """Returns a name without its option `layer`, and that option's value, "" where it is absent.

    Example:
      >>> split_layer("mobilenet_v2:alpha=0.35,layer=stage3")
      ('mobilenet_v2:alpha=0.35', 'stage3')
    """
    found = _LAYER_OPTION.search(name)
    if not found:
        return name, ""
    before, after = name[: found.start()], name[found.end() :]
    return before + (found[1] + after[1:] if after else ""), found[2]


def with_layer(name: str, layer: str) -> str:
    """Returns a name with the option `layer`; the inverse of `split_layer`."""
    return f"{name}{',' if ':' in name else ':'}layer={layer}"


def is_module(name: str) -> bool:
    """Returns whether a name is the folder, address or handle of a TF-Hub module.

    Raises:
      UserError: The name is a path that does not exist.
    """
    folder = name.partition(":")[0]
    is_path = "/" in name and "://" not in name and folder.count("/") not in _SLASHES_OF_HANDLES
    if is_path and not Path(folder).expanduser().exists():
        raise UserError(
            f"--backbone={name} does not exist, nor is it a Kaggle handle.",
            "Give a folder, a URL, OWNER/MODEL/FRAMEWORK/VARIATION, or a backbone's name.",
        )
    return "/" in name or (Path(folder) / "saved_model.pb").is_file()


def modality_of_name(name: str) -> str:
    """Returns the modality that a name or a folder implies; `image` where it implies none."""
    folder = Path(name.partition(":")[0]).expanduser()
    if (folder / CONFIG).is_file():
        return _modality_of_run(folder) if is_run(folder) else "text"  # a transformer's folder
    matches = (modality for modality, begins in _BEGINNINGS.items() if name.startswith(begins))
    return next(matches, "image")


def _modality_of_run(folder: Path) -> str:
    result = folder / RESULT
    return read_json(result)["modality"] if result.is_file() else "image"
