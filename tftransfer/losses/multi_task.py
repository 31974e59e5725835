"""The loss of several tasks, whose labels stand side by side."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

from tftransfer.core.recipe import Loss
from tftransfer.core.serialization import register_serializable
from tftransfer.losses.context import Tensors, beside
from tftransfer.utils.errors import UserError, unknown_name

BALANCES = ("fixed", "uncertainty", "gradnorm")


@register_serializable
@dataclass(frozen=True, kw_only=True)
class MultiTask(Loss):
    """Softmax cross-entropy of every task on its own columns, weighed against each other.

    An example whose label for a task is unknown, a row of zeros, has the weight 0 there: a task's
    loss is the mean over those of the batch that have one.

    Attributes:
      logits: path of the scores of all tasks side by side, [n, classes].
      label: path of their labels, as wide.
      sizes: number of classes of each task; the planner fills them in.
      balance: `fixed`; `uncertainty`, trained variances (Kendall et al., 2018); or `gradnorm`,
        trained weights that even out how fast the tasks learn (Chen et al., 2018), with the norms
        of the gradients by the shared features in place of those by the last shared weights: they
        are in closed form and need no second pass.
      weights: of the tasks, where they are fixed; empty for 1 each.
      trained: path of the trained numbers s, the same in each row, [n, tasks]: logarithms of the
        variances, or with `gradnorm` the weights are tasks * softmax(s), which add up to the tasks.
      head: of the logits, for `gradnorm`: its last layer is linear, and what that reads is shared.
      alpha: of `gradnorm`.
      label_smoothing: as in `CrossEntropy`.
      class_weight: as in `CrossEntropy`.
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

    def __call__(self, tensors: Tensors) -> Any:
        """The loss as a scalar, in nats; that of the weights, with `gradnorm`, added."""
        from keras import ops

        from tftransfer.losses import functional

        parts = [self._part(tensors, columns) for columns in self._columns()]
        losses = [
            functional.weighted_mean(
                functional.cross_entropy(logits, label, self.label_smoothing), weight
            )
            for logits, label, weight, _ in parts
        ]
        if self.balance == "fixed":
            return sum(w * each for w, each in zip(self.weights or [1.0] * len(losses), losses))
        trained = tensors[self.trained][0]
        if self.balance == "uncertainty":
            pairs = zip(losses, ops.unstack(trained, len(losses)))
            return sum(functional.uncertainty_weighted(each, s) for each, s in pairs)
        weights = len(losses) * ops.softmax(trained)
        kernel = self._kernel(tensors)
        norms = [
            functional.linear_gradient_norm(
                logits, label, weight, kernel[:, columns], self.label_smoothing
            )
            for logits, label, weight, columns in parts
        ]
        stacked = ops.stack(losses)
        # Where heads begin, every class is as likely: the paper's own choice for L(0).
        first = [math.log(size) for size in self.sizes]
        slowness = functional.gradnorm(stacked, first, weights * ops.stack(norms), self.alpha)
        return ops.sum(ops.stop_gradient(weights) * stacked) + slowness

    def _columns(self) -> list[slice]:
        edges = [0, *itertools.accumulate(self.sizes)]
        return [slice(*pair) for pair in itertools.pairwise(edges)]

    def _part(self, tensors: Tensors, columns: slice) -> tuple[Any, Any, Any, slice]:
        """Scores, labels and weights of a task; the weight is 0 where there is no label."""
        from keras import ops

        from tftransfer.losses import functional

        label, weight = tensors[self.label][:, columns], tensors[beside(self.label, "weight")]
        known = ops.sum(label, axis=-1)
        label = label / ops.maximum(known, 1e-12)[:, None]
        if self.class_weight == "balanced":
            known = known * functional.example_weights(
                label, tensors[beside(self.label, "class_weight")][columns]
            )
        return tensors[self.logits][:, columns], label, weight * known, columns

    def _kernel(self, tensors: Tensors) -> Any:
        found = [each for each, _ in tensors.weights(self.head) if len(each.shape) == 2]
        if not found or found[-1].shape[-1] != sum(self.sizes):
            raise UserError(
                f"gradnorm needs the kernel of the head {self.head}, which does not train here.",
                "Train the head, or give balance=uncertainty.",
            )
        return found[-1]
