"""Which columns of a table are labels, and which only look like labels or splits."""

from __future__ import annotations

import difflib
import re
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from tftransfer.data.examples import SPLIT_NAMES
from tftransfer.labels.flags import flags_of_cells
from tftransfer.labels.numbers import is_number, read_numbers, why_amounts
from tftransfer.utils.console import printable
from tftransfer.utils.errors import UserError
from tftransfer.utils.wording import listed

_Rows = Mapping[int, Mapping[str, str]]
# In smaller tables, all labels may differ by chance.
_MIN_ROWS_OF_IDENTIFIERS = 10
# Names in more different spellings per row than this identify rows or describe them.
_MAX_NAMES_PER_ROW = 0.5
_MIN_ROWS_OF_NAMES = 20
_FOLDS = ("fold", "folds", "fold_id", "kfold", "k_fold", "cv_fold")
_SIMILAR = 0.75
_MAX_LISTED = 3
_SPLIT = re.compile(r"train(ing)?|\w*test(ing)?|val(id(ation)?)?|dev|holdout", re.IGNORECASE)
_SPLITS_NOTE = (
    "the column {0} names splits and is no label; --columns={split} uses it, where its cells are "
    "train, val and test"
)
_DATE = re.compile(r"(\d{4}([-/.])\d\d?\2\d\d?|\d\d?([-/.])\d\d?\3(\d{4}|\d\d))([ T][\d:.]+\S*)?")
_DATES_NOTE = "the column {0} holds dates and is no label; --columns={label} uses it"
_UNIT = re.compile(
    r"(patient|subject|participant|person|speaker|user|author|session|study|video|scene|animal)"
    r"s?[ _-]?(id|no|nr|number|code)|patient|subject|participant",
    re.IGNORECASE,
)
_UNIT_NOTE = (
    "the column {0} names units and is no label; --group_by={group} keeps each in one split, "
    "--columns={label} reads labels"
)
_ONLY_DATES_NOTE = (
    "the column {0} holds dates, each of which is a class; --columns=label=NAME names another"
)


