"""Files that the rows of a table name: exactly, or in another spelling, which is reported."""

from __future__ import annotations

import functools
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tftransfer.data.file_name_encoding import check_names
from tftransfer.data.file_types import is_system_file
from tftransfer.utils.console import printable
from tftransfer.utils.errors import UserError

# More files than any folder of examples has; searching a whole disk takes too long.
_MAX_INDEXED_FILES = 1_000_000
# Cells of a column that are looked up to see whether it names files.
_SAMPLE_CELLS = 50
# Notes about an example, which are not the file that a name without extension means.
_SIDE_SUFFIXES = (".txt", ".xml", ".json", ".csv", ".md5", ".sha256", ".npy", ".yaml")
_MISSING_CELLS = ("", "nan", "none", "null", "na", "n/a", "<na>")
_DRIVE = re.compile(r"^[A-Za-z]:/")
_SPELLINGS = {
    "blank": "have blanks or quotes around them",
    "backslash": "have backslashes for slashes",
    "address": "are addresses of files",
    "case": "differ from the file names in upper and lower case or in their Unicode form",
    "suffix": "have no extension",
    "zeros": "are numbers without the zeros and the extension of the file names",
    "base": "are not relative to the folder of the table",
    "folder": "name other folders than the files are in",
}


@dataclass(frozen=True, kw_only=True)
class FoundFiles:
    """Files of the rows of a table.

    Attributes:
      paths: Row number to path, for the rows whose file exists.
      problems: Row number to the reason why the row has no file.
      warnings: How cells that are not exact paths were read.
    """

    paths: dict[int, str]
    problems: dict[int, str]
    warnings: tuple[str, ...]


def find_files(table: Path, cells: Mapping[int, str]) -> FoundFiles:
    """Returns the files that cells name, relative to the folder of their table.

    A cell that names no file exactly may differ from the name in outer blanks, in backslashes, in
    upper and lower case, in a missing extension, or in its folders; then each file is meant by one
    cell only, and most cells with the same folder must be found in this way. All such readings are
    reported.

    Args:
      table: Path of the table.
      cells: Row number to cell.

    Raises:
      UserError: Paths lead out of the folder of the table.
    """
    check_names(cells.values(), os.fspath(table))
    finder = _Finder(table.parent)
    _refuse_outside(table, cells, finder.root)
    found = {number: finder.find(cell) for number, cell in cells.items()}
    found = _without_doubtful(found, cells)
    problems = {n: _problem(cells[n], each) for n, each in found.items() if not each.path}
    return FoundFiles(
        paths={number: each.path for number, each in found.items() if each.path},
        problems=problems,
        warnings=_warnings(found, cells, finder.root),
    )


