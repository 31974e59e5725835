"""Objects with rows: shown as a table in a notebook, passed on as a data frame, CSV or LaTeX."""

from __future__ import annotations

import csv
import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tftransfer.utils.errors import UserError

if TYPE_CHECKING:
    import os

    import pandas

Row = Mapping[str, Any]
_LATEX_SPECIAL = re.compile(r"[\\{}$&#_%~^<>|]")
_LATEX_NAMES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}


class Tabular:
    """Base of the objects that have rows.

    A subclass implements `_rows`, and `_caption` where the table needs a title.
    """

    def _rows(self) -> Sequence[Row]:
        """Returns the rows, each from column name to value; a row may lack a column."""
        raise NotImplementedError

    def _caption(self) -> str:
        """Returns the title of the table in a notebook."""
        return ""

    def to_frame(self) -> pandas.DataFrame:
        """Returns the rows as a `pandas.DataFrame`, one column per key.

        Raises:
          UserError: If pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise UserError(
                "to_frame() needs pandas, which is not installed.", "pip install pandas"
            ) from None
        return pandas.DataFrame([dict(row) for row in self._rows()])

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Writes the rows as a CSV file with a header.

        Args:
          path: The file, which is replaced.
        """
        rows = self._rows()
        with Path(path).expanduser().open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns_of(rows))
            writer.writeheader()
            writer.writerows(rows)

    def to_latex(self) -> str:
        """Returns the rows as a LaTeX `tabular` with the rules of the package booktabs."""
        return latex_table(self._rows())

    def _repr_html_(self) -> str:
        """Returns the table that Jupyter shows; all texts are escaped."""
        return html_table(self._rows(), self._caption())


def columns_of(rows: Sequence[Row]) -> list[str]:
    """Returns the names of all columns, in the order of their first appearance."""
    return list(dict.fromkeys(name for row in rows for name in row))


def text_of_cell(value: object) -> str:
    """Returns a value as text: floats with four decimals, or four digits below 0.001."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}" if not value or abs(value) >= 1e-3 else f"{value:.4g}"
    return str(value)


def html_table(rows: Sequence[Row], caption: str = "") -> str:
    """Returns an HTML table; all texts are escaped.

    Args:
      rows: The rows, each from column name to value.
      caption: The title above the table; empty for none.
    """
    columns = columns_of(rows)
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>"
        + "".join(f"<td>{html.escape(text_of_cell(row.get(name)))}</td>" for name in columns)
        + "</tr>"
        for row in rows
    )
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def latex_table(rows: Sequence[Row]) -> str:
    """Returns a LaTeX `tabular`: numbers are aligned right, special characters are escaped."""
    columns = columns_of(rows)
    numeric = [all(isinstance(row.get(name), int | float) for row in rows) for name in columns]
    lines = [
        rf"\begin{{tabular}}{{{''.join('r' if number else 'l' for number in numeric)}}}",
        r"\toprule",
        _latex_line(columns),
        r"\midrule",
        *(_latex_line([text_of_cell(row.get(name)) for name in columns]) for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _latex_line(cells: Sequence[str]) -> str:
    return " & ".join(_LATEX_SPECIAL.sub(_latex_escape, cell) for cell in cells) + r" \\"


def _latex_escape(found: re.Match[str]) -> str:
    return _LATEX_NAMES.get(found[0], f"\\{found[0]}")
