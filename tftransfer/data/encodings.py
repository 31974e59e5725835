"""Encodings of texts that are not UTF-8, from all lines of a table or all files of a folder."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tftransfer.data.examples import read_item
from tftransfer.utils.console import printable
from tftransfer.utils.errors import UserError
from tftransfer.utils.text_encoding import decode_text, detect_encoding

DEFAULT = "windows-1252"
# Encodings to try, the more frequent first; the name of the letters that their texts have.
_LETTERS = {
    DEFAULT: "LATIN",
    "cp1250": "LATIN",
    "cp1254": "LATIN",
    "mac_roman": "LATIN",
    "cp850": "LATIN",
    "cp1251": "CYRILLIC",
    "koi8_r": "CYRILLIC",
    "cp866": "CYRILLIC",
    "cp1253": "GREEK",
    "cp1255": "HEBREW",
    "cp1256": "ARABIC",
    "gb18030": "CHINESE",
    "big5": "CHINESE",
    "cp932": "JAPANESE",
    "euc_jp": "JAPANESE",
    "cp949": "KOREAN",
}
# Rows of double-byte encodings with the usual characters; rarer ones follow them.
_USUAL_ROWS = {
    "CHINESE": ("gb2312", 0xB0, 0xD7),
    "JAPANESE": ("euc_jp", 0xB0, 0xCF),
    "KOREAN": ("euc_kr", 0xB0, 0xC8),
}
_USUAL_BIG5 = (0xA4, 0xC6)
_ACCENTED = set("àáâãäåæçèéêëìíîïñòóôõöøùúûüýÿßœšžąćęłńśźżčďěňřťůőűğışăîșțđ")
_MARKS = set("«»“”„‘’‚–—…•€£§°©®™¡¿´·、。，！？「」・ー½¼×")
# Marks that may be between two letters, without blanks.
_INSIDE_WORDS = set("’‘´·–—…ー・")
# Encodings of Western texts, of which a few bytes show the one, by capitals and marks inside words.
_WESTERN = (DEFAULT, "mac_roman", "cp850")
_WORD = re.compile(r"[^\W\d_]+")
_MAX_SAMPLE = 20_000  # characters that are not ASCII
# Fewer bytes that are not ASCII, or a lower fraction, are too few to know their encoding.
_MIN_BYTES = 12
_MIN_PLAUSIBLE = 0.8
_MARGIN = 0.1
_MAX_SHOWN = 40
_INVALID = "\ufffd"
_MAX_BYTES = 4 << 20


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """The encoding of some texts.

    Attributes:
      name: Name of the encoding, as Python has it.
      warning: How the texts are read, with a line to check it; "" for UTF-8.
    """

    name: str
    warning: str = ""

    def decode(self, data: bytes) -> str:
        """Returns a text; invalid bytes become U+FFFD, and a byte order mark is removed."""
        if self.name == DEFAULT:
            return decode_text(data)
        return data.decode(self.name, "replace").removeprefix("\ufeff")


def check_encoding(name: str) -> None:
    """Checks the name of an encoding.

    Raises:
      UserError: Python has no encoding of this name.
    """
    try:
        codecs.lookup(name)
    except LookupError:
        raise UserError(
            f"There is no encoding named {name!r}.",
            f"Give auto or one of utf-8, utf-16, {', '.join(_LETTERS)}, or another of Python.",
        ) from None


def find_encoding(lines: Iterable[bytes], source: str, encoding: str = "auto") -> Encoding:
    """Returns the encoding of lines that are not all UTF-8.

    Each candidate decodes the lines; the one whose letters are most plausible for its language is
    taken. `charset-normalizer` decides between candidates of equal plausibility.

    Args:
      lines: Lines or files, of which those in ASCII do not matter.
      source: Name of the table or folder, for messages.
      encoding: Encoding that the user gave; `auto` finds it.

    Raises:
      UserError: Two encodings are equally plausible and give different texts, or most lines have
        bytes that are invalid in the given encoding.
    """
    if encoding != "auto":
        check_encoding(encoding)
        found = Encoding(name=encoding)
        texts = [found.decode(line) for line in lines]
        return Encoding(name=encoding, warning=invalid_bytes(texts, source, encoding))
    sample = _sample(lines)
    if _non_ascii(sample) < _MIN_BYTES:
        return _reported(_western(sample), sample, source)
    scores = {name: _plausibility(sample, name) for name in _LETTERS}
    best = max(scores.values())
    if scores[DEFAULT] >= max(_MIN_PLAUSIBLE, best - _MARGIN / 2):
        return _reported(DEFAULT, sample, source)
    near = [name for name, score in scores.items() if score >= max(best - _MARGIN, 0.3)]
    name = _by_charset_normalizer(sample, near) if len(near) > 1 else next(iter(near), "")
    if not name or best < _MIN_PLAUSIBLE:
        raise _in_doubt(source, sample, near)
    return _reported(name, sample, source)


def invalid_bytes(texts: Iterable[str], source: str, encoding: str) -> str:
    """Returns a warning of texts that had bytes that are invalid in the encoding, or "".

    Args:
      texts: Decoded texts, with U+FFFD for each invalid byte.
      source: Name of the table or folder.
      encoding: Encoding that the user gave.

    Raises:
      UserError: Most of the texts that are not ASCII had such bytes.
    """
    others = [text for text in texts if not text.isascii()]
    invalid = [text for text in others if _INVALID in text]
    if not invalid:
        return ""
    has = "line has" if len(invalid) == 1 else "lines have"
    what = f"{len(invalid):,} {has} bytes that are invalid in {encoding}"
    if 2 * len(invalid) > len(others):
        raise UserError(
            f"{source} is not in the encoding {encoding}: {what}.",
            "Omit --encoding, which detects it, or give the right one.",
        )
    return printable(f"{source} is read as {encoding}: {what}, for example {_shown(invalid[0])!r}")


def _western(sample: bytes) -> str:
    """Returns the most plausible encoding of a Western text, Windows-1252 in doubt."""
    scores = {name: _plausibility(sample, name) for name in _WESTERN}
    best = max(scores, key=scores.__getitem__)
    return best if scores[best] >= max(_MIN_PLAUSIBLE, scores[DEFAULT] + _MARGIN) else DEFAULT


def _sample(lines: Iterable[bytes]) -> bytes:
    found, count = [], 0
    for line in lines:
        if not line.isascii():
            found.append(line.strip(b"\r\n"))
            count += _non_ascii(line)
        if count > _MAX_SAMPLE:
            break
    return b"\n".join(found)


def _non_ascii(data: bytes) -> int:
    return sum(byte > 127 for byte in data)


def _plausibility(sample: bytes, encoding: str) -> float:
    """Returns the fraction of the non-ASCII characters that a text of its language has, 0 to 1."""
    try:
        text = decode_text(sample) if encoding == DEFAULT else sample.decode(encoding)
    except UnicodeDecodeError:
        return 0.0
    script = _LETTERS[encoding]
    usual = _usual_character(script, encoding)
    total, good = 0, 0
    for word in _WORD.findall(text):
        letters = [each for each in word if not each.isascii()]
        total += len(letters)
        if letters and _is_plausible_word(word, letters, script):
            good += sum(map(usual, letters))
    others = [each.start() for each in re.finditer(r"[^\x00-\x7f]", text) if not each[0].isalpha()]
    good += sum(_is_plausible_mark(text, place) for place in others)
    return good / max(1, total + len(others))


def _is_plausible_mark(text: str, place: int) -> bool:
    """Returns whether a character is a usual mark, and not in the middle of a word."""
    if text[place] not in _MARKS:
        return False
    if text[place] in "‚„" and text[max(0, place - 1) : place].isalpha():  # they open quotations
        return False
    inside = text[max(0, place - 1) : place].isalpha() and text[place + 1 : place + 2].isalpha()
    return not inside or text[place] in _INSIDE_WORDS or not text[place - 1].isascii()


def _is_plausible_word(word: str, letters: list[str], script: str) -> bool:
    """Returns whether a word has one script, and capitals at its start only or everywhere."""
    if script in _USUAL_ROWS:
        return True
    cased = word[1:].islower() or word.isupper() or len(word) == 1
    if script == "LATIN":
        return cased and (len(word) < 3 or 3 * len(letters) <= 2 * len(word))
    return len(letters) == len(word) and (cased or script in ("HEBREW", "ARABIC"))


def _usual_character(script: str, encoding: str) -> Callable[[str], bool]:
    if script == "LATIN":
        return lambda letter: letter.lower() in _ACCENTED
    if script not in _USUAL_ROWS:
        return lambda letter: unicodedata.name(letter, "").startswith(script)
    codec, first, last = _USUAL_ROWS[script]
    if encoding == "big5":
        codec, (first, last) = "big5", _USUAL_BIG5

    def is_usual(letter: str) -> bool:
        if script == "JAPANESE" and "\u3041" <= letter <= "\u30ff":
            return True
        code = letter.encode(codec, "ignore")
        return len(code) == 2 and first <= code[0] <= last

    return is_usual


def _by_charset_normalizer(sample: bytes, names: list[str]) -> str:
    """Returns the name that charset-normalizer prefers, or "" where it knows none of them."""
    texts = {sample.decode(name, "replace"): name for name in reversed(names)}
    if len(texts) == 1:
        return names[0]
    from charset_normalizer import from_bytes

    matches = from_bytes(sample, cp_isolation=names)
    ranked = sorted(matches, key=lambda match: -match.coherence)
    found = [texts[str(match)] for match in ranked if str(match) in texts]
    return found[0] if found else ""


def _reported(name: str, sample: bytes, source: str) -> Encoding:
    encoding = Encoding(name=name)
    line = _shown(encoding.decode(sample))
    warning = (
        f"{source} is read as {name}, for example {line!r}; if that is wrong, give another, such "
        f"as --encoding={_another(name)}"
    )
    return Encoding(name=name, warning=printable(warning))


def _another(name: str) -> str:
    """Returns the encoding with which a text in this one is most often confused."""
    letters = _LETTERS[name]
    same = [other for other, its in _LETTERS.items() if its == letters and other != name]
    return [*same, DEFAULT][0]


def _in_doubt(source: str, sample: bytes, names: list[str]) -> UserError:
    names = (names or [DEFAULT, "cp1251", "gb18030"])[:3]
    readings = [f"{name}: {_shown(sample.decode(name, 'replace'))!r}" for name in names]
    return UserError(
        printable(f"{source} is not UTF-8, and its encoding is unclear; {', '.join(readings)}."),
        f"Give the right one, such as --encoding={names[0]}, or save it as UTF-8.",
    )


def _shown(text: str) -> str:
    """Returns the beginning of the first line that is not ASCII."""
    line = next((line for line in text.splitlines() if not line.isascii()), "")
    return line[:_MAX_SHOWN] + "..." * (len(line) > _MAX_SHOWN)


def is_utf8(data: bytes) -> bool:
    """Returns whether a text is UTF-8, or has a byte order mark."""
    return detect_encoding(data) != DEFAULT


def utf16_without_mark(data: bytes) -> str:
    """Returns the byte order of UTF-16 without a byte order mark, or "" for other data."""
    if detect_encoding(data[:2]).startswith("utf-16"):  # it has a mark
        return ""
    head = data[:4096]
    even, odd = head[::2].count(0), head[1::2].count(0)
    if 4 * max(even, odd) < len(head) or 8 * min(even, odd) > len(head):
        return ""
    name = "utf-16-le" if odd > even else "utf-16-be"
    try:
        text = data.decode(name)
    except UnicodeDecodeError:
        return ""
    return "" if "\0" in text else name


def recoded(
    items: Sequence[str | bytes], encoding: str = "auto"
) -> tuple[Sequence[str | bytes], tuple[str, ...]]:
    """Returns texts with those that are not UTF-8 as UTF-8, and how they were read.

    Texts in Windows-1252 and with a byte order mark stay as they are.

    Args:
      items: Paths of text files, or texts in bytes.
      encoding: Encoding of the texts that are not UTF-8; `auto` detects it.

    Raises:
      UserError: Most of the texts are not UTF-8, and their encoding is unclear.
    """
    texts = {number: data for number, data in _not_utf8(items)}
    if not texts:
        return items, ()
    marked = {n: name for n, data in texts.items() if (name := utf16_without_mark(data))}
    rest = [data for n, data in texts.items() if n not in marked and b"\0" not in data]
    try:
        found = find_encoding(rest, f"the {len(rest):,} texts that are not UTF-8", encoding)
    except UserError:
        if 2 * len(rest) > len(items):
            raise
        found = Encoding(name=DEFAULT)
    converted = {n: texts[n].decode(name).encode() for n, name in marked.items()}
    if found.name != DEFAULT:
        converted |= {
            n: found.decode(data).encode()
            for n, data in texts.items()
            if n not in marked and b"\0" not in data
        }
    warnings = [found.warning] if found.name != DEFAULT and found.warning else []
    if marked:
        warnings.append(f"{len(marked):,} texts are read as UTF-16 without a byte order mark")
    return [converted.get(number, item) for number, item in enumerate(items)], tuple(warnings)


def _not_utf8(items: Sequence[str | bytes]) -> Iterator[tuple[int, bytes]]:
    for number, item in enumerate(items):
        try:
            is_long = isinstance(item, str) and Path(item).stat().st_size > _MAX_BYTES
            data = b"" if is_long else read_item(item)
        except OSError:
            continue  # the scan reports it
        if data and (not is_utf8(data) or b"\0" in data[:64]):
            yield number, data
