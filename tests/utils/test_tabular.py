"""Objects with rows: HTML, data frame, CSV and LaTeX."""

import sys

import pytest

import tftransfer
from tftransfer.utils.tabular import Tabular, html_table, text_of_cell

ROWS = [
    {"recipe": "fine_tune & <b>", "value": 0.98765432, "count": 3},
    {"recipe": "50 % of_it", "value": 1e-5, "more": None},
]


class Rows(Tabular):
    def _rows(self):
        return ROWS

    def _caption(self):
        return "a < b"


def test_html_texts_are_escaped():
    html = Rows()._repr_html_()
    assert "<caption>a &lt; b</caption>" in html
    assert "<td>fine_tune &amp; &lt;b&gt;</td><td>0.9877</td><td>3</td><td></td>" in html
    assert "<b>" not in html


def test_html_without_rows_is_an_empty_table():
    assert html_table([]) == "<table><thead><tr></tr></thead><tbody></tbody></table>"


def test_csv_is_read_back_by_pandas(tmp_path):
    pandas = pytest.importorskip("pandas")
    Rows().to_csv(tmp_path / "rows.csv")
    read, frame = pandas.read_csv(tmp_path / "rows.csv"), Rows().to_frame()
    assert list(frame.columns) == list(read.columns) == ["recipe", "value", "count", "more"]
    assert read["value"].tolist() == frame["value"].tolist() == [0.98765432, 1e-5]


def test_to_frame_without_pandas_names_the_command_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(tftransfer.UserError, match="pip install pandas"):
        Rows().to_frame()


def test_latex_special_characters_are_escaped():
    assert Rows().to_latex().splitlines() == [
        r"\begin{tabular}{lrll}",
        r"\toprule",
        r"recipe & value & count & more \\",
        r"\midrule",
        r"fine\_tune \& \textless{}b\textgreater{} & 0.9877 & 3 &  \\",
        r"50 \% of\_it & 1e-05 &  &  \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (0.0, "0.0000"), (12.5, "12.5000"), (3, "3"), ("a", "a")]
)
def test_text_of_cell_of_each_type(value, text):
    assert text_of_cell(value) == text
