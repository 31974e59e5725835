"""The loss of several tasks, whose labels are concatenated."""

from __future__ import annotations

import functools
import itertools
import math
import operator
from dataclasses import dataclass
from typing import NamedTuple

from tftransfer.core.loss import Loss
from tftransfer.core.typing import Tensor, Tensors
from tftransfer.losses.context import sibling
from tftransfer.losses.registry import register_loss
from tftransfer.utils.errors import UserError, unknown_name

BALANCES = ("fixed", "uncertainty", "gradnorm")
# Smallest sum of a label that is divided by.
_SMALLEST_SUM = 1e-12


class _TaskBatch(NamedTuple):
    """Logits, labels and example weights of one task; the weight is 0 without a label."""

    logits: Tensor
    label: Tensor
    weight: Tensor
    columns: slice


@register_loss
@dataclass(frozen=True, kw_only=True)
class MultiTask(Loss):
    """Weighted sum of the softmax cross-entropies of several tasks.

    The loss of a task is the mean over those examples of the batch that have a label for it: an
    unknown label is a row of zeros and has the weight 0.

    Attributes:
      logits: Path of the logits of all tasks, concatenated, [n, classes].
      label: Path of their one-hot labels, [n, classes].
      sizes: Number of classes of each task; set by the planner.
      balance: How the tasks are weighted: `fixed`; `uncertainty`, by trained variances (Kendall et
        al., 2018); or `gradnorm`, by trained weights that equalize the training rates of the tasks
        (Chen et al., 2018). The gradient norms of `gradnorm` are by the shared features, not by the
        last shared weights: they have a closed form and need no second backward pass.
      weights: Fixed weights of the tasks; empty for 1 each.
      trained: Path of the trained numbers s, equal in each row, [n, tasks]: log variances, or with
        `gradnorm` weights `tasks * softmax(s)`.
      head: Name of the head of the logits, for `gradnorm`; its last layer must be linear.
      alpha: Exponent of `gradnorm`; a larger value gives slow tasks more weight.
      label_smoothing: As in `CrossEntropy`.
      class_weight: As in `CrossEntropy`.

    Example:
      >>> import numpy as np
      >>> import tftransfer
      >>> batch = {
      ...     "train.logits": np.zeros((1, 4)),  # of two tasks with two classes
      ...     "train.label": np.array([[1.0, 0.0, 0.0, 0.0]]),  # the second label is unknown
      ...     "train.weight": np.ones(1),
      ... }
      >>> f"{float(tftransfer.losses.MultiTask(sizes=(2, 2))(batch)):.4f}"
      '0.6931'
    """

    logits: str = "train.logits"
    label: str = "train.label"
    sizes: tuple[int, ...] = ()
    balance: str = "fixed"
    weights: tuple[float, ...] = ()
    trained: str = ""
    head: str = "head"
    alpha: float = 1.5
    label_smoothing: float = 0.0
    class_weight: str = "none"

    def __post_init__(self) -> None:
        if self.balance not in BALANCES:
            raise unknown_name("balance", self.balance, BALANCES)

    def __call__(self, tensors: Tensors) -> Tensor:
        """Returns the weighted sum of the tasks' losses, a float32 scalar in nats.

        With `gradnorm` the loss of the weights is added.
        """
        from keras import ops

        from tftransfer.losses import functional

        tasks = [self._task(tensors, columns) for columns in self._columns()]
        losses = [
            functional.weighted_mean(
                functional.cross_entropy(task.logits, task.label, self.label_smoothing), task.weight
            )
            for task in tasks
        ]
        if self.balance == "fixed":
            weights = self.weights or [1.0] * len(losses)
            return functools.reduce(operator.add, map(operator.mul, weights, losses))
        trained = tensors[self.trained][0]
        if self.balance == "uncertainty":
            pairs = zip(losses, ops.unstack(trained, len(losses)))
            weighted = [functional.uncertainty_weighted(each, s) for each, s in pairs]
            return functools.reduce(operator.add, weighted)
        return self._gradnorm(tensors, tasks, ops.stack(losses), trained)

    def _gradnorm(
        self, tensors: Tensors, tasks: list[_TaskBatch], losses: Tensor, trained: Tensor
    ) -> Tensor:
        from keras import ops

        from tftransfer.losses import functional

        weights = len(tasks) * ops.softmax(trained)
        kernel = self._kernel(tensors)
        norms = [
            functional.linear_gradient_norm(
                task.logits, task.label, task.weight, kernel[:, task.columns], self.label_smoothing
            )
            for task in tasks
        ]
        # L(0) of a head that gives all classes the same probability, as the paper suggests.
        initial = [math.log(size) for size in self.sizes]
        imbalance = functional.gradnorm(losses, initial, weights * ops.stack(norms), self.alpha)
        return ops.sum(ops.stop_gradient(weights) * losses) + imbalance

    def _columns(self) -> list[slice]:
        edges = [0, *itertools.accumulate(self.sizes)]
        return [slice(*pair) for pair in itertools.pairwise(edges)]

    def _task(self, tensors: Tensors, columns: slice) -> _TaskBatch:
        from keras import ops

        from tftransfer.losses import functional

        label, weight = tensors[self.label][:, columns], tensors[sibling(self.label, "weight")]
        known = ops.sum(label, axis=-1)
        label = label / ops.maximum(known, _SMALLEST_SUM)[:, None]
        if self.class_weight == "balanced":
            class_weight = tensors[sibling(self.label, "class_weight")][columns]
            known = known * functional.example_weights(label, class_weight)
        return _TaskBatch(tensors[self.logits][:, columns], label, weight * known, columns)

    def _kernel(self, tensors: Tensors) -> Tensor:
        found = [each for each, _ in tensors.weights(self.head) if len(each.shape) == 2]
        if not found or found[-1].shape[-1] != sum(self.sizes):
            raise UserError(
                f"gradnorm needs the kernel of the head {self.head!r}, which does not train here.",
                "Train the head, or use balance=uncertainty.",
            )
        return found[-1]
