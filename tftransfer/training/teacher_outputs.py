"""Other networks' outputs for the pictures that a student sees, computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy.special import logsumexp

from tftransfer.core.augmentation import Augment
from tftransfer.data.input_pipeline import InputPipeline
from tftransfer.features.extractor import FeatureExtractor
from tftransfer.features.views import Views
from tftransfer.models.network import FEATURES
from tftransfer.planning.phase_plan import PhasePlan
from tftransfer.planning.plan import Plan
from tftransfer.planning.teachers import Teacher

Beside = Callable[[np.ndarray, np.ndarray], np.ndarray]
_TEACHER = "teacher"


class TeacherOutputs:
    """The teachers of a plan, side by side.

    A teacher sees the very view that the student sees, at its own size (Beyer et al., 2022), where
    views are stored; else the picture as it is.

    Args:
      plan: with `teachers`.
      extractors: of each of them.
      inputs: of the student, for what has to tell the picture itself.
    """

    def __init__(self, plan: Plan, extractors: Sequence[FeatureExtractor], inputs: InputPipeline):
        self._plan, self._extractors, self._inputs = plan, list(extractors), inputs

    def close(self) -> None:
        """Waits until all that is to be kept is on disk."""
        for extractor in self._extractors:
            extractor.close()

    def beside(
        self, stream: str, planned: PhasePlan, indices: np.ndarray, augment: Augment
    ) -> dict[str, Beside]:
        """What a stream carries along: name of a teacher's tensor to a function of the examples."""
        paths = [path.split(".") for loss in planned.phase.losses for path in loss.paths()]
        names = {path[2] for path in paths if path[:2] == [stream, _TEACHER]}
        found = {
            f"{_TEACHER}.{name}": self._output(name, planned, indices, augment)
            for name in sorted(names)
        }
        if [stream, "original"] in paths:
            found["original"] = lambda some, view: self._inputs.fetch(some).astype(np.float32)
        return found

    def _output(
        self, name: str, planned: PhasePlan, indices: np.ndarray, augment: Augment
    ) -> Beside:
        views = replace(planned.views, augment=augment)
        count = views.cached or 1
        each_view = [self._of_view(name, indices, number, views) for number in range(count)]
        place = np.zeros(len(self._plan.examples), np.int64)
        place[indices] = np.arange(len(indices))
        stacked = np.stack(each_view)
        return lambda some, view: stacked[np.minimum(view, count - 1), place[some]]

    def _of_view(self, name: str, indices: np.ndarray, number: int, views: Views) -> np.ndarray:
        features = [
            extractor.stored(FEATURES, indices, view=extractor.view(views, number))[0]
            for extractor in self._extractors
        ]
        if name == FEATURES:
            return np.concatenate(features, axis=1)
        logits = [
            _head(teacher, name, found)
            for teacher, found in zip(self._plan.teachers, features, strict=True)
        ]
        return logits[0] if len(logits) == 1 else _mean_of_softmax(logits)


def _head(teacher: Teacher, name: str, features: np.ndarray) -> np.ndarray:
    """A teacher's scores from pooled features, in inference, in the order of our classes."""
    scores = teacher.network.submodel(FEATURES, [name])([features], training=False)[name].numpy()
    return scores[:, list(teacher.columns)]


def _mean_of_softmax(logits: Sequence[np.ndarray]) -> np.ndarray:
    """Logarithm of the mean of the probabilities: scores of several teachers as one."""
    each = [x - logsumexp(x, axis=1, keepdims=True) for x in logits]
    return (logsumexp(each, axis=0) - np.log(len(each))).astype(np.float32)
