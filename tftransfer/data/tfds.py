"""Examples from TensorFlow Datasets, by name or from a prepared folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tftransfer.data.encode import clip_bytes, encode_png
from tftransfer.data.examples import SPLIT_DTYPE, SPLIT_NAMES, Examples
from tftransfer.data.file_types import modality_of_files
from tftransfer.data.in_memory import labels_from_array
from tftransfer.utils.errors import UserError

_DATA_DIR = "~/tensorflow_datasets"
# Features that hold an example, the first kind that a data set has.
_INPUTS = ("Image", "Audio", "Text")


def from_tfds(name: str, *, problem_type: str = "auto") -> Examples:
    """Examples of a data set of pictures, sounds or texts, with labels.

    Its `train`, `validation` and `test` splits become the parts; encoded bytes are
    taken as they were stored, samples of sound as WAV.

    Args:
      name: a registered name (`tf_flowers`), or a folder that holds a prepared data set.
      problem_type: `auto` takes the kind of label from the features.

    Raises:
      UserError: unknown, not prepared and not to be fetched, without examples and labels, or of
        sound whose rate is not told.
    """
    builder = _builder(name)
    data_key, label = _keys(builder, name)
    names, items, labels, splits = [], [], [], []
    for split, part in _splits(builder, name):
        for index, (data, value) in enumerate(_read(builder, split, data_key, label)):
            names.append(f"{split}#{index}")
            items.append(data)
            labels.append(value)
            splits.append(part)
    feature = builder.info.features[data_key]
    if type(feature).__name__ == "Audio":
        items = _clips(items, _rate(feature, builder.name))
    classes = tuple(getattr(builder.info.features[label], "names", None) or ())
    array, found_type, classes = labels_from_array(np.asarray(labels), problem_type, classes)
    if set(splits) == {"train"}:
        splits = [""] * len(splits)
    return Examples(
        names=names,
        items=items,
        labels=array,
        problem_type=found_type,
        classes=classes,
        splits=np.array(splits, SPLIT_DTYPE),
        modality=modality_of_files(items),
    )


def _builder(name: str) -> Any:
    import tensorflow_datasets as tfds

    folder = Path(name).expanduser()
    if folder.is_dir():
        try:
            return tfds.builder_from_directory(os.fspath(folder))
        except Exception as error:
            raise UserError(
                f"{name} holds no prepared data set: {_first_line(error)}",
                "Give the folder with dataset_info.json, usually NAME/CONFIG/VERSION.",
            ) from None
    try:
        builder = tfds.builder(name)
    except tfds.core.DatasetNotFoundError as error:
        near = _nearest(name, tfds.list_builders(with_community_datasets=False))
        raise UserError(f"There is no TFDS data set named {name!r}.", near) from error
    except (ValueError, AssertionError) as error:
        raise UserError(
            f"The TFDS name {name!r} cannot be used: {_first_line(error)}",
            "Write NAME, NAME/CONFIG or NAME:VERSION, or the folder of a prepared data set.",
        ) from None
    if not Path(builder.data_dir).is_dir():
        _download(builder, name)
    return builder


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def _download(builder: Any, name: str) -> None:
    try:
        builder.download_and_prepare()
    except Exception as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(
            f"The TFDS data set {name} could not be prepared: {reason}",
            f"Prepare it where there is a network, and copy it to {_DATA_DIR}.",
        ) from None


def _nearest(name: str, known: list[str]) -> str:
    from tftransfer.utils.errors import unknown_name

    return unknown_name("data set", name.split("/")[0].split(":")[0], known).remedy


def _keys(builder: Any, name: str) -> tuple[str, str]:
    features = builder.info.features
    supervised = builder.info.supervised_keys
    by_kind = (_of_type(feature_type, features) for feature_type in _INPUTS)
    inputs = next((found for found in by_kind if found), [])
    if supervised and supervised[0] in inputs and supervised[1] in features:
        return supervised[0], supervised[1]
    labels = _of_type("ClassLabel", features)
    if len(inputs) == 1 and len(labels) == 1:
        return inputs[0], labels[0]
    raise UserError(
        f"{name} has no pair of a picture, sound or text and a label; its features: "
        f"{', '.join(features)}.",
        "Make a tf.data.Dataset of (image, label) from it and give that in Python.",
    )


def _of_type(feature_type: str, features: Any) -> list[str]:
    return [key for key, feature in features.items() if type(feature).__name__ == feature_type]


def _splits(builder: Any, name: str) -> list[tuple[str, str]]:
    splits = [(s, SPLIT_NAMES[s]) for s in builder.info.splits if s in SPLIT_NAMES]
    if not splits:
        raise UserError(
            f"{name} has the splits {', '.join(builder.info.splits)}, none named train or test.",
            "Make a tf.data.Dataset from it and give that in Python.",
        )
    return splits


def _read(builder: Any, split: str, key: str, label: str) -> Any:
    import tensorflow_datasets as tfds

    feature_type = type(builder.info.features[key]).__name__
    decoders = {key: tfds.decode.SkipDecoding()} if feature_type == "Image" else {}
    dataset = builder.as_dataset(split=split, shuffle_files=False, decoders=decoders)
    for index, row in enumerate(dataset.as_numpy_iterator()):
        data = row[key]
        plain = isinstance(data, bytes) or feature_type == "Audio"
        yield (data if plain else encode_png(data, index)), row[label]


def _rate(feature: Any, name: str) -> int:
    if not feature.sample_rate:
        raise UserError(
            f"The TFDS data set {name} does not tell how many samples make a second.",
            "Read it in Python, and give tftransfer.from_waveforms(..., rate=...).",
        )
    return feature.sample_rate


def _clips(samples: Sequence[np.ndarray], rate: int) -> list[bytes]:
    """WAV bytes of samples: whole numbers of 16 bits, or of 32 where any of all is larger."""
    loudest = max((float(np.abs(clip).max(initial=0)) for clip in samples), default=0.0)
    scale = 1.0 if loudest <= 1 else 2.0**15 if loudest <= 2**15 else 2.0**31
    return [
        clip_bytes((clip / scale).astype(np.float32), n, rate) for n, clip in enumerate(samples)
    ]
