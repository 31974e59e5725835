"""Losses that use each batch as an episode."""

from __future__ import annotations

from dataclasses import dataclass

from tftransfer.core.loss import Loss
from tftransfer.core.typing import Tensor, Tensors
from tftransfer.losses.context import sibling
from tftransfer.losses.registry import register_loss


@register_loss
@dataclass(frozen=True, kw_only=True)
class Prototypical(Loss):
    """Cross-entropy of classifying half a batch by the class means of the other half.

    Prototypical networks (Snell et al., 2017); see `functional.prototypical` for the formula.

    Attributes:
      features: Path of the features, [n, d].
      label: Path of one-hot labels, [n, k].
      temperature: Divisor of the squared distances of unit vectors.

    Example:
      >>> import numpy as np
      >>> import tftransfer
      >>> batch = {
      ...     "train.features": np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]),
      ...     "train.label": np.array([[1, 0], [1, 0], [0, 1], [0, 1]]),
      ...     "train.weight": np.ones(4),
      ... }
      >>> f"{float(tftransfer.losses.Prototypical(temperature=1.0)(batch)):.4f}"
      '0.1269'
    """

    features: str = "train.features"
    label: str = "train.label"
    temperature: float = 0.2

    def __call__(self, tensors: Tensors) -> Tensor:
        """Returns the mean over the queries, a float32 scalar in nats."""
        from tftransfer.losses import functional
        from tftransfer.losses.functional.few_shot import split_episode

        label, weight = tensors[self.label], tensors[sibling(self.features, "weight")]
        per_row = functional.prototypical(tensors[self.features], label, self.temperature, weight)
        _, queries = split_episode(label, weight)
        return functional.weighted_mean(per_row, queries)
