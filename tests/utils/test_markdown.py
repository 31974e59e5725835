"""Texts in Markdown are shown as they are; `markdown-it` is the reader where it is installed."""

import pytest

from tftransfer.utils import markdown

NAMES = [
    "a|b",
    "*star*",
    "_background_noise_",
    "-x",
    "- x",
    "=1+1",
    'the "hi"',
    "one, two",
    "#5",
    "# 5",
    "50%",
    "<b>",
    "&lt;",
    "$x$",
    "`code`",
    "[a](b)",
    "~~a~~",
    "1. one",
    "a\\b",
    ":smile:",
    "0.5",
]


def test_escape_marks_what_markdown_would_interpret():
    assert [markdown.escape(name) for name in NAMES] == [
        r"a\|b",
        r"\*star\*",
        r"\_background_noise\_",
        "-x",
        r"\- x",
        "=1+1",
        'the "hi"',
        "one, two",
        "#5",
        r"\# 5",
        "50%",
        r"\<b\>",
        r"\&lt;",
        r"\$x\$",
        r"\`code\`",
        r"\[a\](b)",
        r"\~\~a\~\~",
        r"1\. one",
        r"a\\b",
        r"\:smile:",
        "0.5",
    ]
    assert markdown.escape("two\nlines") == r"two\\nlines"


@pytest.mark.parametrize("name", NAMES)
def test_escaped_cell_is_read_as_the_name(name):
    parser = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table")
    tokens = parser.parse("\n".join(markdown.table(["class"], [[name]])))
    cells = [token for token in tokens if token.type == "inline"]
    assert ["".join(part.content for part in cell.children) for cell in cells] == ["class", name]


def test_table_has_as_many_cells_as_columns_in_every_line():
    lines = markdown.table(["a", "b"], [["x|y", "1"], ["|", "2"]])
    assert [line.replace("\\|", "").count("|") for line in lines] == [3, 3, 3, 3]


def test_code_is_fenced_by_more_backticks_than_it_holds():
    assert markdown.code("a_b | c") == "`a_b | c`"
    assert markdown.code("a`b") == "`` a`b ``"
