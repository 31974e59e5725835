"""Files of word vectors: GloVe's text, word2vec's text and binary, fastText's .vec."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from tftransfer.utils.errors import UserError

# As many as GloVe's smaller files hold; later words are rarer.
MOST_WORDS = 400_000
_LONGEST_WORD = 1000  # bytes
_HEADER_END = b"\n"
_FASTTEXT = (793712314).to_bytes(4, "little")  # what its models begin with


@dataclass(frozen=True, kw_only=True)
class WordVectors:
    """Words, most frequent first, and their vectors.

    Attributes:
      words: as they are in the file.
      vectors: float32 [n, d].
      format: of the file, in words.
      remarks: what was left out.
    """

    words: tuple[str, ...]
    vectors: np.ndarray
    format: str
    remarks: tuple[str, ...] = ()


def read_word_vectors(path: Path, *, most: int = MOST_WORDS) -> WordVectors:
    """Reads a file of word vectors, plain or gzipped, of which the content tells the format.

    Args:
      path: GloVe (`word v1 ... vd` a line), word2vec text or fastText .vec (the same below a
        line `count d`), or word2vec binary (that line, then `word `, d float32, for each).
      most: words that are kept, from the beginning.

    Raises:
      UserError: not there, or no such file.
    """
    try:
        with _opened(path) as file:
            if file.read(len(_FASTTEXT)) == _FASTTEXT:
                raise UserError(
                    f"{path} is a model of fastText (.bin), which is not read.",
                    "Give the file of vectors that is written beside it (.vec).",
                )
            file.seek(0)
            found, wrong, kind = _read(file, most)
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
        remarks.append(f"only the first {most:,} words of {path.name} are used")
    return WordVectors(
        words=tuple(found),
        vectors=np.stack(list(found.values())),
        format=kind,
        remarks=tuple(remarks),
    )


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else path.open("rb")  # type: ignore[return-value]


def _read(file: IO[bytes], most: int) -> tuple[dict[str, np.ndarray], list[str], str]:
    """Vectors by word, what is wrong with some lines, and the format."""
    first = file.readline(1 << 20)
    header = first.split()
    if len(header) == 2 and all(part.isdigit() for part in header):
        count, width = map(int, header)
        start = file.read(4096)
        rest = _Joined(start, file)
        if _binary(start, width):
            return *_of_entries(_binary_entries(rest, count, width), most), "word2vec binary"
        return *_of_entries(_text_entries(rest, 2, width), most), "word2vec text"
    width = len(first.split(b" ")) - 1 if b" " in first else len(header) - 1
    return *_of_entries(_text_entries(_Joined(first, file), 1, width), most), "GloVe text"


class _Joined:
    """A file with what was read of it already put back."""

    def __init__(self, start: bytes, file: IO[bytes]):
        self._start, self._file = start, file

    def read(self, count: int) -> bytes:
        taken, self._start = self._start[:count], self._start[count:]
        return taken + self._file.read(count - len(taken)) if len(taken) < count else taken

    def readline(self) -> bytes:
        end = self._start.find(_HEADER_END) + 1
        if end:
            return self.read(end)
        taken, self._start = self._start, b""
        return taken + self._file.readline()


def _binary(start: bytes, width: int) -> bool:
    """Whether what follows the header is a word and float32 rather than a word and digits."""
    line = start.split(_HEADER_END, 1)[0].rstrip().split(b" ")
    try:
        _ = [float(number) for number in line[1:]]
    except ValueError:
        return True
    return len(line) - 1 != width and len(line) < 3


Entry = tuple[str, np.ndarray] | str


def _text_entries(file: _Joined, number: int, width: int) -> Iterator[Entry]:
    while line := file.readline():
        word, *numbers = _word_and_numbers(line, width)
        try:
            vector = np.array(numbers, np.float32)
        except ValueError:
            vector = np.zeros(0, np.float32)
        if len(vector) != width or not width or not np.isfinite(vector).all():
            yield f"line {number} has not {width} numbers"
        else:
            yield word.decode("utf-8", "replace"), vector
        number += 1


def _word_and_numbers(line: bytes, width: int) -> list[bytes]:
    """Words of some files hold spaces: only the last numbers count."""
    parts = line.rstrip().split(b" ") if b"\t" not in line else line.split()
    at = max(1, len(parts) - width)
    return [b" ".join(parts[:at]), *parts[at:]]


def _binary_entries(file: _Joined, count: int, width: int) -> Iterator[Entry]:
    for number in range(1, count + 1):
        word = bytearray()
        while (byte := file.read(1)) not in (b" ", b"") and len(word) < _LONGEST_WORD:
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


def _of_entries(entries: Iterator[Entry], most: int) -> tuple[dict[str, np.ndarray], list[str]]:
    found: dict[str, np.ndarray] = {}
    wrong: list[str] = []
    for entry in entries:
        if isinstance(entry, str):
            wrong.append(entry)
            if not found and len(wrong) > 100:
                break
        elif entry[0]:
            found.setdefault(*entry)
        if len(found) >= most:
            break
    return found, wrong
