"""Losses that hold a network to what it knew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tftransfer.core.recipe import Loss
from tftransfer.core.serialization import register_serializable
from tftransfer.losses.context import Tensors, beside


@register_serializable
@dataclass(frozen=True, kw_only=True)
class L2SP(Loss):
    """Distance of the trained weights from where they started (Li et al., 2018).

    `weight / 2 * sum over matching blocks of |w - w0|^2`, where w0 are the
    weights at the start of the run. Heads have no source, so they are left to
    ordinary weight decay, the paper's beta term.

    Attributes:
      blocks: pattern of the blocks that are held.
    """

    blocks: str = "stage*"
    weight: float = 0.01

    def __call__(self, tensors: Tensors) -> Any:
        """The penalty as a scalar, without `weight`, which the trainer applies."""
        from tftransfer.losses import functional

        return functional.l2_sp(tensors.weights(self.blocks))


@register_serializable
@dataclass(frozen=True, kw_only=True)
class DELTA(Loss):
    """Distance of feature maps from those of the reference (Li et al., 2019), unattended.

    Attributes:
      features: path of the network's map, [n, ..., channels].
      reference: path of the same map of the reference.
    """

    features: str = "train.features"
    reference: str = "train.reference.features"
    weight: float = 0.01

    def __call__(self, tensors: Tensors) -> Any:
        """The loss as a scalar."""
        from tftransfer.losses import functional

        per_example = functional.delta(tensors[self.features], tensors[self.reference])
        return functional.weighted_mean(per_example, tensors[beside(self.features, "weight")])


@register_serializable
@dataclass(frozen=True, kw_only=True)
class BSS(Loss):
    """Batch spectral shrinkage (Chen et al., 2019): the smallest singular values are held small.

    Attributes:
      features: path of [n, d].
      count: of the singular values.
    """

    features: str = "train.features"
    count: int = 1
    weight: float = 0.001

    def __call__(self, tensors: Tensors) -> Any:
        """The penalty as a scalar."""
        from tftransfer.losses import functional

        return functional.batch_spectral_shrinkage(
            tensors[self.features], self.count, tensors[beside(self.features, "weight")]
        )
