"""Examples from TensorFlow Datasets, by name or from a prepared folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tftransfer.core.typing import Array
from tftransfer.data.examples import SPLIT_DTYPE, SPLIT_NAMES, Examples
from tftransfer.data.file_types import modality_of_files
from tftransfer.labels.arrays import labels_from_array
from tftransfer.readers.encode import encode_clip, encode_png
from tftransfer.utils.errors import UserError, unknown_name

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

_DATA_DIR = "~/tensorflow_datasets"
# Types of features that are inputs; the first type that a dataset has is used.
_INPUT_TYPES = ("Image", "Audio", "Text")
# Full scales of samples that TFDS stores as int64, whatever their original width.
_INT16_FULL_SCALE = 2.0**15
_INT32_FULL_SCALE = 2.0**31


def from_tfds(name: str, *, problem_type: str = "auto") -> Examples:
    """Returns the labeled images, clips or texts of a TFDS dataset.

    Its `train`, `validation` and `test` splits are kept. Encoded images are taken as they are
    stored; samples of audio become WAV.

    Args:
      name: Registered name (`tf_flowers`), or folder of a prepared dataset.
      problem_type: Problem type; `auto` infers it from the features.

    Raises:
      UserError: The dataset is unknown, cannot be prepared, has no pair of input and label, or has
        audio without a sample rate.
    """
    builder = _builder(name)
    input_key, label_key = _keys(builder, name)
    names, stored, labels, splits = [], [], [], []
    for tfds_split, split in _splits(builder, name):
        for index, (item, label) in enumerate(_read(builder, tfds_split, input_key, label_key)):
            names.append(f"{tfds_split}#{index}")
            stored.append(item)
            labels.append(label)
            splits.append(split)
    feature = builder.info.features[input_key]
    is_audio = type(feature).__name__ == "Audio"
    items = _clips(stored, _sample_rate(feature, builder.name)) if is_audio else stored
    classes = tuple(getattr(builder.info.features[label_key], "names", None) or ())
    read = labels_from_array(np.asarray(labels), problem_type, classes)
    if set(splits) == {"train"}:
        splits = [""] * len(splits)
    return Examples(
        names=names,
        items=items,
        labels=read.labels,
        problem_type=read.problem_type,
        classes=read.classes,
        problem_reason=read.reason,
        warnings=read.warnings,
        splits=np.array(splits, SPLIT_DTYPE),
        modality=modality_of_files(items),
    )


def _builder(name: str) -> tfds.core.DatasetBuilder:
    import tensorflow_datasets as tfds

    folder = Path(name).expanduser()
    if folder.is_dir():
        try:
            return tfds.builder_from_directory(os.fspath(folder))
        except Exception as error:
            raise UserError(
                f"{name} is not a prepared dataset: {_first_line(error)}",
                "Give the folder with dataset_info.json, usually NAME/CONFIG/VERSION.",
            ) from None
    try:
        builder = tfds.builder(name)
    except tfds.core.DatasetNotFoundError as error:
        base = name.split("/")[0].split(":")[0]
        known = tfds.list_builders(with_community_datasets=False)
        remedy = unknown_name("dataset", base, known).remedy
        raise UserError(f"There is no TFDS dataset named {name!r}.", remedy) from error
    except (ValueError, AssertionError) as error:
        raise UserError(
            f"The TFDS name {name!r} cannot be used: {_first_line(error)}",
            "Give NAME, NAME/CONFIG or NAME:VERSION, or the folder of a prepared dataset.",
        ) from None
    if not Path(builder.data_dir).is_dir():
        _prepare(builder, name)
    return builder


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def _prepare(builder: tfds.core.DatasetBuilder, name: str) -> None:
    try:
        builder.download_and_prepare()
    except Exception as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(
            f"The TFDS dataset {name} could not be prepared: {reason}",
            f"Prepare it on a machine with a network, and copy it to {_DATA_DIR}.",
        ) from None


def _keys(builder: tfds.core.DatasetBuilder, name: str) -> tuple[str, str]:
    """Returns the keys of the input and the label."""
    features = builder.info.features
    supervised = builder.info.supervised_keys
    by_type = (_of_type(feature_type, features) for feature_type in _INPUT_TYPES)
    inputs = next((found for found in by_type if found), [])
    if supervised and supervised[0] in inputs and supervised[1] in features:
        return supervised[0], supervised[1]
    labels = _of_type("ClassLabel", features)
    if len(inputs) == 1 and len(labels) == 1:
        return inputs[0], labels[0]
    raise UserError(
        f"{name} has no pair of an image, clip or text and a label; its features: "
        f"{', '.join(features)}.",
        "Build a tf.data.Dataset of (image, label) from it and give that in Python.",
    )


def _of_type(feature_type: str, features: tfds.features.FeaturesDict) -> list[str]:
    return [key for key, feature in features.items() if type(feature).__name__ == feature_type]


def _splits(builder: tfds.core.DatasetBuilder, name: str) -> list[tuple[str, str]]:
    """Returns pairs of the dataset's name of a split and ours."""
    splits = [(s, SPLIT_NAMES[s]) for s in builder.info.splits if s in SPLIT_NAMES]
    if not splits:
        raise UserError(
            f"{name} has the splits {', '.join(builder.info.splits)}, none named train or test.",
            "Build a tf.data.Dataset from it and give that in Python.",
        )
    return splits


def _read(
    builder: tfds.core.DatasetBuilder, split: str, input_key: str, label_key: str
) -> Iterator[tuple[Any, Any]]:
    """Yields pairs of an input (bytes, or samples of audio) and a label."""
    import tensorflow_datasets as tfds

    feature_type = type(builder.info.features[input_key]).__name__
    decoders = {input_key: tfds.decode.SkipDecoding()} if feature_type == "Image" else {}
    dataset = builder.as_dataset(split=split, shuffle_files=False, decoders=decoders)
    for index, row in enumerate(dataset.as_numpy_iterator()):
        item = row[input_key]
        ready = isinstance(item, bytes) or feature_type == "Audio"
        yield (item if ready else encode_png(item, index)), row[label_key]


def _sample_rate(feature: tfds.features.Audio, name: str) -> int:
    if not feature.sample_rate:
        raise UserError(
            f"The TFDS dataset {name} has no sample rate.",
            "Read it in Python, and give tftransfer.from_waveforms(..., rate=...).",
        )
    rate: int = feature.sample_rate
    return rate


def _clips(samples: Sequence[Array], rate: int) -> list[bytes]:
    """Returns WAV bytes; the largest sample of all clips decides their full scale."""
    loudest = max((float(np.abs(clip).max(initial=0)) for clip in samples), default=0.0)
    integers = _INT16_FULL_SCALE if loudest <= _INT16_FULL_SCALE else _INT32_FULL_SCALE
    scale = 1.0 if loudest <= 1 else integers
    return [
        encode_clip((clip / scale).astype(np.float32), n, rate) for n, clip in enumerate(samples)
    ]
