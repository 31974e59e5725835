"""Examples of waveforms in memory; they are kept as WAV bytes, which lose nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tftransfer.ground.errors import UserError
from tftransfer.parts.data.examples import PART_DTYPE, Examples
from tftransfer.parts.data.memory import labels_from_array

_RATE = 16_000


def are_waveforms(values: Any) -> bool:
    """Whether these are [n, samples] of floating point, or a list of such [samples]."""
    if isinstance(values, np.ndarray):
        return values.ndim == 2 and values.dtype.kind == "f"
    return bool(len(values)) and all(is_waveform(value) for value in values)


def is_waveform(value: Any) -> bool:
    """Whether this is float [samples]."""
    return getattr(value, "ndim", 0) == 1 and np.asarray(value).dtype.kind == "f"


def from_waveforms(
    waveforms: Any, labels: Any, *, rate: int = _RATE, target: str = "auto",
    classes: Sequence[str] = (), groups: Sequence[str] = (),
) -> Examples:  # fmt: skip
    """Clips of sound with labels, as `Experiment.data`.

    Args:
      waveforms: float [n, samples], or n of float [samples] or [samples, channels], full scale at
        -1 to 1.
      labels: [n] or [n, k], as in `Experiment.data`.
      rate: samples a second.
      target: `auto` takes the kind of label from the labels.
      classes: their names, where the labels count them.
      groups: such as the speaker of each clip, which no two parts of the split will share.

    Raises:
      UserError: as many labels as clips are not there, or a sample is louder than full scale.
    """
    labels = np.asarray(labels)
    if len(waveforms) != len(labels):
        raise UserError(
            f"{len(waveforms)} clips but {len(labels)} labels.", "Give one label per clip."
        )
    items = [clip_bytes(wave, number, rate) for number, wave in enumerate(waveforms)]
    labels, target, names = labels_from_array(labels, target, tuple(classes))
    found = Examples(
        names=[f"#{number}" for number in range(len(items))], items=items, labels=labels,
        target=target, classes=names, parts=np.full(len(items), "", PART_DTYPE), kind="audio",
    )  # fmt: skip
    return replace(found, groups=[str(group) for group in groups])


def clip_bytes(waveform: Any, number: int = 0, rate: int = _RATE) -> bytes:
    """WAV bytes of float [samples] or [samples, channels]; `number` is for the message.

    Raises:
      UserError: no samples, or some that are not in -1 to 1.
    """
    from tftransfer.parts.kinds.audio.wav import encode_wav  # nothing of audio for pictures

    samples = np.asarray(waveform)
    if samples.dtype.kind != "f" or not samples.size or not np.abs(samples).max() <= 1.0:
        raise UserError(
            f"Clip {number} is {samples.dtype} of the shape {samples.shape}, and not samples in "
            "-1 to 1.",
            "Give floating point; divide 16-bit numbers by 32768.",
        )
    return encode_wav(samples, rate)
