"""Which columns of a table hold the inputs, labels, splits and groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tftransfer.data.groups import column_of_groups
from tftransfer.data.label_columns import choose_labels, divided_note, divides, undivided_note
from tftransfer.data.table_header import column_of_texts
from tftransfer.data.table_paths import column_of_files
from tftransfer.labels.numbers import is_number
from tftransfer.utils.console import printable
from tftransfer.utils.errors import UserError, unknown_name

if TYPE_CHECKING:
    from tftransfer.data.tables import Table

# Role of a column to its usual names, lower case.
USUAL_NAMES = {
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
        "comment_text",
        "review_text",
        "tweet_text",
        "body",
        "headline",
        "transcript",
    ),
    "label": (
        "label",
        "labels",
        "class",
        "classes",
        "target",
        "targets",
        "category",
        "categories",
        "tag",
        "tags",
        "y",
        "class_name",
        "class_id",
        "label_name",
        "label_id",
        "category_name",
        "category_id",
    ),
    "split": ("split", "part", "subset", "set"),
}
_MIN_PIXELS_A_SIDE = 8
_REMEDY = "Give for example --columns=text=review,label=stars; roles: " + ", ".join(USUAL_NAMES)


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Roles of the columns of a table.

    Attributes:
      item: Name of the column of paths or texts.
      texts: Whether that column has texts.
      labels: Names of the label columns; several for several tasks or numbers.
      split: Name of the column of splits; "" if there is none.
      groups: Name of the column of groups; "" if there is none.
      unused: Names of all other columns.
      notes: How label columns and splits were recognized, where that is not obvious.
    """

    item: str
    texts: bool
    labels: tuple[str, ...]
    split: str
    groups: str
    unused: tuple[str, ...]
    notes: tuple[str, ...] = ()


def columns_of(
    table: Table, columns: str = "", group_by: str = "", *, to_train: bool = True
) -> Columns:
    """Returns the roles of the columns, from `columns` or else from their usual names.

    If no column has the usual name of a label, all remaining columns are labels, except those
    whose cells all differ, such as row numbers.

    Args:
      table: Table to use.
      columns: Roles by name, as in `tftransfer.Experiment`.
      group_by: Column or pattern of groups, as in `tftransfer.Experiment`.
      to_train: Whether the data are for training. Only then must all named columns exist; for
        other data, names without a column are ignored.

    Raises:
      UserError: A named column does not exist, or there are no labels.
    """
    item, texts = item_column(table, columns, to_train=to_train)
    header = table.header
    named = _named(columns, header, ("label", "split"), required=to_train)
    free = [name for name in header if name not in named.get("label", ())]
    usual_splits = [] if "split" in named else _with_usual_name(free, "split")
    splits = named.get("split") or [name for name in usual_splits if divides(table.rows, name)]
    groups = column_of_groups(header, group_by, required=to_train)
    others = [name for name in header if name and name not in (item, groups, *splits)]
    labels, notes = (
        named.get("label", []),
        [undivided_note(table.rows, name) for name in usual_splits if name not in splits],
    )
    if "split" not in named:
        notes += [divided_note(table.rows, name) for name in splits[:1] if name.lower() != "split"]
    if not labels:
        candidates = [name for name in others if name not in usual_splits] or others
        usual = _with_usual_name(others, "label")
        if "x" in map(str.lower, others):  # then y is a coordinate
            usual = [name for name in usual if name.lower() != "y"]
        labels, more = choose_labels(table.rows, usual, candidates)
        notes += more
    if not labels:
        raise UserError(
            f"{table.path} has no label column; its columns: {', '.join(header)}.",
            "Add a column named label, or name one by --columns=label=NAME.",
        )
    used = {item, groups, *labels, *splits[:1]}
    return Columns(
        item=item,
        texts=texts,
        labels=tuple(labels),
        split=next(iter(splits), ""),
        groups=groups,
        unused=tuple(printable(name) for name in header if name and name not in used),
        notes=tuple(notes),
    )


def item_column(table: Table, columns: str = "", *, to_train: bool = True) -> tuple[str, bool]:
    """Returns the column of paths or else of texts.

    Args:
      table: Table to use.
      columns: Roles by name, as in `tftransfer.Experiment`.
      to_train: Whether the data are for training, as in `columns_of`.

    Returns:
      The name of the column, and whether it has texts.

    Raises:
      UserError: There is no such column.
    """
    header = table.header
    named = _named(columns, header, ("path", "text"), required=to_train)
    if "text" in named and "path" in named:
        raise UserError(f"--columns={columns} names both paths and texts.", "Name one of them.")
    found = {role: named.get(role) or _with_usual_name(header, role) for role in ("path", "text")}
    if "path" in named or (found["path"] and "text" not in named):
        return found["path"][0], False
    if "text" in named:
        return found["text"][0], True
    cells = {name: [row[name] for row in table.rows.values()] for name in header if name}
    if found["text"]:
        name = found["text"][0]
        return name, not column_of_files(table.path, {name: cells[name]}, exactly=True)
    name = column_of_files(table.path, cells)
    if not name and (texts := column_of_texts(cells)):
        _check_words(table, texts, cells[texts])
        return texts, True
    if not name:
        _check_no_pixels(table)
        error = unknown_name("column", "path", header)
        raise UserError(
            f"{table.path} has neither a column of paths nor one of texts. {error.remedy}",
            "Name it path or text, or give --columns=text=NAME,label=NAME (or path=NAME).",
        )
    return name, False


