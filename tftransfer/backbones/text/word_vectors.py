"""`word_vectors`: an embedding of words from a file, and perhaps a small network on top of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from tftransfer.backbones.backbone import Backbone
from tftransfer.backbones.pooling import MaskOn
from tftransfer.backbones.stages import Stage
from tftransfer.backbones.text.layers import Masked, PaddingMask
from tftransfer.backbones.text.vector_files import WordVectors, read_word_vectors
from tftransfer.preprocessing.text.preprocessor import WordPreprocessor
from tftransfer.utils.errors import UserError, unknown_name
from tftransfer.utils.files import file_sha256

POOLS = ("mean", "max", "sif")
BODIES = ("none", "cnn", "bigru")
LENGTH = 64  # words
_BUCKETS = 1 << 15
_SIF = 1e-3
_FILE = "vocabulary.txt"


def load_word_vectors(
    name: str,
    *,
    weights: str,
    length: int,
    seed: int,
    pool: str = "mean",
    body: str = "none",
    assets: Path | None = None,
    width: int = 128,
    dim: int = 64,
    cased: int = 0,
) -> Backbone:
    """Word vectors as a backbone: `stage1` is the embedding, `stage2` the body if there is one.

    Args:
      name: as the user gave it.
      weights: path of a file of vectors, or `none`: random vectors of hashed words.
      length: most words of a text that count; 0 for 64.
      seed: of random weights.
      pool: how the vectors of a text become one: `mean`, `max`, or `sif`, the mean weighted by
        a / (a + p), a = 0.001 and p the word's frequency, here 1 / rank by Zipf's law as files
        hold no counts (Arora et al., 2017; without taking away the common component).
      body: `none`, `cnn` (two convolutions of three words; Kim, 2014) or `bigru` (Cho et al.,
        2014, in both directions).
      width: of the body, in channels.
      dim: of random vectors.
      assets: folder with the vocabulary of one that is built again.
      cased: 1 keeps capitals apart.

    Raises:
      UserError: no such file or option.
    """
    for option, value, known in (("pool", pool, POOLS), ("body", body, BODIES)):
        if value not in known:
            raise unknown_name(f"{option} of word_vectors", value, known)
    found = _restored(assets) if assets else _found(weights, bool(cased))
    words = found.words if found else ()
    preprocessor = WordPreprocessor(
        length or LENGTH,
        words=words,
        buckets=0 if words else _BUCKETS,
        cased=bool(cased),
        ranked=pool == "sif" and bool(words),
    )
    matrix = _matrix(found, pool) if found else None

    def fresh() -> tuple[keras.Model, tuple[Stage, ...]]:
        return _build(
            preprocessor.shape[0],
            (preprocessor.size, dim if matrix is None else matrix.shape[1]),
            body,
            width,
        )

    keras.utils.set_random_seed(seed)
    model, stages = fresh()
    if matrix is not None:
        model.get_layer("words").set_weights([np.concatenate([np.zeros_like(matrix[:1]), matrix])])
    return Backbone(
        name=name,
        architecture=name,
        model=model,
        stages=stages,
        preprocessor=preprocessor,
        weights=weights,
        weights_sha256="" if weights == "none" else file_sha256(_path(weights)),
        fresh=lambda: fresh()[0],
        pooling="max" if pool == "max" else "mean",
        remarks=_said(found, preprocessor, pool),
        assets=_assets(found),
    )


def _path(weights: str) -> Path:
    return Path(weights).expanduser()


def _found(weights: str, cased: bool) -> WordVectors | None:
    if weights == "pretrained":
        raise UserError(
            "word_vectors needs a file of word vectors.",
            "Give one of GloVe, word2vec or fastText by --weights=FILE, or --weights=none.",
        )
    return None if weights == "none" else _lowered(read_word_vectors(_path(weights)), cased)


def _assets(found: WordVectors | None) -> dict[str, bytes]:
    """The vocabulary, a word a line below the vectors' width; the vectors are among the weights."""
    if found is None:
        return {}
    return {_FILE: "\n".join([str(found.vectors.shape[1]), *found.words]).encode()}


def _restored(folder: Path) -> WordVectors:
    """Words without their vectors, which the run's weights hold."""
    width, *words = (folder / _FILE).read_bytes().decode().split("\n")
    vectors = np.zeros((len(words), int(width)), np.float32)
    return WordVectors(words=tuple(words), vectors=vectors, format="of a run")


def _lowered(found: WordVectors, cased: bool) -> WordVectors:
    """Text is read in lower case: of words that differ in capitals alone, the first is taken."""
    if cased:
        return found
    first: dict[str, int] = {}
    for place, word in enumerate(found.words):
        first.setdefault(word.lower(), place)
    kept = list(first.values())
    return WordVectors(
        words=tuple(first), vectors=found.vectors[kept], format=found.format, remarks=found.remarks
    )


def _matrix(found: WordVectors, pool: str) -> np.ndarray:
    """A row a word; weighted where the mean is to be a weighted one."""
    if pool != "sif":
        return found.vectors
    rank = np.arange(1, len(found.words) + 1)
    frequency = 1 / rank / (1 / rank).sum()
    return (found.vectors * (_SIF / (_SIF + frequency))[:, None]).astype(np.float32)


def _said(found: WordVectors | None, preprocessor: WordPreprocessor, pool: str) -> tuple[str, ...]:
    if found is None:
        return (f"no vocabulary: words are hashed to {preprocessor.size:,} random vectors",)
    count, width = found.vectors.shape
    by_place = "sif takes the first word of the file for the most frequent, and so on"
    return (
        f"{count:,} word vectors of {width} numbers, {found.format}",
        *found.remarks,
        *[by_place] * (pool == "sif"),
    )


def _build(
    length: int, shape: tuple[int, int], body: str, width: int
) -> tuple[keras.Model, tuple[Stage, ...]]:
    tokens = keras.Input((length,), dtype="int32", name="tokens")
    mask_layer = PaddingMask(name="mask")
    words = keras.layers.Embedding(
        shape[0] + 1, shape[1], name="words", embeddings_initializer=_like_vectors()
    )
    mask, x = mask_layer(tokens), words(tokens)
    stages = [Stage(name="stage1", layers=(mask_layer, words), outputs=(x, mask), stride=1.0)]
    second: list[Any] = []
    for layer in _body(body, width):
        x = layer(x, mask=mask) if isinstance(layer, keras.layers.Bidirectional) else layer(x)
        second += [layer, Masked(name=f"{layer.name}_masked")]
        x = second[-1]([x, mask])
    if second:
        second.append(MaskOn(name="mask2"))
        mask = second[-1](mask)
        stages.append(Stage(name="stage2", layers=tuple(second), outputs=(x, mask), stride=1.0))
    return keras.Model(tokens, [x, mask], name="word_vectors"), tuple(stages)


def _like_vectors() -> Any:
    return keras.initializers.RandomNormal(stddev=0.3)


def _body(body: str, width: int) -> list[Any]:
    layers = keras.layers
    if body == "cnn":
        return [
            layers.Conv1D(width, 3, padding="same", activation="relu", name=f"conv{number}")
            for number in (1, 2)
        ]
    if body == "bigru":
        return [layers.Bidirectional(layers.GRU(width // 2, return_sequences=True), name="bigru")]
    return []
