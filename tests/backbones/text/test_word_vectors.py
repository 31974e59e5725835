"""Files of word vectors, and the backbones built on them."""

import functools
import gzip

import numpy as np
import pytest
import tensorflow as tf

from tftransfer.backbones import load
from tftransfer.backbones.text.vector_files import read_word_vectors
from tftransfer.utils.errors import UserError

load_backbone = functools.partial(load.load_backbone, modality="text")
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


def outputs(backbone, *texts):
    rows, _ = backbone.preprocessor.decode_valid(tf.constant(texts))
    return [x.numpy() for x in backbone.model(rows)]


def test_words_have_their_vectors_and_unknown_ones_none(vectors):
    backbone = load_backbone("word_vectors", weights=str(vectors(text())), length=4)
    hidden, mask = outputs(backbone, "A good FILM", "?")
    np.testing.assert_array_equal(mask, [[1, 1, 0, 0], [0] * 4])
    np.testing.assert_array_equal(hidden[0, :2], VECTORS[[3, 1]])
    assert backbone.weights_sha256 and "4 word vectors of 3 numbers" in backbone.remarks[0]


def test_sif_weights_rare_words_more(vectors):
    backbone = load_backbone("word_vectors:pool=sif", weights=str(vectors(text())), length=4)
    hidden, _ = outputs(backbone, "the film naïve good")
    frequency = 1 / np.arange(1, 5) / sum(1 / np.arange(1, 5))
    np.testing.assert_allclose(hidden[0], VECTORS * (1e-3 / (1e-3 + frequency))[:, None], rtol=1e-5)
    assert "sif assumes that the words of the file are sorted" in backbone.remarks[-1]


@pytest.mark.parametrize("body", ["cnn", "bigru"])
def test_body_output_does_not_depend_on_padding(body, tmp_path):
    short, long = (
        load_backbone(f"word_vectors:body={body},width=8", weights="none", length=n) for n in (4, 9)
    )
    long.model.set_weights(short.model.get_weights())
    first, second = outputs(short, "a b c")[0], outputs(long, "a b c")[0]
    np.testing.assert_allclose(first[0, :3], second[0, :3], atol=1e-6)
    assert not second[0, 3:].any() and [s.name for s in short.stages] == ["stage1", "stage2"]


def test_assets_build_word_vectors_again_without_their_file(vectors, tmp_path):
    backbone = load_backbone("word_vectors", weights=str(vectors(text())), length=4)
    (tmp_path / "assets").mkdir()
    for name, content in backbone.assets.items():
        (tmp_path / "assets" / name).write_bytes(content)
    again = load_backbone("word_vectors", weights="none", length=4, assets=tmp_path / "assets")
    again.model.set_weights(backbone.model.get_weights())
    assert again.preprocessor.cache_key == backbone.preprocessor.cache_key
    for ours, theirs in zip(outputs(again, "the film"), outputs(backbone, "the film")):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("name", "weights", "expected"),
    [
        ("word_vectors", "pretrained", "needs a file of word vectors"),
        ("word_vectors", "absent.txt", "cannot be read"),
        ("word_vectors:pool=sum", "none", "no pool of word_vectors named 'sum'"),
        ("word_vectors:bdy=cnn", "none", "no option of backbone word_vectors:bdy=cnn named 'bdy'"),
    ],
)
def test_load_backbone_wrong_word_vectors_option_is_an_error(name, weights, expected):
    with pytest.raises(UserError, match=expected):
        load_backbone(name, weights=weights)
