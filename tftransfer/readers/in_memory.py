"""Examples in memory: arrays, waveforms and `tf.data` datasets, stored as encoded bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tftransfer.core.typing import ArrayLike
from tftransfer.data.examples import SPLIT_DTYPE, Examples
from tftransfer.labels.arrays import label_array, labels_from_array
from tftransfer.readers.elements import Elements
from tftransfer.readers.encode import SAMPLE_RATE, EncodedValues, encode_value, encode_values
from tftransfer.readers.frames import plain
from tftransfer.utils.console import printable
from tftransfer.utils.errors import UserError


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
    values, labels = plain(inputs), plain(labels)
    return _from_values(encode_values(values), labels, problem_type, classes)


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
    encoded = EncodedValues(modality="audio", items=items, kept=np.arange(len(items)))
    found = _from_values(encoded, plain(labels), problem_type, classes)
    return replace(found, groups=[str(group) for group in groups])


def from_dataset(dataset: object, *, problem_type: str = "auto") -> Examples:
    """Returns the examples of a `tf.data` or Keras dataset, of a generator, or of a list of pairs.

    Args:
      dataset: Finite dataset, generator or list of (input, label), one by one or in batches; or of
        dictionaries with keys such as `image`, `text` or `audio`, and `label`. An input is an image
        of any size, a waveform as in `from_arrays`, a string of encoded bytes, a text, or the name
        of a file.
      problem_type: Problem type; `auto` infers it from the labels.

    Raises:
      UserError: The dataset is infinite or has other elements.
    """
    elements = Elements(dataset)
    encoded = encode_values(elements.inputs())
    classes = elements.classes
    if classes:
        names = ", ".join(classes[:5]) + ", ..." * (len(classes) > 5)
        elements.warnings.append(f"the classes are the class_names of the dataset: {names}")
    found = _from_values(encoded, elements.labels, problem_type, classes)
    return replace(found, warnings=(*map(printable, elements.warnings), *found.warnings))


def _from_values(
    encoded: EncodedValues,
    labels: ArrayLike | Sequence[ArrayLike],
    problem_type: str,
    classes: Sequence[str] = (),
) -> Examples:
    count = len(encoded.items) + len(encoded.quarantine)
    array = label_array(labels, count, encoded.modality)
    read = labels_from_array(array, problem_type, tuple(classes))
    return Examples(
        names=encoded.names,
        items=encoded.items,
        labels=read.labels[encoded.kept],
        problem_type=read.problem_type,
        classes=read.classes,
        problem_reason=read.reason,
        splits=np.full(len(encoded.items), "", SPLIT_DTYPE),
        warnings=(*encoded.warnings, *read.warnings),
        quarantine=encoded.quarantine,
        modality=encoded.modality,
    )
