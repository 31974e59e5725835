"""Losses that teach a student what a teacher says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tftransfer.core.recipe import Loss
from tftransfer.core.serialization import register_serializable
from tftransfer.losses.context import Tensors, beside


@register_serializable
@dataclass(frozen=True, kw_only=True)
class Distill(Loss):
    """Divergence from a teacher's softened scores (Hinton et al., 2015), times T squared.

    With `STREAM.reference.NAME` for the teacher it is learning without forgetting (Li & Hoiem,
    2016).

    Attributes:
      logits: path of the student's scores, [n, classes].
      teacher: path of the teacher's.
      temperature: T, by which both are divided.
    """

    logits: str = "train.logits"
    teacher: str = "train.teacher.logits"
    temperature: float = 2.0

    def softmaxed(self) -> tuple[str, ...]:
        """Paths of scores of classes that exclude each other."""
        return (self.logits,)

    def __call__(self, tensors: Tensors) -> Any:
        """The loss as a scalar."""
        from tftransfer.losses import functional

        per_example = functional.distillation(
            tensors[self.logits], tensors[self.teacher], self.temperature
        )
        return functional.weighted_mean(per_example, tensors[beside(self.logits, "weight")])


@register_serializable
@dataclass(frozen=True, kw_only=True)
class Hint(Loss):
    """Distance of the student's hint from a teacher's features (Romero et al., 2015), by cosine.

    Attributes:
      hint: path of a head of the student, as wide as the features.
      features: path of the teacher's.
    """

    hint: str = "train.hint"
    features: str = "train.teacher.features"

    def __call__(self, tensors: Tensors) -> Any:
        """The loss as a scalar."""
        from tftransfer.losses import functional

        per_example = functional.cosine_distance(tensors[self.hint], tensors[self.features])
        return functional.weighted_mean(per_example, tensors[beside(self.hint, "weight")])
