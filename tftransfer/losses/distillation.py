"""Losses that train a student on the outputs of a teacher."""

from __future__ import annotations

from dataclasses import dataclass

from tftransfer.core.loss import Loss
from tftransfer.core.typing import Tensor, Tensors
from tftransfer.losses.context import sibling
from tftransfer.losses.registry import register_loss


@register_loss
@dataclass(frozen=True, kw_only=True)
class Distill(Loss):
    """Divergence from a teacher's softened scores, `T^2 KL(p || q)` (Hinton et al., 2015).

    p = softmax(teacher / T) and q = softmax(logits / T). With `STREAM.reference.NAME` as the
    teacher it is learning without forgetting (Li & Hoiem, 2016).

    Attributes:
      logits: Path of the student's logits, [n, classes].
      teacher: Path of the teacher's logits, [n, classes].
      temperature: T, above 0.

    Example:
      >>> import numpy as np
      >>> import tftransfer
      >>> logits = np.array([[2.0, 0.0]])
      >>> batch = {
      ...     "train.logits": logits,
      ...     "train.teacher.logits": logits,
      ...     "train.weight": np.array([1.0]),
      ... }
      >>> float(tftransfer.losses.Distill()(batch))
      0.0
    """

    logits: str = "train.logits"
    teacher: str = "train.teacher.logits"
    temperature: float = 2.0

    def softmaxed(self) -> tuple[str, ...]:
        """Returns the paths of the logits to which the loss applies a softmax."""
        return (self.logits,)

    def __call__(self, tensors: Tensors) -> Tensor:
        """Returns the weighted mean over the batch, a float32 scalar in nats times T^2."""
        from tftransfer.losses import functional

        per_example = functional.distillation(
            tensors[self.logits], tensors[self.teacher], self.temperature
        )
        return functional.weighted_mean(per_example, tensors[sibling(self.logits, "weight")])


@register_loss
@dataclass(frozen=True, kw_only=True)
class Hint(Loss):
    """Cosine distance of a student's hint from a teacher's features (Romero et al., 2015).

    `1 - a.b / (|a| |b|)`.

    Attributes:
      hint: Path of the output of a head of the student, as wide as the features, [n, d].
      features: Path of the teacher's features, [n, d].

    Example:
      >>> import numpy as np
      >>> import tftransfer
      >>> batch = {
      ...     "train.hint": np.array([[1.0, 0.0]]),
      ...     "train.teacher.features": np.array([[0.0, 3.0]]),
      ...     "train.weight": np.array([1.0]),
      ... }
      >>> float(tftransfer.losses.Hint()(batch))
      1.0
    """

    hint: str = "train.hint"
    features: str = "train.teacher.features"

    def __call__(self, tensors: Tensors) -> Tensor:
        """Returns the weighted mean over the batch, a float32 scalar from 0 to 2."""
        from tftransfer.losses import functional

        per_example = functional.cosine_distance(tensors[self.hint], tensors[self.features])
        return functional.weighted_mean(per_example, tensors[sibling(self.hint, "weight")])
