"""Losses that need no labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tftransfer.core.recipe import Loss
from tftransfer.core.serialization import register_serializable
from tftransfer.losses.context import Tensors, beside


@register_serializable
@dataclass(frozen=True, kw_only=True)
class NTXent(Loss):
    """Two views of a picture are each other's positives (SimCLR, Chen et al., 2020).

    Attributes:
      first: path of the projection of one view, [n, d].
      second: path of that of the other.
      temperature: by which the cosines are divided.
    """

    first: str = "view_a.projection"
    second: str = "view_b.projection"
    temperature: float = 0.2

    def __call__(self, tensors: Tensors) -> Any:
        """The loss as a scalar, in nats."""
        from tftransfer.losses import functional

        weight = tensors[beside(self.first, "weight")]
        per_pair = functional.nt_xent(
            tensors[self.first], tensors[self.second], self.temperature, weight
        )
        return functional.weighted_mean(per_pair, weight)


@register_serializable
@dataclass(frozen=True, kw_only=True)
class SimSiam(Loss):
    """Each view's prediction is to be the other's projection (Chen & He, 2021).

    Attributes:
      first: path of the one view's projection, [n, d]; its stream has the weights.
      second: path of the other's.
      predictor: the head that predicts from a projection.
    """

    first: str = "view_a.projection"
    second: str = "view_b.projection"
    predictor: str = "predictor"

    def __call__(self, tensors: Tensors) -> Any:
        """The loss as a scalar, -1 to 1."""
        from tftransfer.losses import functional

        a, b = tensors[self.first], tensors[self.second]
        through = tensors.through
        per_pair = 0.5 * functional.negative_cosine(through(self.predictor, a), b)
        per_pair = per_pair + 0.5 * functional.negative_cosine(through(self.predictor, b), a)
        return functional.weighted_mean(per_pair, tensors[beside(self.first, "weight")])


@register_serializable
@dataclass(frozen=True, kw_only=True)
class Consistency(Loss):
    """What is sure of a weakly changed picture is taught to the strongly changed (FixMatch).

    Sohn et al., 2020.

    Attributes:
      weak: path of scores of the one.
      strong: path of scores of the other.
      threshold: least probability that counts as sure.
    """

    weak: str = "weak.logits"
    strong: str = "strong.logits"
    threshold: float = 0.95

    def softmaxed(self) -> tuple[str, ...]:
        """Paths of scores of classes that exclude each other."""
        return (self.weak, self.strong)

    def __call__(self, tensors: Tensors) -> Any:
        """The loss as a scalar, in nats."""
        from tftransfer.losses import functional

        per_example = functional.confident_cross_entropy(
            tensors[self.strong], tensors[self.weak], self.threshold
        )
        return functional.weighted_mean(per_example, tensors[beside(self.strong, "weight")])


@register_serializable
@dataclass(frozen=True, kw_only=True)
class Reconstruction(Loss):
    """Mean squared difference of a decoder's picture and the original, both in -1 to 1.

    Attributes:
      picture: path of the decoder's, [n, size, size, 3].
      pixels: path of the original, in 0 to 255.
    """

    picture: str = "unlabelled.picture"
    pixels: str = "unlabelled.original"

    def __call__(self, tensors: Tensors) -> Any:
        """The loss as a scalar."""
        from keras import ops

        from tftransfer.losses import functional

        truth = ops.cast(tensors[self.pixels], "float32") / 127.5 - 1.0
        per_example = functional.squared_error(tensors[self.picture], truth)
        return functional.weighted_mean(per_example, tensors[beside(self.picture, "weight")])


@register_serializable
@dataclass(frozen=True, kw_only=True)
class GaussianPrior(Loss):
    """Divergence of a code's distribution from a standard normal (VAE, Kingma & Welling, 2014).

    Attributes:
      code: path of means and logarithms of variances, [n, 2 d].
    """

    code: str = "unlabelled.code"
    weight: float = 0.001

    def __call__(self, tensors: Tensors) -> Any:
        """The loss as a scalar, in nats."""
        from keras import ops

        from tftransfer.losses import functional

        mean, log_variance = ops.split(ops.cast(tensors[self.code], "float32"), 2, axis=-1)
        per_example = functional.gaussian_kl(mean, log_variance)
        return functional.weighted_mean(per_example, tensors[beside(self.code, "weight")])
