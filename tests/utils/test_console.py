import pytest

from tftransfer.utils.console import printable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("red/größe 猫.png", "red/größe 猫.png"),
        ("1\u202fPM\u00a0é", "1\u202fPM\u00a0é"),
        ("a\nb\r\t\0", "a\\nb\\r\\t\\x00"),
        ("\x1b[31mred\x85\u2028", "\\x1b[31mred\\x85\\u2028"),
        ("\udcff.png", "\\udcff.png"),
        ("", ""),
    ],
)
def test_printable_is_one_line_without_control_characters(text, expected):
    assert printable(text) == expected
    assert len(expected.splitlines()) <= 1
