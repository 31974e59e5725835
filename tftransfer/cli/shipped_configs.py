"""The configs that are shipped with the package: where they are, and copies of them."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

from tftransfer.utils.errors import UserError, unknown_name

_PACKAGE = Path(__file__).resolve().parents[1]
# Below the root of an installation; see `options.data_files` in setup.cfg.
_INSTALLED = "share/tftransfer/configs"


def shipped_configs() -> dict[str, Path]:
    """Returns the files of the shipped configs by name.

    They are in `configs/` of a checkout, else where the wheel installed them.
    """
    root = _PACKAGE.parent
    folder = root / "configs" if (root / "setup.cfg").is_file() else root / _INSTALLED
    # `pip install --target` puts them next to the package; else the installer's record has them.
    files = [*folder.glob("*.py")] or _recorded()
    return {file.stem: file for file in sorted(files)}


def _recorded() -> list[Path]:
    from importlib import metadata

    try:
        files = metadata.files("tftransfer") or []
    except metadata.PackageNotFoundError:
        return []
    configs = [file for file in files if _INSTALLED in file.as_posix() and file.suffix == ".py"]
    return [Path(str(file.locate())).resolve() for file in configs]


def find_config(name_or_file: str) -> Path:
    """Returns the file of a config.

    Args:
      name_or_file: Path of a file, or name of a shipped config such as `flowers`.

    Raises:
      UserError: If there is no such file and no such name.
    """
    file = Path(name_or_file).expanduser()
    if file.is_file():
        return file
    if file.suffix or len(file.parts) > 1:
        raise UserError(
            f"--config={name_or_file} does not exist.",
            "Give a file, or a name that tftransfer list configs prints.",
        )
    shipped = shipped_configs()
    if name_or_file not in shipped:
        raise unknown_name("config", name_or_file, shipped)
    return shipped[name_or_file]


def config_summary(file: Path) -> str:
    """Returns the first line of a config's docstring."""
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].replace("`", "")


def copy_configs(folder: Path, *, overwrite: bool) -> list[Path]:
    """Copies the shipped configs to a folder, which is created if it does not exist.

    Args:
      folder: Folder to write to.
      overwrite: Whether existing files are replaced.

    Returns:
      The copies.

    Raises:
      UserError: If a file exists and may not be replaced.
    """
    copies = {folder / file.name: file for file in shipped_configs().values()}
    existing = [copy.name for copy in copies if copy.exists()]
    if existing and not overwrite:
        raise UserError(
            f"{folder} already has {existing[0]}"
            + (f" and {len(existing) - 1} more of the configs." if len(existing) > 1 else "."),
            "Give another folder, or add --overwrite to replace them.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    for copy, file in copies.items():
        shutil.copyfile(file, copy)
    return [*copies]
