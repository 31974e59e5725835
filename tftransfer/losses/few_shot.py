"""Losses that make an episode of each batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tftransfer.core.recipe import Loss
from tftransfer.core.serialization import register_serializable
from tftransfer.losses.context import Tensors, beside


@register_serializable
@dataclass(frozen=True, kw_only=True)
class Prototypical(Loss):
    """The nearest of the classes' means, of half the batch, is to be one's own.

    Prototypical networks (Snell et al., 2017).

    Attributes:
      features: path of the vectors, [n, d].
      label: path of the one-hot labels, [n, k].
      temperature: by which squared distances of unit vectors are divided.
    """

    features: str = "train.features"
    label: str = "train.label"
    temperature: float = 0.2

    def __call__(self, tensors: Tensors) -> Any:
        """The loss as a scalar, in nats; of the queries."""
        from tftransfer.losses import functional
        from tftransfer.losses.functional.few_shot import episode

        label, weight = tensors[self.label], tensors[beside(self.features, "weight")]
        per_row = functional.prototypical(tensors[self.features], label, self.temperature, weight)
        return functional.weighted_mean(per_row, episode(label, weight)[1])
