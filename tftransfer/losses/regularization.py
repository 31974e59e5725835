"""Penalties that keep a network near its source, or its features well spread."""

from __future__ import annotations

from dataclasses import dataclass

from tftransfer.core.loss import Loss
from tftransfer.core.typing import Tensor, Tensors
from tftransfer.losses.context import sibling
from tftransfer.losses.registry import register_loss


@register_loss
@dataclass(frozen=True, kw_only=True)
class L2SP(Loss):
    """Distance of the trained weights from their start, `1/2 sum |w - w0|^2` (Li et al., 2018).

    The sum is over the weights w of the matching blocks, and w0 are the weights at the start of the
    run. Heads have no source: ordinary weight decay, the paper's beta term, applies to them.

    Attributes:
      blocks: Name or pattern of the blocks.

    Example:
      >>> import tftransfer
      >>> class Step(dict):
      ...     def weights(self, pattern):
      ...         return [([1.0, 2.0], [0.0, 4.0])]
      >>> float(tftransfer.losses.L2SP()(Step()))
      2.5
    """

    blocks: str = "stage*"
    weight: float = 0.01

    def __call__(self, tensors: Tensors) -> Tensor:
        """Returns the penalty, a float32 scalar, without the factor `weight`."""
        from tftransfer.losses import functional

        return functional.l2_sp(tensors.weights(self.blocks))


@register_loss
@dataclass(frozen=True, kw_only=True)
class DELTA(Loss):
    """Distance of feature maps from those of the reference, without attention (Li et al., 2019).

    `1/2 mean_c mean_p (F_pc - F0_pc)^2` over channels c and positions p.

    Attributes:
      features: Path of the network's feature maps, [n, ..., channels].
      reference: Path of the same feature maps of the reference.

    Example:
      >>> import numpy as np
      >>> import tftransfer
      >>> batch = {
      ...     "train.features": np.array([[1.0, 3.0]]),
      ...     "train.reference.features": np.array([[1.0, 1.0]]),
      ...     "train.weight": np.array([1.0]),
      ... }
      >>> float(tftransfer.losses.DELTA()(batch))
      1.0
    """

    features: str = "train.features"
    reference: str = "train.reference.features"
    weight: float = 0.01

    def __call__(self, tensors: Tensors) -> Tensor:
        """Returns the weighted mean over the batch, a float32 scalar."""
        from tftransfer.losses import functional

        per_example = functional.delta(tensors[self.features], tensors[self.reference])
        return functional.weighted_mean(per_example, tensors[sibling(self.features, "weight")])


@register_loss
@dataclass(frozen=True, kw_only=True)
class BSS(Loss):
    """Penalty on the smallest singular values of the features (Chen et al., 2019).

    Batch spectral shrinkage: the sum of the squares of the `count` smallest.

    Attributes:
      features: Path of the features, [n, d].
      count: Number of singular values.

    Example:
      >>> import numpy as np
      >>> import tftransfer
      >>> batch = {"train.features": np.diag([3.0, 2.0]), "train.weight": np.ones(2)}
      >>> f"{float(tftransfer.losses.BSS()(batch)):.3f}"
      '4.000'
    """

    features: str = "train.features"
    count: int = 1
    weight: float = 0.001

    def __call__(self, tensors: Tensors) -> Tensor:
        """Returns the penalty, a float32 scalar, without the factor `weight`."""
        from tftransfer.losses import functional

        return functional.batch_spectral_shrinkage(
            tensors[self.features], self.count, tensors[sibling(self.features, "weight")]
        )
