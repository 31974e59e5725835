"""Outputs of teachers for the examples that a student trains on, computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy.special import logsumexp

from tftransfer.core.augmentation import Augment
from tftransfer.core.typing import Array, IntArray
from tftransfer.data.input_pipeline import InputPipeline
from tftransfer.features.extractor import FeatureExtractor
from tftransfer.features.views import Views
from tftransfer.models.network import FEATURES
from tftransfer.planning.phase_plan import PhasePlan
from tftransfer.planning.teachers import Teacher

ByView = Callable[[IntArray, IntArray], Array]
_TEACHER = "teacher"


class TeacherOutputs:
    """The outputs of all teachers of a training.

    A teacher is given the same view as the student, at its own input size (Beyer et al., 2022),
    where views are cached; else the example without augmentation.

    Args:
      teachers: The teachers.
      extractors: The feature extractor of each teacher.
      inputs: The student's decoded examples, for losses that read the original input.
      count: Number of examples of all splits.
    """

    def __init__(
        self,
        teachers: Sequence[Teacher],
        extractors: Sequence[FeatureExtractor],
        inputs: InputPipeline,
        count: int,
    ):
        self._teachers, self._extractors = list(teachers), list(extractors)
        self._inputs, self._count = inputs, count

    def close(self) -> None:
        """Waits until everything that is to be kept is on disk."""
        for extractor in self._extractors:
            extractor.close()

    def stream_fields(
        self, stream: str, planned: PhasePlan, indices: IntArray, augment: Augment
    ) -> dict[str, ByView]:
        """Returns the tensors that a stream adds to its batches.

        Args:
          stream: Name of the stream.
          planned: The phase, whose losses name the tensors.
          indices: Indices of the stream's examples, int64 [n].
          augment: Augmentation of the stream.

        Returns:
          Functions from indices and views, int64 [m] each, to a tensor [m, ...], by the names of
          the tensors.
        """
        paths = [path.split(".") for loss in planned.phase.losses for path in loss.paths()]
        names = {path[2] for path in paths if path[:2] == [stream, _TEACHER]}
        found = {
            f"{_TEACHER}.{name}": self._output(name, planned, indices, augment)
            for name in sorted(names)
        }
        if [stream, "original"] in paths:
            found["original"] = lambda some, view: self._inputs.fetch(some).astype(np.float32)
        return found

    def _output(self, name: str, planned: PhasePlan, indices: IntArray, augment: Augment) -> ByView:
        views = replace(planned.views, augment=augment)
        count = views.cached or 1
        each_view = [self._of_view(name, indices, number, views) for number in range(count)]
        row = np.zeros(self._count, np.int64)
        row[indices] = np.arange(len(indices))
        stacked = np.stack(each_view)
        return lambda some, view: stacked[np.minimum(view, count - 1), row[some]]

    def _of_view(self, name: str, indices: IntArray, number: int, views: Views) -> Array:
        features = [
            extractor.stored(FEATURES, indices, view=extractor.view(views, number))[0]
            for extractor in self._extractors
        ]
        if name == FEATURES:
            return np.concatenate(features, axis=1)
        logits = [
            _head_logits(teacher, name, found)
            for teacher, found in zip(self._teachers, features, strict=True)
        ]
        return logits[0] if len(logits) == 1 else _mean_of_softmax(logits)


def _head_logits(teacher: Teacher, name: str, features: Array) -> Array:
    """Returns a teacher's logits from pooled features, in the order of the student's classes."""
    scores = teacher.network.submodel(FEATURES, [name])([features], training=False)[name].numpy()
    return scores[:, list(teacher.columns)]


def _mean_of_softmax(logits: Sequence[Array]) -> Array:
    """Returns the logarithm of the mean of several teachers' probabilities."""
    each = [x - logsumexp(x, axis=1, keepdims=True) for x in logits]
    return (logsumexp(each, axis=0) - np.log(len(each))).astype(np.float32)
