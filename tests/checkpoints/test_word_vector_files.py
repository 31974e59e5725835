"""Files of word vectors in each format."""

import gzip

import numpy as np
import pytest

from tftransfer.checkpoints.word_vector_files import read_word_vectors
from tftransfer.utils.errors import UserError

WORDS = ("the", "film", "naïve", "Good")
VECTORS = np.float32([[1, 2, -3], [0.5, 0, 4], [-1, 1, 1], [2, 2, 2]])


def text(header=""):
    lines = [f"{word} {' '.join(map(str, row))}" for word, row in zip(WORDS, VECTORS)]
    return "\n".join([*filter(None, [header]), *lines, ""]).encode()


def binary(end=b"\n"):
    rows = (word.encode() + b" " + row.tobytes() + end for word, row in zip(WORDS, VECTORS))
    return b"4 3\n" + b"".join(rows)


FILES = {
    "GloVe text": text(),
    "word2vec text": text("4 3"),
    "word2vec binary": binary(),
    "word2vec binary without ends": binary(b""),
    "gzipped": gzip.compress(text("4 3")),
}


@pytest.fixture
def vectors(tmp_path):
    def write(data):
        path = tmp_path / "vectors.txt"
        path.write_bytes(data)
        return path

    return write


@pytest.mark.parametrize("name", FILES)
def test_read_word_vectors_detects_the_format(vectors, name):
    found = read_word_vectors(vectors(FILES[name]))
    assert found.words == WORDS and not found.remarks
    np.testing.assert_array_equal(found.vectors, VECTORS)
    assert found.format in name or name == "gzipped"


def test_read_word_vectors_skips_and_reports_bad_lines(vectors):
    data = text().replace(b"film 0.5", b"film x") + b"a b 1 2 3\nnan nan 1 2\nshort 1\n"
    found = read_word_vectors(vectors(data))
    assert found.words == ("the", "naïve", "Good", "a b")
    assert found.remarks[0].startswith("3 lines of vectors.txt are no word vectors: line 2 ")


def test_read_word_vectors_of_a_truncated_binary_keeps_whole_entries(vectors):
    found = read_word_vectors(vectors(binary()[:-5]))
    assert found.words == WORDS[:3] and "entry 4 is cut short" in found.remarks[0]


def test_read_word_vectors_keeps_the_first_words(vectors):
    found = read_word_vectors(vectors(text()), max_words=2)
    assert found.words == WORDS[:2] and "only the first 2 words" in found.remarks[0]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\x89PNG\r\n\x1a\n\0\0\0", b"just a sentence\n"])
def test_read_word_vectors_other_file_is_an_error(vectors, data):
    with pytest.raises(UserError, match="holds no word vectors"):
        read_word_vectors(vectors(data))


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_read_word_vectors_fasttext_model_is_an_error(vectors, compress):
    data = (793712314).to_bytes(4, "little") + (12).to_bytes(4, "little") + bytes(40)
    with pytest.raises(UserError, match=r"model of fastText \(.bin\).*\n?.*\(.vec\)"):
        read_word_vectors(vectors(compress(data)))
