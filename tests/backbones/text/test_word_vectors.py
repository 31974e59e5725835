"""Files of word vectors, and the backbones built on them."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tftransfer.backbones import load
from tftransfer.utils.errors import UserError

load_backbone = functools.partial(load.load_backbone, modality="text")
WORDS = ("the", "film", "naïve", "Good")
VECTORS = np.float32([[1, 2, -3], [0.5, 0, 4], [-1, 1, 1], [2, 2, 2]])


def text(header=""):
    lines = [f"{word} {' '.join(map(str, row))}" for word, row in zip(WORDS, VECTORS)]
    return "\n".join([*filter(None, [header]), *lines, ""]).encode()


@pytest.fixture
def vectors(tmp_path):
    def write(data):
        path = tmp_path / "vectors.txt"
        path.write_bytes(data)
        return path

    return write


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
