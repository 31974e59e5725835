"""Which columns of a table hold the examples, their labels, their parts and their groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tftransfer.data.groups import column_of_groups
from tftransfer.utils.console import printable
from tftransfer.utils.errors import UserError, unknown_name

if TYPE_CHECKING:
    from tftransfer.data.tables import Table

USUAL = {
    "path": (
        "path",
        "file",
        "filename",
        "file_name",
        "filepath",
        "file_path",
        "image",
        "image_path",
        "audio",
        "audio_path",
        "wav",
        "sound",
        "clip",
    ),
    "text": (
        "text",
        "sentence",
        "review",
        "content",
        "document",
        "comment",
        "message",
        "question",
        "tweet",
        "post",
        "utterance",
        "query",
    ),
    "label": ("label", "labels", "class", "target", "category", "y"),
    "split": ("split", "part", "subset", "set"),
}
_REMEDY = "Give such as --columns=text=review,label=stars; what it may name: " + ", ".join(USUAL)
# Fewer rows may all have another label by chance.
_FEW = 10


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What the columns of a table are.

    Attributes:
      item: of paths or of texts.
      texts: whether it holds texts.
      labels: one, or several for several tasks or numbers.
      part: of the parts that rows belong to; "" for none.
      groups: of what no split may part; "" for none.
      unused: all others that have a name.
    """

    item: str
    texts: bool
    labels: tuple[str, ...]
    part: str
    groups: str
    unused: tuple[str, ...]


def columns_of(
    table: Table, columns: str = "", group_by: str = "", *, to_train: bool = True
) -> Columns:
    """What the columns are: by name where `columns` says so, else by their usual names.

    Where none is named as a label usually is, all that are left are labels, but for those that
    tell every row from every other, such as numbers of rows.

    Args:
      table: as it was read.
      columns: see `tftransfer.Experiment`.
      group_by: see `tftransfer.Experiment`.
      to_train: whether columns that are named must be there; of other data those that are not are
        told as if nothing were named.

    Raises:
      UserError: a name of no column, or no labels.
    """
    item, texts = item_column(table, columns, to_train=to_train)
    header = table.header
    named = _named(columns, header, ("label", "split"), required=to_train)
    parts = named.get("split") or _usual(header, "split")
    groups = column_of_groups(header, group_by, required=to_train)
    labels = named.get("label") or _usual(header, "label")
    if not labels:
        others = [name for name in header if name not in (item, groups, *parts)]
        labels = [name for name in others if not _tells_rows_apart(table, name)] or others
    if not labels:
        raise UserError(
            f"{table.path} has no label column; it has: {', '.join(header)}.",
            "Add one named label, or name it by --columns=label=NAME.",
        )
    used = {item, groups, *labels, *parts[:1]}
    return Columns(
        item=item,
        texts=texts,
        labels=tuple(labels),
        part=next(iter(parts), ""),
        groups=groups,
        unused=tuple(printable(name) for name in header if name and name not in used),
    )


def item_column(table: Table, columns: str = "", *, to_train: bool = True) -> tuple[str, bool]:
    """The column of paths, or else of texts, and whether it is of texts; see `columns_of`.

    Raises:
      UserError: there is none, or paths in another encoding than UTF-8.
    """
    header = table.header
    named = _named(columns, header, ("path", "text"), required=to_train)
    if "text" in named and "path" in named:
        raise UserError(f"--columns={columns} names both paths and texts.", "Name one of them.")
    found = {role: named.get(role) or _usual(header, role) for role in ("path", "text")}
    if "text" in named or (found["text"] and not found["path"]):
        return found["text"][0], True
    if table.encoding != "utf-8":
        raise UserError(f"{table.path} is not UTF-8 text.", "Save it as UTF-8.")
    if not found["path"]:
        error = unknown_name("column", "path", header)
        raise UserError(
            f"{table.path} has no column of paths and none of texts. {error.remedy}",
            "Name them path or text, or give --columns=text=NAME,label=NAME (or path=NAME).",
        )
    return found["path"][0], False


def _named(
    columns: str, header: Sequence[str], roles: Sequence[str], *, required: bool
) -> dict[str, list[str]]:
    """Role to names of columns of `path=NAME,label=NAME`, of the roles that are asked for.

    Raises:
      UserError: not of that form, or a name of no column.
    """
    found: dict[str, list[str]] = {}
    for pair in filter(None, columns.split(",")):
        role, equals, name = (word.strip() for word in pair.partition("="))
        if not equals or not name:
            raise UserError(f"--columns={columns}: {pair!r} is no pair.", _REMEDY)
        if role not in USUAL:
            raise unknown_name("kind of column", role, USUAL)
        if role != "label" and role in found:
            raise UserError(f"--columns={columns} names two columns of {role}.", _REMEDY)
        if required and role in roles and name not in header:
            raise unknown_name("column", name, header)
        if name in header:
            found.setdefault(role, []).append(name)
    return {role: names for role, names in found.items() if role in roles}


def _usual(header: Sequence[str], role: str) -> list[str]:
    return [name for name in header if name.lower() in USUAL[role]]


def _tells_rows_apart(table: Table, name: str) -> bool:
    """Whether each row has a cell of its own, which is neither a measure nor a missing label."""
    cells = [row[name].strip() for row in table.rows.values()]
    if len(cells) < _FEW or len(set(cells)) < len(cells):
        return False
    return not all(_holds(float, cell) for cell in cells) or all(
        _holds(int, cell) for cell in cells
    )


def _holds(parse: Callable[[str], object], cell: str) -> bool:
    try:
        parse(cell)
    except ValueError:
        return False
    return True