def column_of_files(
    table: Path, columns: Mapping[str, Sequence[str]], *, exactly: bool = False
) -> str:
    """Returns the column that names the most existing files; "" if none names files in most rows.

    Args:
      table: Path of the table.
      columns: Name of each column to its cells.
      exactly: Whether only exact paths count.
    """
    finder = _Finder(table.parent)
    find = finder.exact if exactly else finder.find
    files = {}
    for name, cells in columns.items():
        step = max(1, len(cells) // _SAMPLE_CELLS)
        sample = [cell for cell in cells[::step] if not _is_missing(cell)]
        found = [path for path in (find(cell).path for cell in sample) if path]
        files[name] = len(set(found)) if 2 * len(found) > len(sample) else 0
    best = max(files, key=files.__getitem__, default="")
    return best if best and files[best] else ""


@dataclass(frozen=True, kw_only=True)
class _Match:
    """A file that a cell names: its path, how it was read, and other possible files."""

    path: str = ""
    spellings: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


@dataclass
class _Finder:
    """Finds the files that cells name, below a folder."""

    folder: Path
    root: Path = field(init=False)

    def __post_init__(self) -> None:
        self.root = Path(os.path.realpath(self.folder))

    def exact(self, cell: str) -> _Match:
        """Returns the file that a cell names as it is."""
        return _Match(path=_file_at(self.root, cell))

    def find(self, cell: str) -> _Match:
        """Returns the file that a cell most likely means."""
        if _is_missing(cell):
            return _Match()
        if path := _file_at(self.root, cell):
            return _Match(path=path)
        name, spellings = _cleaned(cell)
        if path := _file_at(self.root, name):
            return _Match(path=path, spellings=spellings)
        if near := self._in_same_folder(name):
            return _chosen(near, spellings)
        for base in (Path.cwd(), self.root.parent):
            if not Path(name).is_absolute() and (path := _file_at(base, name)):
                return _Match(path=path, spellings=(*spellings, "base"))
        return _chosen(self._elsewhere(name), spellings)

    @functools.cached_property
    def _by_name(self) -> dict[str, list[str]]:
        """Files below the folder by their name, and by their name without extension."""
        found: dict[str, list[str]] = defaultdict(list)
        count = 0
        for top, folders, files in os.walk(self.root):
            folders[:] = sorted(name for name in folders if not is_system_file(name))
            below = (
                "" if Path(top) == self.root else f"{Path(top).relative_to(self.root).as_posix()}/"
            )
            for name in sorted(files):
                for key in _keys(name):
                    found[key].append(f"{below}{name}")
            count += len(files)
            if count > _MAX_INDEXED_FILES:
                break
        return found

    def _candidates(self, name: str) -> list[tuple[str, tuple[str, ...]]]:
        """Returns files of the same name, or else with an extension, and how their names differ."""
        last = _last(name)
        files = self._by_name.get(_folded(last), [])
        same = [f for f in files if _folded(_last(f)) == _folded(last)]
        if same:
            return [(f, () if _last(f) == last else ("case",)) for f in same]
        difference = "suffix"
        if not files and last.isdecimal():
            files, difference = self._by_name.get(f"/{int(last)}", []), "zeros"
        media = [f for f in files if not f.lower().endswith(_SIDE_SUFFIXES)]
        return [(f, (difference,)) for f in (media or files)]

    def _in_same_folder(self, name: str) -> list[tuple[str, tuple[str, ...]]]:
        folder = _folded(_folder(os.path.normpath(name)))
        found = [each for each in self._candidates(name) if _folded(_folder(each[0])) == folder]
        found = [(f"{self.root}/{path}", spellings or ("case",)) for path, spellings in found]
        exact = [each for each in found if "/" not in name or name in each[0]]
        return exact if len(exact) == 1 else found

    def _elsewhere(self, name: str) -> list[tuple[str, tuple[str, ...]]]:
        """Returns the files in other folders that share the most folders at the end of the path."""
        found = self._candidates(name)
        if not found:
            return []
        parts = _folded(_folder(name)).split("/")[::-1]
        shared = {f: _shared(parts, _folded(_folder(f)).split("/")[::-1]) for f, _ in found}
        most = max(shared.values())
        return [
            (f"{self.root}/{f}", (*spellings, "folder"))
            for f, spellings in found
            if shared[f] == most
        ]


def _chosen(found: list[tuple[str, tuple[str, ...]]], spellings: tuple[str, ...]) -> _Match:
    if len(found) == 1:
        path, more = found[0]
        return _Match(path=path, spellings=tuple(dict.fromkeys((*spellings, *more))))
    return _Match(others=tuple(path for path, _ in found))


def _without_doubtful(found: dict[int, _Match], cells: Mapping[int, str]) -> dict[int, _Match]:
    """Returns the matches without those in other folders that are few or meant by two cells."""
    exact = {each.path for each in found.values() if each.path and "folder" not in each.spellings}
    meant: dict[str, set[str]] = defaultdict(set)
    rows, elsewhere = Counter[str](), Counter[str]()
    for number, each in found.items():
        folder = _folder(_cleaned(cells[number])[0])
        rows[folder] += 1
        if "folder" in each.spellings:
            elsewhere[folder] += 1
            meant[each.path].add(_cleaned(cells[number])[0])

    def doubtful(number: int, each: _Match) -> bool:
        folder = _folder(_cleaned(cells[number])[0])
        few = 2 * elsewhere[folder] < rows[folder]
        return few or each.path in exact or len(meant[each.path]) > 1

    return {
        number: _Match(others=(each.path,))
        if "folder" in each.spellings and doubtful(number, each)
        else each
        for number, each in found.items()
    }


def _warnings(found: Mapping[int, _Match], cells: Mapping[int, str], root: Path) -> tuple[str, ...]:
    rows: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, each in found.items():
        if each.spellings:
            rows[each.spellings].append(number)
    lines = []
    for spellings, numbers in rows.items():
        how = " and ".join(_SPELLINGS[each] for each in spellings)
        first = numbers[0]
        path = found[first].path
        shown = os.path.relpath(path, root) if Path(path).is_relative_to(root) else path
        lines.append(
            f"{len(numbers):,} paths {how}: {cells[first]!r} (row {first}) is read as {shown}; "
            "write exact paths into the table for other files"
        )
    return tuple(map(printable, lines))


def _problem(cell: str, match: _Match) -> str:
    if _is_missing(cell):
        return "the path is empty" if not cell.strip() else f"there is no path ({cell.strip()})"
    text = printable(cell.strip())
    if len(match.others) > 1:
        return f"{text} may be {match.others[0]} or {match.others[1]}"
    if match.others:
        return f"{text} does not exist; is it {match.others[0]}?"
    if re.match(r"\w+://", text):
        return f"{text} is an address, which is not downloaded"
    return f"{text} does not exist"


def _refuse_outside(table: Path, cells: Mapping[int, str], root: Path) -> None:
    outside = {}
    for number, cell in cells.items():
        name = _cleaned(cell)[0] if ".." in cell else ""
        if Path(os.path.normpath(name)).parts[:1] == ("..",):
            outside[number] = (cell.strip(), os.path.normpath(root / name))
    if not outside:
        return
    number, (cell, path) = next(iter(outside.items()))
    what = f"{table}, row {number}: {cell} leads out of {table.parent}"
    count = f" ({len(outside):,} rows do)" if len(outside) > 1 else ""
    raise UserError(
        printable(f"{what}{count}."),
        printable(f"Keep the files below the folder of the table, or give absolute paths: {path}."),
    )


def _file_at(base: Path, name: str) -> str:
    """Returns the real path of what a name below a folder names, or "" if that does not exist."""
    try:
        path = Path(os.path.realpath(base / name))
        return os.fspath(path) if path.exists() and not path.is_dir() else ""
    except (OSError, ValueError):  # a name that is too long, or has a NUL character
        return ""


def _cleaned(cell: str) -> tuple[str, tuple[str, ...]]:
    """Returns a cell as a path with slashes, and how it was spelled."""
    name, spellings = cell.strip().strip("'\"").strip(), list[str]()
    if name != cell:
        spellings.append("blank")
    if re.match(r"\w+://", name):
        parts = urlsplit(name)
        name = unquote(parts.path if parts.scheme == "file" else parts.netloc + parts.path)
        spellings.append("address")
    if "\\" in name:
        name = name.replace("\\", "/")
        spellings.append("backslash")
    return name, tuple(spellings)


def _is_missing(cell: str) -> bool:
    return cell.strip().lower() in _MISSING_CELLS


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _keys(name: str) -> set[str]:
    """Returns the keys under which a file name is found: whole, without extension, as a number."""
    stem = Path(name).stem
    number = {f"/{int(stem)}"} if stem.isdecimal() else set()
    return {_folded(name), _folded(stem), *number}


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _folder(path: str) -> str:
    folder = _DRIVE.sub("/", path).rpartition("/")[0]
    return folder.removeprefix("./") if folder != "." else ""


def _shared(first: list[str], second: list[str]) -> int:
    """Returns the number of equal parts at the start of two lists."""
    count = 0
    for one, other in zip(first, second):
        if not one or one != other:
            break
        count += 1
    return count
