"""Losses that compare outputs or features with labels."""

from __future__ import annotations

from dataclasses import dataclass

from tftransfer.core.loss import Loss
from tftransfer.core.problem_types import SUPERVISED_LOSSES, ProblemType
from tftransfer.core.typing import Tensor, Tensors
from tftransfer.losses.context import sibling
from tftransfer.losses.multi_task import MultiTask
from tftransfer.losses.registry import register_loss
from tftransfer.utils.errors import unknown_name


@register_loss
@dataclass(frozen=True, kw_only=True)
class CrossEntropy(Loss):
    """Softmax cross-entropy of one label per example, `-sum_k y_k log softmax(z)_k`.

    Attributes:
      logits: Path of the logits z, [n, classes].
      label: Path of the probabilities y, usually one-hot, [n, classes].
      label_smoothing: Share of the label that is spread over all classes, from 0 to below 1
        (Szegedy et al., 2016).
      class_weight: `none`, or `balanced`: an example counts n / (classes * examples of its class).

    Example:
      >>> import numpy as np
      >>> import tftransfer
      >>> batch = {
      ...     "train.logits": np.array([[0.0, 0.0]]),
      ...     "train.label": np.array([[1.0, 0.0]]),
      ...     "train.weight": np.array([1.0]),
      ... }
      >>> f"{float(tftransfer.losses.CrossEntropy()(batch)):.4f}"
      '0.6931'
    """

    logits: str = "train.logits"
    label: str = "train.label"
    label_smoothing: float = 0.0
    class_weight: str = "none"

    def __call__(self, tensors: Tensors) -> Tensor:
        """Returns the weighted mean over the batch, a float32 scalar in nats."""
        from tftransfer.losses import functional

        per_example = functional.cross_entropy(
            tensors[self.logits], tensors[self.label], self.label_smoothing
        )
        weight = tensors[sibling(self.label, "weight")]
        if self.class_weight == "balanced":
            weight = weight * functional.example_weights(
                tensors[self.label], tensors[sibling(self.label, "class_weight")]
            )
        return functional.weighted_mean(per_example, weight)


@register_loss
@dataclass(frozen=True, kw_only=True)
class BinaryCrossEntropy(Loss):
    """Sigmoid cross-entropy of several labels per example, summed over the labels.

    `sum_k y log(1 + exp(-z)) + (1 - y) log(1 + exp(z))`.

    Attributes:
      logits: Path of the logits z, [n, labels].
      label: Path of the labels y, from 0 to 1, [n, labels].

    Example:
      >>> import numpy as np
      >>> import tftransfer
      >>> batch = {
      ...     "train.logits": np.array([[0.0, 0.0]]),
      ...     "train.label": np.array([[1.0, 0.0]]),
      ...     "train.weight": np.array([1.0]),
      ... }
      >>> f"{float(tftransfer.losses.BinaryCrossEntropy()(batch)):.4f}"
      '1.3863'
    """

    logits: str = "train.logits"
    label: str = "train.label"

    def __call__(self, tensors: Tensors) -> Tensor:
        """Returns the weighted mean over the batch, a float32 scalar in nats."""
        from tftransfer.losses import functional

        per_example = functional.binary_cross_entropy(tensors[self.logits], tensors[self.label])
        return functional.weighted_mean(per_example, tensors[sibling(self.label, "weight")])


@register_loss
@dataclass(frozen=True, kw_only=True)
class SquaredError(Loss):
    """Mean squared difference of two tensors, over all axes but the first.

    Attributes:
      prediction: Path of the outputs, [n, ...].
      label: Path of the values to predict, of the same shape.
      standardize: Whether several columns of labels [n, k] count in units of their variance in
        training, so that the unit of one does not make the others count nothing.

    Example:
      >>> import numpy as np
      >>> import tftransfer
      >>> batch = {
      ...     "train.logits": np.array([[1.0], [2.0]]),
      ...     "train.label": np.array([[1.0], [4.0]]),
      ...     "train.weight": np.ones(2),
      ... }
      >>> float(tftransfer.losses.SquaredError()(batch))
      2.0
    """

    prediction: str = "train.logits"
    label: str = "train.label"
    standardize: bool = False

    def __call__(self, tensors: Tensors) -> Tensor:
        """Returns the weighted mean over the batch, a float32 scalar."""
        from tftransfer.losses import functional

        prediction, label = tensors[self.prediction], tensors[self.label]
        if self.standardize and label.shape[-1] > 1:
            scale = tensors[sibling(self.label, "class_weight")] ** 0.5
            prediction, label = prediction * scale, label * scale
        per_example = functional.squared_error(prediction, label)
        return functional.weighted_mean(per_example, tensors[sibling(self.prediction, "weight")])


@register_loss
@dataclass(frozen=True, kw_only=True)
class CosinePairs(Loss):
    """Error of cosines that should be 1 within a class and 0 between classes (SetFit).

    See `functional.cosine_pairs` for the formula (Tunstall et al., 2022).

    Attributes:
      features: Path of the features, [n, d].
      label: Path of one-hot labels, [n, classes].

    Example:
      >>> import numpy as np
      >>> import tftransfer
      >>> batch = {
      ...     "train.features": np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 3.0]]),
      ...     "train.label": np.array([[1, 0], [1, 0], [0, 1], [0, 1]]),
      ...     "train.weight": np.ones(4),
      ... }
      >>> float(tftransfer.losses.CosinePairs()(batch))
      0.0
    """

    features: str = "train.features"
    label: str = "train.label"

    def __call__(self, tensors: Tensors) -> Tensor:
        """Returns the weighted mean over the batch, a float32 scalar from 0 to 2.5."""
        from tftransfer.losses import functional

        weight = tensors[sibling(self.features, "weight")]
        per_row = functional.cosine_pairs(tensors[self.features], tensors[self.label], weight)
        return functional.weighted_mean(per_row, weight)


SUPERVISED_LOSSES.register(ProblemType.SINGLE_LABEL)(CrossEntropy)
SUPERVISED_LOSSES.register(ProblemType.MULTI_TASK)(MultiTask)


@SUPERVISED_LOSSES.register(ProblemType.MULTI_LABEL)
def _loss_of_multi_label(**_: object) -> Loss:
    return BinaryCrossEntropy()


@SUPERVISED_LOSSES.register(ProblemType.REGRESSION)
def _loss_of_regression(**_: object) -> Loss:
    return SquaredError(standardize=True)


def supervised(
    problem_type: str, *, label_smoothing: float = 0.0, class_weight: str = "none"
) -> Loss:
    """Returns the loss for labels of a problem type.

    Args:
      problem_type: A `ProblemType` or its name.
      label_smoothing: Share of each label that is spread over all classes, from 0 to below 1; of
        exclusive classes only.
      class_weight: `none` or `balanced`; of exclusive classes only.

    Raises:
      UserError: The problem type or the class weight does not exist.

    Example:
      >>> import tftransfer
      >>> type(tftransfer.losses.supervised("regression")).__name__
      'SquaredError'
    """
    if class_weight not in ("none", "balanced"):
        raise unknown_name("class_weight", class_weight, ("none", "balanced"))
    return ProblemType(problem_type).loss(
        label_smoothing=label_smoothing, class_weight=class_weight
    )
