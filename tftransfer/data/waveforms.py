"""Examples of waveforms in memory; they are kept as WAV bytes, which lose nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tftransfer.data.encode import RATE, encoded_value
from tftransfer.data.examples import SPLIT_DTYPE, Examples
from tftransfer.data.in_memory import label_array, labels_from_array
from tftransfer.utils.errors import UserError


def from_waveforms(
    waveforms: Any,
    labels: Any,
    *,
    rate: int = RATE,
    problem_type: str = "auto",
    classes: Sequence[str] = (),
    groups: Sequence[str] = (),
) -> Examples:
    """Clips of sound with labels, as `Experiment.data`.

    Args:
      waveforms: [n, samples], or n of [samples] or [samples, channels]: floating with full scale at
        -1 to 1, or int16.
      labels: [n] or [n, k], as in `Experiment.data`.
      rate: samples a second.
      problem_type: `auto` takes the kind of label from the labels.
      classes: their names, where the labels count them.
      groups: such as the speaker of each clip, which no two parts of the split will share; [n].

    Raises:
      UserError: as many labels or groups as clips are not there, or a sample is louder than full
        scale.
    """
    items = [encoded_value(wave, number, "audio", rate) for number, wave in enumerate(waveforms)]
    if len(groups) not in (0, len(items)):
        raise UserError(
            f"There are {len(groups)} groups for {len(items)} clips.", "Give one for each, or none."
        )
    labels = label_array(labels, len(items), "audio")
    labels, problem_type, names = labels_from_array(labels, problem_type, tuple(classes))
    found = Examples(
        names=[f"#{number}" for number in range(len(items))],
        items=items,
        labels=labels,
        problem_type=problem_type,
        classes=names,
        splits=np.full(len(items), "", SPLIT_DTYPE),
        modality="audio",
    )
    return replace(found, groups=[str(group) for group in groups])
