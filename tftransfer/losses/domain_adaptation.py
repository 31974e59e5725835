"""Losses that bring the features of two domains together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tftransfer.core.loss import Loss
from tftransfer.core.typing import Tensor, Tensors
from tftransfer.losses.context import sibling
from tftransfer.losses.gradient_reversal import ramp, reverse_gradient
from tftransfer.losses.registry import register_loss
from tftransfer.utils.errors import check_known

OBJECTIVES = ("gradient_reversal", "inverted_labels")


@register_loss
@dataclass(frozen=True, kw_only=True)
class Domain(Loss):
    """Cross-entropy of a discriminator of two domains, which the features learn to mislead.

    Attributes:
      source: Path of the features of the first domain, [n, d].
      target: Path of the features of the second domain, [m, d].
      head: Name of the discriminator, a head with one output.
      conditioned_on: Name of an output, such as `logits`: the discriminator reads the outer product
        of the features and the softmax of that output (CDAN, Long et al., 2018). "" for none.
      certainty_weighting: Whether examples with certain predictions have larger weights (CDAN+E);
        with `conditioned_on` only.
      objective: What trains the layers below the discriminator: `gradient_reversal`, its reversed
        gradient (DANN, Ganin & Lempitsky, 2015), or `inverted_labels`, its loss on features of the
        target with the label of the source (ADDA, Tzeng et al., 2017).
      reversal: Factor of the reversed gradient.
      reversal_ramp: As `Loss.ramp`, for the reversed gradient only: the discriminator trains at the
        full rate from the start.

    Example:
      >>> import numpy as np
      >>> import tftransfer
      >>> class Step(dict):
      ...     progress = 0.5
      ...     def apply_head(self, head, tensor, *, frozen=False):
      ...         return 0.0 * tensor  # a discriminator that guesses
      >>> batch = Step({
      ...     "train.features": np.ones((2, 1), "float32"), "train.weight": np.ones(2),
      ...     "target.features": np.ones((3, 1), "float32"), "target.weight": np.ones(3),
      ... })
      >>> f"{float(tftransfer.losses.Domain()(batch)):.4f}"
      '0.6931'
    """

    source: str = "train.features"
    target: str = "target.features"
    head: str = "domain"
    conditioned_on: str = ""
    certainty_weighting: bool = False
    objective: str = "gradient_reversal"
    reversal: float = 1.0
    reversal_ramp: float = 10.0

    def __post_init__(self) -> None:
        check_known("objective", self.objective, OBJECTIVES, "Domain")

    def softmaxed(self) -> tuple[str, ...]:
        """Returns the paths of the logits to which the loss applies a softmax."""
        return (f"{self.source.rpartition('.')[0]}.{self.conditioned_on}",)

    def __call__(self, tensors: Tensors) -> Tensor:
        """Returns the mean of both domains' cross-entropies, a float32 scalar in nats.

        With `inverted_labels` the loss of the features is added.
        """
        source = self._discriminator_loss(tensors, self.source, 0.0)
        target = self._discriminator_loss(tensors, self.target, 1.0)
        discriminator = 0.5 * (source + target)
        if self.objective == "gradient_reversal":
            return discriminator
        return discriminator + self._inverted_loss(tensors)

    def _inverted_loss(self, tensors: Tensors) -> Tensor:
        """The cross-entropy of target features with the label of the source domain."""
        from keras import ops

        from tftransfer.losses import functional

        weight = tensors[sibling(self.target, "weight")]
        logits = tensors.apply_head(self.head, tensors[self.target], frozen=True)
        per_example = functional.domain_cross_entropy(logits, ops.zeros_like(weight))
        return functional.weighted_mean(per_example, weight)

    def _discriminator_loss(self, tensors: Tensors, path: str, is_target: float) -> Tensor:
        from keras import ops

        from tftransfer.losses import functional

        features, weight = tensors[path], tensors[sibling(path, "weight")]
        if self.conditioned_on:
            logits = tensors[f"{path.rpartition('.')[0]}.{self.conditioned_on}"]
            logits = ops.stop_gradient(ops.cast(logits, "float32"))
            features = functional.multilinear_map(features, ops.softmax(logits))
            if self.certainty_weighting:
                weight = weight * functional.certainty_weight(logits)
        logits = tensors.apply_head(self.head, self._reversed(features, tensors))
        per_example = functional.domain_cross_entropy(logits, is_target * ops.ones_like(weight))
        return functional.weighted_mean(per_example, weight)

    def _reversed(self, features: Tensor, tensors: Tensors) -> Tensor:
        """The features, whose gradient is reversed or, with inverted labels, stopped."""
        if self.objective == "inverted_labels":
            return reverse_gradient(features, 0.0)
        strength = self.reversal * ramp(tensors.progress, self.reversal_ramp)
        return reverse_gradient(features, strength)


def _between_domains(
    distance: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    loss: MMD | CORAL,
    tensors: Tensors,
) -> Tensor:
    """A distance of the features of two domains, without the rows that pad the batch."""
    weights = [tensors[sibling(path, "weight")] for path in (loss.source, loss.target)]
    return distance(tensors[loss.source], tensors[loss.target], weights[0], weights[1])


@register_loss
@dataclass(frozen=True, kw_only=True)
class MMD(Loss):
    """Squared maximum mean discrepancy with several Gaussian kernels (DAN, Long et al., 2015).

    See `functional.mmd` and `functional.linear_mmd` for the formulas.

    Attributes:
      source: Path of the features of one domain, [n, d].
      target: Path of the features of the other domain, [m, d].
      kernel: `gaussian`, or `linear`: the distance of the means (DDC, Tzeng et al., 2014).

    Example:
      >>> import numpy as np
      >>> import tftransfer
      >>> batch = {
      ...     "train.features": np.array([[0.0], [2.0]]), "train.weight": np.ones(2),
      ...     "target.features": np.array([[4.0]]), "target.weight": np.ones(1),
      ... }
      >>> float(tftransfer.losses.MMD(kernel="linear")(batch))
      9.0
    """

    source: str = "train.features"
    target: str = "target.features"
    kernel: str = "gaussian"
    ramp: float = 10.0

    def __post_init__(self) -> None:
        check_known("kernel", self.kernel, ("gaussian", "linear"), "MMD")

    def __call__(self, tensors: Tensors) -> Tensor:
        """Returns the squared discrepancy, a float32 scalar."""
        from tftransfer.losses import functional

        distance = functional.linear_mmd if self.kernel == "linear" else functional.mmd
        return _between_domains(distance, self, tensors)


@register_loss
@dataclass(frozen=True, kw_only=True)
class CORAL(Loss):
    """Distance of the covariances, `|C_s - C_t|_F^2 / (4 d^2)` (Deep CORAL, Sun & Saenko, 2016).

    Attributes:
      source: Path of the features of one domain, [n, d].
      target: Path of the features of the other domain, [m, d].

    Example:
      >>> import numpy as np
      >>> import tftransfer
      >>> batch = {
      ...     "train.features": np.array([[0.0], [2.0]]), "train.weight": np.ones(2),
      ...     "target.features": np.array([[0.0], [4.0]]), "target.weight": np.ones(2),
      ... }
      >>> float(tftransfer.losses.CORAL()(batch))  # of the variances 2 and 8
      9.0
    """

    source: str = "train.features"
    target: str = "target.features"
    ramp: float = 10.0

    def __call__(self, tensors: Tensors) -> Tensor:
        """Returns the distance, a float32 scalar."""
        from tftransfer.losses import functional

        return _between_domains(functional.coral, self, tensors)


@register_loss
@dataclass(frozen=True, kw_only=True)
class Entropy(Loss):
    """Mean entropy of the predictions, `-sum_k p_k log p_k` (Grandvalet & Bengio, 2005).

    It makes the predictions for examples without labels certain.

    Attributes:
      logits: Path of the logits, [n, classes].

    Example:
      >>> import numpy as np
      >>> import tftransfer
      >>> batch = {"target.logits": np.zeros((1, 2)), "target.weight": np.ones(1)}
      >>> f"{float(tftransfer.losses.Entropy()(batch)):.4f}"
      '0.6931'
    """

    logits: str = "target.logits"
    weight: float = 0.1
    ramp: float = 10.0

    def softmaxed(self) -> tuple[str, ...]:
        """Returns the paths of the logits to which the loss applies a softmax."""
        return (self.logits,)

    def __call__(self, tensors: Tensors) -> Tensor:
        """Returns the weighted mean over the batch, a float32 scalar in nats."""
        from tftransfer.losses import functional

        per_example = functional.entropy(tensors[self.logits])
        return functional.weighted_mean(per_example, tensors[sibling(self.logits, "weight")])
