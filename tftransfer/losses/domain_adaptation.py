"""Losses that draw the features of two domains together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tftransfer.core.recipe import Loss
from tftransfer.core.serialization import register_serializable
from tftransfer.losses.context import Tensors, beside
from tftransfer.losses.gradient_reversal import ramp, reverse_gradient


@register_serializable
@dataclass(frozen=True, kw_only=True)
class Domain(Loss):
    """A discriminator tells the domains apart; what lies below learns to mislead it.

    The gradient is reversed where it enters what lies below (DANN, Ganin & Lempitsky, 2015).

    Attributes:
      source: path of features of the first domain.
      target: path of features of the second.
      head: the discriminator, one output.
      conditioned_on: name of scores, such as `logits`: the discriminator sees the products of
        features and probabilities (CDAN, Long et al., 2018).
      by_certainty: with those, certain examples count more (CDAN+E).
      game: `reversed` as above, or `inverted`: what lies below the target's features learns to
        have them taken for the source's (ADDA, Tzeng et al., 2017).
      reversal: factor of the gradient that goes back reversed.
      reversal_ramp: as `Loss.ramp`, of that factor alone: the discriminator learns at once.
    """

    source: str = "train.features"
    target: str = "target.features"
    head: str = "domain"
    conditioned_on: str = ""
    by_certainty: bool = False
    game: str = "reversed"
    reversal: float = 1.0
    reversal_ramp: float = 10.0

    def softmaxed(self) -> tuple[str, ...]:
        """Paths of scores of classes that exclude each other."""
        return (f"{self.source.rpartition('.')[0]}.{self.conditioned_on}",)

    def __call__(self, tensors: Tensors) -> Any:
        """The discriminator's cross-entropy, mean of both domains, as a scalar."""
        losses = [
            self._of(tensors, path, is_target)
            for path, is_target in ((self.source, 0.0), (self.target, 1.0))
        ]
        told_apart = 0.5 * (losses[0] + losses[1])
        return told_apart + self._misled(tensors) if self.game == "inverted" else told_apart

    def _misled(self, tensors: Tensors) -> Any:
        from keras import ops

        from tftransfer.losses import functional

        weight = tensors[beside(self.target, "weight")]
        said = tensors.through(self.head, tensors[self.target], frozen=True)
        lie = functional.domain_cross_entropy(said, ops.zeros_like(weight))
        return functional.weighted_mean(lie, weight)

    def _of(self, tensors: Tensors, path: str, is_target: float) -> Any:
        from keras import ops

        from tftransfer.losses import functional

        features, weight = tensors[path], tensors[beside(path, "weight")]
        if self.conditioned_on:
            scores = tensors[f"{path.rpartition('.')[0]}.{self.conditioned_on}"]
            scores = ops.stop_gradient(ops.cast(scores, "float32"))
            features = functional.multilinear_map(features, ops.softmax(scores))
            if self.by_certainty:
                weight = weight * functional.certainty_weight(scores)
        inverted = self.game == "inverted"
        strength = 0.0 if inverted else self.reversal * ramp(tensors.progress, self.reversal_ramp)
        said = tensors.through(self.head, reverse_gradient(features, strength))
        truth = is_target * ops.ones_like(weight)
        return functional.weighted_mean(functional.domain_cross_entropy(said, truth), weight)


def _between(measure: Callable[..., Any], loss: MMD | CORAL, tensors: Tensors) -> Any:
    """A measure of the two domains' features, padding left out."""
    paths = (loss.source, loss.target)
    weights = [tensors[beside(path, "weight")] for path in paths]
    return measure(*(tensors[path] for path in paths), *weights)


@register_serializable
@dataclass(frozen=True, kw_only=True)
class MMD(Loss):
    """Maximum mean discrepancy with several Gaussian kernels (DAN, Long et al., 2015).

    Attributes:
      source: path of [n, d].
      target: path of [m, d].
      kernel: `gaussian`, or `linear`: the distance of the means (DDC, Tzeng et al., 2014).
    """

    source: str = "train.features"
    target: str = "target.features"
    kernel: str = "gaussian"
    ramp: float = 10.0

    def __call__(self, tensors: Tensors) -> Any:
        """The squared discrepancy as a scalar."""
        from tftransfer.losses import functional

        measure = functional.linear_mmd if self.kernel == "linear" else functional.mmd
        return _between(measure, self, tensors)


@register_serializable
@dataclass(frozen=True, kw_only=True)
class CORAL(Loss):
    """Distance of the covariances (Deep CORAL, Sun & Saenko, 2016)."""

    source: str = "train.features"
    target: str = "target.features"
    ramp: float = 10.0

    def __call__(self, tensors: Tensors) -> Any:
        """The loss as a scalar."""
        from tftransfer.losses import functional

        return _between(functional.coral, self, tensors)


@register_serializable
@dataclass(frozen=True, kw_only=True)
class Entropy(Loss):
    """Mean entropy of the scores: unlabelled examples are to be decided (Grandvalet, 2005)."""

    logits: str = "target.logits"
    weight: float = 0.1
    ramp: float = 10.0

    def softmaxed(self) -> tuple[str, ...]:
        """Paths of scores of classes that exclude each other."""
        return (self.logits,)

    def __call__(self, tensors: Tensors) -> Any:
        """The loss as a scalar, in nats."""
        from tftransfer.losses import functional

        per_example = functional.entropy(tensors[self.logits])
        return functional.weighted_mean(per_example, tensors[beside(self.logits, "weight")])
