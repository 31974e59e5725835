"""`word_vectors`: an embedding of words from a file, with or without a small network on top."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from tftransfer.backbones.backbone import Backbone
from tftransfer.backbones.layers import PassMask
from tftransfer.backbones.options import NO_WEIGHTS, PRETRAINED, LoadOptions
from tftransfer.backbones.stages import Stage
from tftransfer.backbones.text.layers import ApplyMask, PaddingMask
from tftransfer.checkpoints.word_vector_files import WordVectors, read_word_vectors
from tftransfer.core.typing import Array, KerasLayer, KerasModel
from tftransfer.preprocessing.text.preprocessor import WordPreprocessor
from tftransfer.utils.errors import UserError, unknown_name
from tftransfer.utils.files import file_sha256

POOLS = ("mean", "max", "sif")
BODIES = ("none", "cnn", "bigru")
DEFAULT_LENGTH_WORDS = 64
_HASH_BUCKETS = 1 << 15
_SIF_SMOOTHING = 1e-3
# About that of published vectors.
_EMBEDDING_STDDEV = 0.3
_VOCABULARY_FILE = "vocabulary.txt"


def load_word_vectors(
    name: str,
    options: LoadOptions,
    *,
    pool: str = "mean",
    body: str = "none",
    width: int = 128,
    dim: int = 64,
    cased: int = 0,
) -> Backbone:
    """Loads word vectors: `stage1` is the embedding, `stage2` the body if there is one.

    Args:
      name: The name as the user gave it.
      options: `weights` is the path of a file of vectors, or `none` for random vectors of hashed
        words; `length` is the number of words that are read.
      pool: How the vectors of a text become one: `mean`, `max`, or `sif`, the mean weighted by
        a / (a + p), where a = 0.001 and p is the word's frequency, here 1 / rank by Zipf's law as
        files hold no counts (Arora et al., 2017; without the removal of the common component).
      body: `none`, `cnn` (two convolutions of three words; Kim, 2014) or `bigru` (a bidirectional
        GRU; Cho et al., 2014).
      width: Channels of the body.
      dim: Size of random vectors.
      cased: 1 to distinguish capitals.

    Raises:
      UserError: There is no such file or option.
    """
    for option, value, known in (("pool", pool, POOLS), ("body", body, BODIES)):
        if value not in known:
            raise unknown_name(f"{option} of word_vectors", value, known)
    vectors = _vectors(options, bool(cased))
    preprocessor = _preprocessor(int(options.length), vectors, bool(cased), ranked=pool == "sif")
    matrix = _matrix(vectors, pool) if vectors else None
    width_of_vectors = dim if matrix is None else matrix.shape[1]
    build = functools.partial(
        _build, preprocessor.shape[0], preprocessor.size, width_of_vectors, body, width
    )
    keras.utils.set_random_seed(options.seed)
    model, stages = build()
    if matrix is not None:
        model.get_layer("words").set_weights([np.concatenate([np.zeros_like(matrix[:1]), matrix])])
    random = options.weights == NO_WEIGHTS
    return Backbone(
        name=name,
        architecture=name,
        model=model,
        stages=stages,
        preprocessor=preprocessor,
        weights=options.weights,
        weights_sha256="" if random else file_sha256(Path(options.weights).expanduser()),
        build=lambda: build()[0],
        pooling="max" if pool == "max" else "mean",
        remarks=_remarks(vectors, preprocessor, pool),
        assets=_assets(vectors),
    )


def _preprocessor(
    length: int, vectors: WordVectors | None, cased: bool, *, ranked: bool
) -> WordPreprocessor:
    words = vectors.words if vectors else ()
    return WordPreprocessor(
        length or DEFAULT_LENGTH_WORDS,
        words=words,
        buckets=0 if words else _HASH_BUCKETS,
        cased=cased,
        ranked=ranked and bool(words),
    )


def _vectors(options: LoadOptions, cased: bool) -> WordVectors | None:
    """Returns the vectors of a run or of a file; None for random ones."""
    if options.assets_folder:
        return _stored_vocabulary(options.assets_folder)
    if options.weights == PRETRAINED:
        raise UserError(
            "word_vectors needs a file of word vectors.",
            "Give one of GloVe, word2vec or fastText by --weights=FILE, or --weights=none.",
        )
    if options.weights == NO_WEIGHTS:
        return None
    vectors = read_word_vectors(Path(options.weights).expanduser())
    return vectors if cased else _lower_case(vectors)


def _assets(vectors: WordVectors | None) -> Mapping[str, bytes]:
    """Returns the vocabulary: the vectors' width, then a word per line.

    The vectors are among the weights of the run.
    """
    if vectors is None:
        return {}
    return {_VOCABULARY_FILE: "\n".join([str(vectors.vectors.shape[1]), *vectors.words]).encode()}


def _stored_vocabulary(folder: Path) -> WordVectors:
    """Returns the words of a run, with zeros for vectors until its weights are assigned."""
    width, *words = (folder / _VOCABULARY_FILE).read_bytes().decode().split("\n")
    zeros = np.zeros((len(words), int(width)), np.float32)
    return WordVectors(words=tuple(words), vectors=zeros, format="of a run")


def _lower_case(vectors: WordVectors) -> WordVectors:
    """Returns the words in lower case; the first of those that differ in capitals alone counts."""
    first: dict[str, int] = {}
    for index, word in enumerate(vectors.words):
        first.setdefault(word.lower(), index)
    kept = list(first.values())
    return replace(vectors, words=tuple(first), vectors=vectors.vectors[kept])


def _matrix(vectors: WordVectors, pool: str) -> Array:
    """Returns a row per word, scaled where the mean over words is to be a weighted one."""
    if pool != "sif":
        return vectors.vectors
    rank = np.arange(1, len(vectors.words) + 1)
    frequency = 1 / rank / (1 / rank).sum()
    weights = _SIF_SMOOTHING / (_SIF_SMOOTHING + frequency)
    return (vectors.vectors * weights[:, None]).astype(np.float32)


def _remarks(
    vectors: WordVectors | None, preprocessor: WordPreprocessor, pool: str
) -> tuple[str, ...]:
    if vectors is None:
        return (f"no vocabulary: words are hashed to {preprocessor.size:,} random vectors",)
    count, width = vectors.vectors.shape
    by_rank = "sif assumes that the words of the file are sorted, the most frequent first"
    return (
        f"{count:,} word vectors of {width} numbers, {vectors.format}",
        *vectors.remarks,
        *[by_rank] * (pool == "sif"),
    )


def _build(
    length: int, words: int, dim: int, body: str, width: int
) -> tuple[KerasModel, tuple[Stage, ...]]:
    tokens = keras.Input((length,), dtype="int32", name="tokens")
    mask_layer = PaddingMask(name="mask")
    initializer = keras.initializers.RandomNormal(stddev=_EMBEDDING_STDDEV)
    # Row 0 is padding.
    embedding = keras.layers.Embedding(
        words + 1, dim, name="words", embeddings_initializer=initializer
    )
    mask, x = mask_layer(tokens), embedding(tokens)
    stages = [Stage(name="stage1", layers=(mask_layer, embedding), outputs=(x, mask), stride=1.0)]
    second: list[KerasLayer] = []
    for layer in _body(body, width):
        x = layer(x, mask=mask) if isinstance(layer, keras.layers.Bidirectional) else layer(x)
        second += [layer, ApplyMask(name=f"{layer.name}_masked")]
        x = second[-1]([x, mask])
    if second:
        second.append(PassMask(name="mask2"))
        mask = second[-1](mask)
        stages.append(Stage(name="stage2", layers=tuple(second), outputs=(x, mask), stride=1.0))
    return keras.Model(tokens, [x, mask], name="word_vectors"), tuple(stages)


def _body(body: str, width: int) -> list[KerasLayer]:
    layers = keras.layers
    if body == "cnn":
        return [
            layers.Conv1D(width, 3, padding="same", activation="relu", name=f"conv{number}")
            for number in (1, 2)
        ]
    if body == "bigru":
        return [layers.Bidirectional(layers.GRU(width // 2, return_sequences=True), name="bigru")]
    return []
