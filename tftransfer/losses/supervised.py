"""Losses that compare with labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tftransfer.core.problem_types import LOSSES, ProblemType
from tftransfer.core.recipe import Loss
from tftransfer.core.serialization import register_serializable
from tftransfer.losses.context import Tensors, beside
from tftransfer.losses.multi_task import MultiTask
from tftransfer.utils.errors import unknown_name


@register_serializable
@dataclass(frozen=True, kw_only=True)
class CrossEntropy(Loss):
    """Softmax cross-entropy of one label per example; see `functional.cross_entropy`.

    Attributes:
      logits: path of [n, classes] scores before the softmax.
      label: path of [n, classes] probabilities, usually one-hot.
      label_smoothing: share of the label spread over all classes (Szegedy et al., 2016).
      class_weight: `none`, or `balanced`: an example counts n / (classes × n of its class).
    """

    logits: str = "train.logits"
    label: str = "train.label"
    label_smoothing: float = 0.0
    class_weight: str = "none"

    def __call__(self, tensors: Tensors) -> Any:
        """The loss as a scalar."""
        from tftransfer.losses import functional

        per_example = functional.cross_entropy(
            tensors[self.logits], tensors[self.label], self.label_smoothing
        )
        weight = tensors[beside(self.label, "weight")]
        if self.class_weight == "balanced":
            weight = weight * functional.example_weights(
                tensors[self.label], tensors[beside(self.label, "class_weight")]
            )
        return functional.weighted_mean(per_example, weight)


@register_serializable
@dataclass(frozen=True, kw_only=True)
class BinaryCrossEntropy(Loss):
    """Sigmoid cross-entropy of several labels per example, summed over the labels."""

    logits: str = "train.logits"
    label: str = "train.label"

    def __call__(self, tensors: Tensors) -> Any:
        """The loss as a scalar."""
        from tftransfer.losses import functional

        per_example = functional.binary_cross_entropy(tensors[self.logits], tensors[self.label])
        return functional.weighted_mean(per_example, tensors[beside(self.label, "weight")])


@register_serializable
@dataclass(frozen=True, kw_only=True)
class SquaredError(Loss):
    """Mean squared difference of two tensors of one shape."""

    prediction: str = "train.logits"
    label: str = "train.label"

    def __call__(self, tensors: Tensors) -> Any:
        """The loss as a scalar."""
        from tftransfer.losses import functional

        per_example = functional.squared_error(tensors[self.prediction], tensors[self.label])
        return functional.weighted_mean(per_example, tensors[beside(self.prediction, "weight")])


@register_serializable
@dataclass(frozen=True, kw_only=True)
class CosinePairs(Loss):
    """Vectors of one class drawn together, of different ones apart (SetFit, Tunstall et al., 2022).

    Attributes:
      features: path of the vectors, [n, d].
      label: path of one-hot labels, [n, classes].
    """

    features: str = "train.features"
    label: str = "train.label"

    def __call__(self, tensors: Tensors) -> Any:
        """The loss as a scalar."""
        from tftransfer.losses import functional

        weight = tensors[beside(self.features, "weight")]
        per_row = functional.cosine_pairs(tensors[self.features], tensors[self.label], weight)
        return functional.weighted_mean(per_row, weight)


LOSSES.register(ProblemType.SINGLE_LABEL)(CrossEntropy)
LOSSES.register(ProblemType.MULTI_TASK)(MultiTask)


@LOSSES.register(ProblemType.MULTI_LABEL)
def _loss_of_multi_label(**_: object) -> Loss:
    return BinaryCrossEntropy()


@LOSSES.register(ProblemType.REGRESSION)
def _loss_of_regression(**_: object) -> Loss:
    return SquaredError()


def supervised(
    problem_type: str, *, label_smoothing: float = 0.0, class_weight: str = "none"
) -> Loss:
    """Returns the loss for labels of a problem type.

    Args:
      problem_type: A `ProblemType` or its name.
      label_smoothing: Share of each label that is spread over all classes, from 0 to 1; of
        exclusive classes only.
      class_weight: `none` or `balanced`; of exclusive classes only.

    Raises:
      UserError: The problem type or the class weight does not exist.
    """
    if class_weight not in ("none", "balanced"):
        raise unknown_name("class_weight", class_weight, ("none", "balanced"))
    return ProblemType(problem_type).loss(
        label_smoothing=label_smoothing, class_weight=class_weight
    )