def choose_labels(
    rows: _Rows, usual: Sequence[str], others: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Returns the label columns, and notes of how they were chosen.

    Args:
      rows: Row number to cells by column.
      usual: Columns with a usual name of labels.
      others: Columns without another role, which are labels if `usual` is empty. Then identifiers,
        folds, constants, and numbers next to names are no labels, if others remain.
    """
    if usual:
        _, notes = _without(rows, [*usual, *others], _names_splits, _SPLITS_NOTE)
        kept, twins = _without_twins(rows, usual)
        return kept, [*notes, *twins]
    labels = [name for name in others if not _identifies_rows(_cells(rows, name))] or list(others)
    labels, notes = _without(rows, labels, _names_splits, _SPLITS_NOTE)
    labels, more = _without(rows, labels, _holds_dates, _DATES_NOTE)
    notes += more
    labels, more = _without_units(labels)
    notes += more
    labels, more = _without_folds(labels)
    notes += more
    chosen, more = _of_one_type(rows, labels)
    notes += more + _constant_notes(rows, [name for name in labels if name not in chosen])
    kept, twins = _without_twins(rows, chosen)
    dates = [_ONLY_DATES_NOTE.format(n) for n in kept if _holds_dates(_cells(rows, n))]
    return kept, [*notes, *twins, *map(printable, dates)]


def _constant_notes(rows: _Rows, others: Sequence[str]) -> list[str]:
    same = [name for name in others if len(set(_cells(rows, name))) < 2]
    note = "columns that are the same in every row are no labels"
    return [printable(f"{note}: {listed(same)}")] if same else []


def divides(rows: _Rows, name: str) -> bool:
    """Returns whether a column names splits, perhaps with an error in the spelling."""
    cells = {cell.lower() for cell in _cells(rows, name)} - {""}
    if not cells:
        return True
    if "invalid" in cells:  # which is like valid in letters only
        return False
    known = sum(cell in SPLIT_NAMES for cell in cells)
    if 2 * known >= len(cells):
        return True
    return all(difflib.get_close_matches(cell, SPLIT_NAMES, cutoff=_SIMILAR) for cell in cells)


def divided_note(rows: _Rows, name: str) -> str:
    """Returns the note of a column of splits that has another name than `split`."""
    counts = Counter(cell or "no split" for cell in _cells(rows, name))
    found = ", ".join(f"{cell} {count:,}" for cell, count in counts.most_common(_MAX_LISTED))
    return printable(
        f"the column {name} divides the data: {found}; --columns={shlex.quote(f'label={name}')} "
        "makes it a label"
    )


def undivided_note(rows: _Rows, name: str) -> str:
    """Returns the note of a column that has a usual name of splits and no splits."""
    cells = list(dict.fromkeys(cell for cell in _cells(rows, name) if cell))[:_MAX_LISTED]
    return printable(
        f"the column {name} is not read as splits: it holds {', '.join(cells)}, not train, val or "
        "test; --columns=split=NAME names another column, "
        f"--columns={shlex.quote(f'label={name}')} reads labels"
    )


def _cells(rows: _Rows, name: str) -> list[str]:
    return [row[name].strip() for row in rows.values()]


def _identifies_rows(cells: Sequence[str]) -> bool:
    """Returns whether all cells of a column differ, and are neither measurements nor missing."""
    if len(cells) < _MIN_ROWS_OF_IDENTIFIERS or len(set(cells)) < len(cells):
        return False
    try:
        numbers = read_numbers(cells, "")
    except UserError:  # of a comma, hence numbers
        return False
    return numbers is None or (numbers.whole and not numbers.remark)


def _note(text: str, name: str) -> str:
    """Returns a note about a column, with flags that can be pasted."""
    label, split = shlex.quote(f"label={name}"), shlex.quote(f"split={name}")
    return printable(text.format(name, label=label, split=split, group=shlex.quote(name)))


def _without(
    rows: _Rows, labels: Sequence[str], test: Callable[[Sequence[str]], bool], note: str
) -> tuple[list[str], list[str]]:
    """Returns the columns whose cells do not pass a test, if there are any, and notes."""
    passed = [name for name in labels if test(_cells(rows, name))]
    rest = [name for name in labels if name not in passed]
    return (rest, [_note(note, name) for name in passed]) if rest else (list(labels), [])


def _names_splits(cells: Sequence[str]) -> bool:
    different = {cell for cell in cells if cell}
    training = any(cell.lower().startswith("train") for cell in different)
    return len(different) > 1 and training and all(map(_SPLIT.fullmatch, different))


def _holds_dates(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell]
    return bool(filled) and all(map(_DATE.fullmatch, filled))


def _without_units(labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the columns without those that name patients and the like, if others remain."""
    units = [name for name in labels if _UNIT.fullmatch(name)]
    rest = [name for name in labels if name not in units]
    if not rest:
        return list(labels), []
    return rest, [_note(_UNIT_NOTE, name) for name in units]


def _without_folds(labels: Sequence[str]) -> tuple[list[str], list[str]]:
    folds = [name for name in labels if name.lower() in _FOLDS]
    rest = [name for name in labels if name not in folds]
    if not folds or not rest:
        return list(labels), []
    note = (
        f"the column {folds[0]} numbers folds and is no label; --group_by={folds[0]} keeps each "
        "fold in one split"
    )
    return rest, [printable(note)]


def _of_one_type(rows: _Rows, labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns columns of 0 and 1, or else those of names and class numbers, or else numbers."""
    constant = [name for name in labels if len(set(_cells(rows, name))) < 2]
    varied = [name for name in labels if name not in constant]
    flags = [name for name in labels if _has_flags(_cells(rows, name))]
    if len(set(flags) & set(varied)) > 1 and set(varied) <= set(flags):
        return flags, []
    if not varied:
        return list(labels), []
    numbers = [name for name in varied if _is_amount(_cells(rows, name), name)]
    classes = [name for name in varied if name not in numbers]
    texts = [name for name in classes if _describes_rows(_cells(rows, name))]
    classes = [name for name in classes if name not in texts] or classes
    names = [name for name in classes if not _has_numbers(rows, name)]
    if not names or not numbers:
        return [name for name in varied if name not in texts] or varied, []
    note = (
        f"columns of numbers next to columns of classes are no labels: {', '.join(numbers)}; "
        f"to predict one give --columns=label={numbers[0]} --problem_type=regression"
    )
    return classes, [printable(note)]


def _has_flags(cells: Sequence[str]) -> bool:
    if set(cells) <= {"0", "0.0", "false", "no"}:
        return True
    return "" not in cells and flags_of_cells([[cell] for cell in cells]) is not None


def _is_amount(cells: Sequence[str], name: str) -> bool:
    try:
        numbers = read_numbers([cell for cell in cells if cell], "")
    except UserError:
        return True
    return bool(numbers and (not numbers.whole or why_amounts(numbers.values, name)))


def _describes_rows(cells: Sequence[str]) -> bool:
    many = len(set(cells)) > _MAX_NAMES_PER_ROW * len(cells)
    return many and len(cells) >= _MIN_ROWS_OF_NAMES


def _without_twins(rows: _Rows, labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the columns without those that repeat another one in other words."""
    kept: list[str] = []
    notes = []
    for name in labels:
        twin = next((each for each in kept if _are_twins(rows, each, name)), None)
        if twin is None:
            kept.append(name)
            continue
        better = name if _has_numbers(rows, twin) and not _has_numbers(rows, name) else twin
        worse = twin if better == name else name
        kept[kept.index(twin)] = better
        row = next(iter(rows.values()))
        notes.append(
            printable(
                f"columns {twin} and {name} hold the same labels (such as {row[worse].strip()} and "
                f"{row[better].strip()}), so {better} is the label; --columns=label={worse} uses "
                "the other"
            )
        )
    return kept, notes


def _are_twins(rows: _Rows, first: str, second: str) -> bool:
    """Returns whether each label of a column goes with one label of the other, and recurs."""
    if _is_amount(_cells(rows, first), first) or _is_amount(_cells(rows, second), second):
        return False
    ones, others = _cells(rows, first), _cells(rows, second)
    pairs = set(zip(ones, others))
    same = len(pairs) == len(set(ones)) == len(set(others))
    return same and len(pairs) > 1 and len(rows) >= 2 * len(pairs)


def _has_numbers(rows: _Rows, name: str) -> bool:
    return all(map(is_number, _cells(rows, name)))