def _check_words(table: Table, name: str, cells: Sequence[str]) -> None:
    """Checks that texts are not lists of numbers.

    Raises:
      UserError: They are.
    """
    numbers = cells[0].replace(",", " ").split()
    if len(numbers) < _MIN_PIXELS_A_SIDE**2 or not all(map(is_number, numbers)):
        return
    side = math.isqrt(len(numbers))
    raise UserError(
        f"{table.path}: the cells of the column {printable(name)} are {len(numbers):,} numbers, "
        "perhaps pixels, and no texts.",
        f"Read it in Python by pandas, and give ([numpy.array(cell.split(), 'uint8').reshape"
        f"({side}, {side}) for cell in frame[{name!r}]], frame['LABEL']) as data.",
    )


def _check_no_pixels(table: Table) -> None:
    """Checks that a table without paths and texts is not one of pixels.

    Raises:
      UserError: It has a square number of columns of numbers, up to a last one.
    """
    columns = {name: [row[name] for row in table.rows.values()] for name in table.header}
    numbers = [name for name, cells in columns.items() if all(map(is_number, cells))]
    side = math.isqrt(len(numbers))
    if side < _MIN_PIXELS_A_SIDE:
        return
    first = table.header.index(numbers[0]) + (len(numbers) > side * side)
    raise UserError(
        f"{table.path} has {len(numbers)} columns of numbers and none of paths or texts: perhaps "
        "pixels.",
        f"Read it in Python by pandas, and give (frame.iloc[:, {first}:{first + side * side}]"
        f".to_numpy('uint8').reshape(-1, {side}, {side}), frame['LABEL']) as data.",
    )


def item_warnings(table: Table, columns: str, item: str, *, texts: bool) -> tuple[str, ...]:
    """Returns that the column of paths or texts was recognized by its content, if it was.

    Args:
      table: Table to use.
      columns: Roles by name, as in `tftransfer.Experiment`.
      item: Name of the column.
      texts: Whether the column has texts.
    """
    role = "text" if texts else "path"
    named = _named(columns, table.header, (role,), required=False)
    if named or item in _with_usual_name(table.header, role):
        return ()
    why = "has the longest texts" if texts else "names existing files and is read as paths"
    others = [name for name in table.header if name and name != item]
    others = [name for name in others if name not in _with_usual_name(table.header, "label")]
    otherwise = f"--columns=text={others[0]} or --columns=path={others[0]}" if others else ""
    if not texts:
        otherwise = f"--columns=text={item}"
    text = f"the column {item} {why}" + (f"; {otherwise} reads it otherwise" if otherwise else "")
    return (printable(text),)


def _named(
    columns: str, header: Sequence[str], roles: Sequence[str], *, required: bool
) -> dict[str, list[str]]:
    """Parses `path=NAME,label=NAME`.

    Args:
      columns: Text to parse.
      header: Names of the columns.
      roles: Roles to return.
      required: Whether each name must be in the header; otherwise others are ignored.

    Returns:
      Role to names of columns.

    Raises:
      UserError: The text is malformed, or a name is in no header.
    """
    found: dict[str, list[str]] = {}
    for pair in filter(None, columns.split(",")):
        role, equals, name = (word.strip() for word in pair.partition("="))
        if not equals or not name:
            raise UserError(f"--columns={columns}: {pair!r} is not ROLE=NAME.", _REMEDY)
        if role not in USUAL_NAMES:
            raise unknown_name("role of a column", role, USUAL_NAMES)
        if role != "label" and role in found:
            raise UserError(f"--columns={columns} names two {role} columns.", _REMEDY)
        if required and role in roles and name not in header:
            raise unknown_name("column", name, header)
        if name in header:
            found.setdefault(role, []).append(name)
    return {role: names for role, names in found.items() if role in roles}


def _with_usual_name(header: Sequence[str], role: str) -> list[str]:
    return [name for name in header if _plain(name) in map(_plain, USUAL_NAMES[role])]


def _plain(name: str) -> str:
    """Returns a name in lower case, without what separates its words."""
    return name.lower().translate(str.maketrans("", "", " _-."))
