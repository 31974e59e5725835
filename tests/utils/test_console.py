import pytest

from tftransfer.utils.console import printable


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("red/größe 猫.png", "red/größe 猫.png"),
        ("1\u202fPM\u00a0é", "1\u202fPM\u00a0é"),
        ("a\nb\r\t\0", "a\\nb\\r\\t\\x00"),
        ("\x1b[31mred\x85\u2028", "\\x1b[31mred\\x85\\u2028"),
        ("\udcff.png", "\\udcff.png"),
        ("", ""),
    ],
)
def test_names_are_said_on_one_line_and_give_no_orders_to_the_terminal(text, said):
    assert printable(text) == said
    assert len(said.splitlines()) <= 1
