"""Examples in memory: arrays, waveforms and `tf.data` datasets, stored as encoded bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from tftransfer.core.typing import ArrayLike, Dataset
from tftransfer.data.encode import SAMPLE_RATE, encode_value, encode_values
from tftransfer.data.examples import SPLIT_DTYPE, Examples
from tftransfer.labels.arrays import label_array, labels_from_array
from tftransfer.utils.errors import UserError

_INFINITE = -1  # tf.data.INFINITE_CARDINALITY
_INPUT_KEYS = ("image", "text", "sentence", "audio")


def from_arrays(
    inputs: Sequence[ArrayLike] | np.ndarray,
    labels: ArrayLike,
    *,
    problem_type: str = "auto",
    classes: Sequence[str] = (),
) -> Examples:
    """Returns the examples of arrays or lists.

    Images are stored as PNG, which keeps 8 bits per channel exactly.

    Args:
      inputs: Images [n, h, w], [n, h, w, 1] or [n, h, w, 3], uint8 or floating point in [0, 1];
        texts, str or bytes [n]; or waveforms at 16 kHz [n, samples] or [n, samples, channels],
        also as a list of several lengths. The first one decides the modality.
      labels: Labels, [n] or [n, k]. For `multi_task`, int or str [n, tasks] with -1 or "" for an
        unknown label.
      problem_type: Problem type; `auto` infers it from the labels.
      classes: Names of the classes that the labels index; () infers them.

    Raises:
      UserError: An input or a label has an unsupported type, shape or value.
    """
    modality, items = encode_values(inputs)
    warnings = _conversion_warnings(inputs, modality)
    return _from_items(items, labels, modality, problem_type, classes, warnings)


def from_waveforms(
    waveforms: Sequence[ArrayLike] | np.ndarray,
    labels: ArrayLike,
    *,
    rate: int = SAMPLE_RATE,
    problem_type: str = "auto",
    classes: Sequence[str] = (),
    groups: Sequence[str] = (),
) -> Examples:
    """Returns labeled clips of audio, for use as `Experiment.data`.

    Clips are stored as WAV with 32-bit floating point samples, which loses nothing.

    Example:

    >>> import numpy as np
    >>> import tftransfer
    >>> time = np.arange(8000) / 8000
    >>> clips = [np.sin(2 * np.pi * hertz * time) for hertz in (220, 230, 440, 450)]
    >>> data = tftransfer.from_waveforms(clips, ["low", "low", "high", "high"], rate=8000)
    >>> len(data), data.classes
    (4, ('high', 'low'))

    Args:
      waveforms: Waveforms [n, samples], or n waveforms [samples] or [samples, channels]; floating
        point from -1 to 1, or int16.
      labels: Labels, [n] or [n, k], as in `Experiment.data`.
      rate: Sample rate in Hz.
      problem_type: Problem type; `auto` infers it from the labels.
      classes: Names of the classes that the labels index; () infers them.
      groups: Group of each clip, such as its speaker, [n]; a split keeps groups together.

    Raises:
      UserError: The number of labels or groups is not that of the clips, or a sample is outside
        -1 to 1.
    """
    items = [encode_value(wave, number, "audio", rate) for number, wave in enumerate(waveforms)]
    if len(groups) not in (0, len(items)):
        raise UserError(
            f"There are {len(groups)} groups for {len(items)} clips.",
            "Give one group per clip, or none.",
        )
    found = _from_items(items, labels, "audio", problem_type, classes)
    return replace(found, groups=[str(group) for group in groups])


def from_dataset(dataset: Dataset, *, problem_type: str = "auto") -> Examples:
    """Returns the examples of a `tf.data.Dataset`.

    Args:
      dataset: Finite, unbatched dataset of (input, label), or of dictionaries with the keys
        `image`, `text`, `sentence` or `audio`, and `label`. An input is an image of any size, a
        waveform as in `from_arrays`, a string of encoded bytes, or a text.
      problem_type: Problem type; `auto` infers it from the labels.

    Raises:
      UserError: The dataset is infinite or has other elements.
    """
    if int(dataset.cardinality()) == _INFINITE:
        raise UserError("The dataset is infinite.", "Add take(n), or remove repeat().")
    labels: list[ArrayLike] = []

    def inputs() -> Iterator[ArrayLike]:
        for element in dataset.as_numpy_iterator():
            value, label = _input_and_label(element)
            labels.append(label.decode() if isinstance(label, bytes) else label)
            yield value

    modality, items = encode_values(inputs())
    return _from_items(items, labels, modality, problem_type)


def _from_items(
    items: list[bytes],
    labels: ArrayLike | Sequence[ArrayLike],
    modality: str,
    problem_type: str,
    classes: Sequence[str] = (),
    warnings: tuple[str, ...] = (),
) -> Examples:
    array = label_array(labels, len(items), modality)
    read = labels_from_array(array, problem_type, tuple(classes))
    return Examples(
        names=[f"#{number}" for number in range(len(items))],
        items=items,
        labels=read.labels,
        problem_type=read.problem_type,
        classes=read.classes,
        problem_reason=read.reason,
        splits=np.full(len(items), "", SPLIT_DTYPE),
        warnings=(*warnings, *read.warnings),
        modality=modality,
    )


def _conversion_warnings(
    inputs: Sequence[ArrayLike] | np.ndarray, modality: str
) -> tuple[str, ...]:
    if modality == "image" and isinstance(inputs, np.ndarray) and inputs.dtype != np.uint8:
        return (f"images of {inputs.dtype} in [0, 1] are stored with 8 bits",)
    if modality == "audio" and getattr(inputs[0], "dtype", None) == np.int16:
        return ("int16 samples are divided by 32,768",)
    return ()


def _input_and_label(element: object) -> tuple[ArrayLike, ArrayLike]:
    for key in _INPUT_KEYS:
        if isinstance(element, dict) and {key, "label"} <= set(element):
            return element[key], element["label"]
    if isinstance(element, (tuple, list)) and len(element) == 2:
        return element[0], element[1]
    raise UserError(
        f"The dataset yields {type(element).__name__}.",
        "Yield pairs (image, label), or dictionaries with the keys image, text or audio and label.",
    )
