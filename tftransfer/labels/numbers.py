"""Numbers in cells: decimal commas, thousands separators, units; amounts or numbers of classes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tftransfer.core.typing import Array
from tftransfer.utils.errors import UserError

_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+", re.ASCII)
_GROUPS = re.compile(r"[+-]?\d{1,3}([.'\u2019 \u00a0\u202f]\d{3})+(,\d+)?", re.ASCII)
_ACCOUNT = re.compile(r"[$€£¥]?\d[\d.,]*", re.ASCII)
_BLANKS = " \u00a0\u202f"
_COMMA_GROUPS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", re.ASCII)
_UNIT = re.compile(r"([$€£¥]?)\s*([+-]?[\d.,]*\d)\s*(%|‰|°?[A-Za-zµ/²³]{1,6}|[€$£¥])?")
_OTHER_DIGITS = "digits or minus signs outside of ASCII are read as numbers"
_MAX_CLASS_NUMBERS = 20
# More different whole numbers than this, most of which occur once, are amounts.
_MIN_AMOUNTS = 10
_AMOUNTS = re.compile(
    r"age|price|count|years?|area|height|width|length|weight|size|amount|value|score|distance|"
    r"duration|time|seconds|temperature|income|salary|population|depth|speed|volume|mass|quantity|"
    r"total|cost"
)


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """A column of numbers.

    Attributes:
      values: The numbers, float64 [n].
      remark: How the cells were read, if they are no plain numbers.
    """

    values: Array
    remark: str = ""

    @property
    def whole(self) -> bool:
        """Whether all numbers are whole."""
        return bool(np.array_equal(self.values, np.round(self.values)))


def is_number(cell: str) -> bool:
    """Returns whether a cell is a plain decimal number."""
    return bool(_PLAIN.fullmatch(cell))


def read_numbers(cells: Sequence[str], where: str) -> Numbers | None:
    """Returns the numbers of a column, or None if some cell is not a number.

    Args:
      cells: Cells that are not empty.
      where: The column, for messages.

    Raises:
      UserError: A comma may separate decimals or thousands.
    """
    if not cells:
        return None
    plain = [_in_ascii(cell) for cell in cells]
    if plain != list(cells):
        found = read_numbers(plain, where)
        remark = "; ".join(filter(None, (_OTHER_DIGITS, found.remark))) if found else ""
        return replace(found, remark=remark) if found else None
    if all(map(is_number, cells)):
        return Numbers(values=np.array(cells, np.float64))
    grouped = all(is_number(cell) or _COMMA_GROUPS.fullmatch(cell) for cell in cells)
    european = _is_european(cells)
    if grouped and european:
        european = _has_decimal_commas(cells, where)
    if european:
        style = "a decimal comma" if any("," in cell for cell in cells) else "grouped thousands"
        return _converted(cells, [_from_european(cell) for cell in cells], style)
    if _are_accounts(cells):
        plain = [re.sub(r"\((.+)\)", r"-\1", cell) for cell in cells]
        found = read_numbers(plain, where)
        return found and replace(found, remark="numbers in parentheses are read as negative")
    if grouped:
        plain = [cell.replace(",", "") for cell in cells]
        return _converted(cells, plain, "commas between thousands")
    return _without_units(cells, where)


def _in_ascii(cell: str) -> str:
    """Returns a cell with ASCII digits and minus signs."""
    if cell.isascii():
        return cell
    digits = (str(unicodedata.decimal(each, each)) for each in cell)
    return "".join(digits).replace("\u2212", "-")


def _converted(cells: Sequence[str], plain: Sequence[str], style: str) -> Numbers:
    values = np.array(plain, np.float64)
    index = next(n for n, cell in enumerate(cells) if not is_number(cell))
    remark = f"numbers have {style}: {cells[index]!r} is read as {values[index]:.10g}"
    return Numbers(values=values, remark=remark)


def _is_european(cells: Sequence[str]) -> bool:
    """Returns whether all cells can be numbers with a decimal comma or grouped thousands."""
    patterns = (_DECIMAL_COMMA, _GROUPS, _PLAIN)
    if not all(any(pattern.fullmatch(cell) for pattern in patterns) for cell in cells):
        return False
    if any("," in cell for cell in cells):
        return True
    # Without a comma, blanks may also separate numbers of classes.
    several = len(set(cells)) > _MIN_AMOUNTS and 2 * len(set(cells)) > len(cells)
    return several or all(is_number(cell) or not set(cell) & set(_BLANKS) for cell in cells)


def _from_european(cell: str) -> str:
    if _GROUPS.fullmatch(cell):
        cell = re.sub(r"[.'\u2019\s]", "", cell)
    return cell.replace(",", ".")


def _are_accounts(cells: Sequence[str]) -> bool:
    """Returns whether cells are amounts, the negative ones in parentheses, as in accounts."""
    negative = [cell[1:-1] for cell in cells if cell[:1] == "(" and cell[-1:] == ")"]
    others = [cell for cell in cells if cell[:1] != "("]
    fractions = any("." in cell or "," in cell for cell in negative)
    return bool(others) and fractions and all(map(_ACCOUNT.fullmatch, (*negative, *others)))


def _has_decimal_commas(cells: Sequence[str], where: str) -> bool:
    """Returns whether commas are decimal where each could also group thousands.

    Raises:
      UserError: Both are possible.
    """
    without = [cell for cell in cells if "," not in cell]
    if any(re.match(r"[+-]?0\d*,", cell) for cell in cells):
        return True
    if any(abs(float(cell)) >= 1000 for cell in without):
        return True
    if any(cell.count(",") > 1 or "." in cell for cell in cells) or without:
        return False
    first = next(cell for cell in cells if "," in cell)
    raise UserError(
        f"{where}: {first!r} may be {first.replace(',', '.')} or {first.replace(',', '')}.",
        "Save the numbers with a decimal point, and without commas between thousands.",
    )


def _without_units(cells: Sequence[str], where: str) -> Numbers | None:
    """Returns numbers that all have the same unit, such as `12 %`; fractions or many of them."""
    matches = [_UNIT.fullmatch(cell) for cell in cells]
    units = {(match[1], match[3] or "") for match in matches if match}
    if not all(matches) or len(units) != 1 or units == {("", "")}:
        return None
    found = read_numbers([match[2] for match in matches if match], where)
    if found is None or (found.whole and not why_amounts(found.values)):
        return None
    unit = "".join(units.pop())
    more = f"; {found.remark}" if found.remark else ""
    return replace(found, remark=f"the unit {unit} of all numbers is removed{more}")


def why_amounts(values: Array, name: str = "") -> str:
    """Returns why whole numbers are amounts, such as ages or prices, or "" if they are classes.

    Args:
      values: Whole numbers, [n].
      name: Name of their column.
    """
    different = np.unique(values)
    count, low, high = len(different), different[0], different[-1]
    shown = f"{count:,} different whole numbers from {low:,.10g} to {high:,.10g}"
    if count > _MIN_AMOUNTS and len(values) < 2 * count:
        return f"{shown} for {len(values):,} examples"
    if count > _MIN_AMOUNTS and any(map(_AMOUNTS.fullmatch, re.split(r"[^a-z]+", name.lower()))):
        return f"{shown} in a column of amounts"
    numbered = low in (0, 1) and high - low < 2 * count
    if count > _MAX_CLASS_NUMBERS and not numbered:
        return f"{shown}, which do not number classes from 0 or 1"
    return ""
