"""Files of word vectors: GloVe's text, word2vec's text and binary, fastText's .vec."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np

from tftransfer.core.typing import Array
from tftransfer.utils.errors import UserError

# As many as GloVe's smaller files hold; later words are rarer.
MAX_WORDS = 400_000
_MAX_WORD_BYTES = 1000
_MAX_FIRST_LINE_BYTES = 1 << 20
_PEEK_BYTES = 4096
# A file is given up after so many wrong lines before the first right one.
_MAX_WRONG_LINES = 100
_LINE_END = b"\n"
_GZIP_MAGIC = b"\x1f\x8b"
_FASTTEXT_MAGIC = (793712314).to_bytes(4, "little")

# A word and its vector, or what is wrong with a line.
Entry: TypeAlias = tuple[str, Array] | str


@dataclass(frozen=True, kw_only=True)
class WordVectors:
    """Words, most frequent first, and their vectors.

    Attributes:
      words: The words as they are in the file.
      vectors: Their vectors, float32 [n, d].
      format: Format of the file, in words.
      remarks: What was skipped in the file.
    """

    words: tuple[str, ...]
    vectors: Array
    format: str
    remarks: tuple[str, ...] = ()


def read_word_vectors(path: Path, *, max_words: int = MAX_WORDS) -> WordVectors:
    """Reads a file of word vectors, plain or gzipped, whose format is detected by its content.

    Args:
      path: GloVe (a line `word v1 ... vd` per word), word2vec text or fastText .vec (the same
        after a line `count d`), or word2vec binary (that line, then `word ` and d float32 each).
      max_words: Number of words that are read, from the beginning.

    Raises:
      UserError: The file does not exist, or holds no word vectors.
    """
    try:
        with _open(path) as file:
            if file.read(len(_FASTTEXT_MAGIC)) == _FASTTEXT_MAGIC:
                raise UserError(
                    f"{path} is a model of fastText (.bin), a format that is not supported.",
                    "Give the file of vectors that fastText writes next to it (.vec).",
                )
            file.seek(0)
            found, wrong, format_name = _read(file, max_words)
            more = bool(file.read(1))
    except (OSError, EOFError) as error:
        raise UserError(f"{path} cannot be read: {error}", "Check --weights.") from None
    if not found:
        raise UserError(
            f"{path} holds no word vectors: no line is a word and its numbers.",
            "Give a file of GloVe, word2vec or fastText (.vec).",
        )
    remarks = []
    if wrong:
        remarks.append(f"{len(wrong):,} lines of {path.name} are no word vectors: {wrong[0]}")
    if more:
        remarks.append(f"only the first {max_words:,} words of {path.name} are used")
    return WordVectors(
        words=tuple(found),
        vectors=np.stack(list(found.values())),
        format=format_name,
        remarks=tuple(remarks),
    )


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        gzipped = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    return gzip.open(path) if gzipped else path.open("rb")  # type: ignore[return-value]


def _read(file: IO[bytes], max_words: int) -> tuple[dict[str, Array], list[str], str]:
    """Returns vectors by word, what is wrong with some lines, and the name of the format."""
    first = file.readline(_MAX_FIRST_LINE_BYTES)
    header = first.split()
    if len(header) == 2 and all(field.isdigit() for field in header):
        count, width = map(int, header)
        start = file.read(_PEEK_BYTES)
        rest = _PeekedFile(start, file)
        if _is_binary(start, width):
            entries = _binary_entries(rest, count, width)
            return *_collect(entries, max_words), "word2vec binary"
        return *_collect(_text_entries(rest, 2, width), max_words), "word2vec text"
    width = len(first.split(b" ")) - 1 if b" " in first else len(header) - 1
    entries = _text_entries(_PeekedFile(first, file), 1, width)
    return *_collect(entries, max_words), "GloVe text"


class _PeekedFile:
    """A file of which some bytes were read already; they are read again first.

    Args:
      start: The bytes that were read.
      file: The file, at the position after them.
    """

    def __init__(self, start: bytes, file: IO[bytes]):
        self._start, self._file = start, file

    def read(self, count: int) -> bytes:
        first, self._start = self._start[:count], self._start[count:]
        return first + self._file.read(count - len(first)) if len(first) < count else first

    def readline(self) -> bytes:
        end = self._start.find(_LINE_END) + 1
        if end:
            return self.read(end)
        first, self._start = self._start, b""
        return first + self._file.readline()


def _is_binary(start: bytes, width: int) -> bool:
    """Returns whether a word and float32, rather than a word and digits, follow the header."""
    line = start.split(_LINE_END, 1)[0].rstrip().split(b" ")
    try:
        _ = [float(number) for number in line[1:]]
    except ValueError:
        return True
    return len(line) - 1 != width and len(line) < 3


def _text_entries(file: _PeekedFile, number: int, width: int) -> Iterator[Entry]:
    """Yields the entries of lines, of which the first has the given number."""
    while line := file.readline():
        word, *numbers = _word_and_numbers(line, width)
        try:
            vector = np.array(numbers, np.float32)
        except ValueError:
            vector = np.zeros(0, np.float32)
        if len(vector) != width or not width or not np.isfinite(vector).all():
            yield f"line {number} does not have {width} numbers"
        else:
            yield word.decode("utf-8", "replace"), vector
        number += 1


def _word_and_numbers(line: bytes, width: int) -> list[bytes]:
    """Splits a line before its last numbers, since words of some files contain spaces."""
    fields = line.rstrip().split(b" ") if b"\t" not in line else line.split()
    first_number = max(1, len(fields) - width)
    return [b" ".join(fields[:first_number]), *fields[first_number:]]


def _binary_entries(file: _PeekedFile, count: int, width: int) -> Iterator[Entry]:
    for number in range(1, count + 1):
        word = bytearray()
        while (byte := file.read(1)) not in (b" ", b"") and len(word) < _MAX_WORD_BYTES:
            word += byte
        data = file.read(4 * width)
        vector = np.frombuffer(data, "<f4") if len(data) == 4 * width else np.zeros(0, np.float32)
        if len(vector) != width or byte != b" ":
            yield f"entry {number} is cut short"
            return
        if np.isfinite(vector).all():
            yield bytes(word).lstrip(b"\n").decode("utf-8", "replace"), vector
        else:
            yield f"entry {number} is not finite"


def _collect(entries: Iterator[Entry], max_words: int) -> tuple[dict[str, Array], list[str]]:
    found: dict[str, Array] = {}
    wrong: list[str] = []
    for entry in entries:
        if isinstance(entry, str):
            wrong.append(entry)
            if not found and len(wrong) > _MAX_WRONG_LINES:
                break
        elif entry[0]:
            found.setdefault(*entry)
        if len(found) >= max_words:
            break
    return found, wrong
