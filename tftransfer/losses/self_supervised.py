"""Losses without labels."""

from __future__ import annotations

from dataclasses import dataclass

from tftransfer.core.loss import Loss
from tftransfer.core.typing import Tensor, Tensors
from tftransfer.losses.context import sibling
from tftransfer.losses.registry import register_loss

# Half of the range of pixels: `pixel / 127.5 - 1` is from -1 to 1.
_HALF_RANGE = 127.5


@register_loss
@dataclass(frozen=True, kw_only=True)
class NTXent(Loss):
    """Cross-entropy of finding an image's other view in the batch (SimCLR, Chen et al., 2020).

    See `functional.nt_xent` for the formula.

    Attributes:
      first: Path of the projections of one view, [n, d].
      second: Path of the projections of the other view, [n, d].
      temperature: Divisor of the cosines.

    Example:
      >>> import numpy as np
      >>> import tftransfer
      >>> views = {
      ...     "view_a.projection": np.eye(2),
      ...     "view_b.projection": np.eye(2),
      ...     "view_a.weight": np.ones(2),
      ... }
      >>> f"{float(tftransfer.losses.NTXent(temperature=1.0)(views)):.4f}"
      '0.5514'
    """

    first: str = "view_a.projection"
    second: str = "view_b.projection"
    temperature: float = 0.2

    def __call__(self, tensors: Tensors) -> Tensor:
        """Returns the weighted mean over the batch, a float32 scalar in nats."""
        from tftransfer.losses import functional

        weight = tensors[sibling(self.first, "weight")]
        per_pair = functional.nt_xent(
            tensors[self.first], tensors[self.second], self.temperature, weight
        )
        return functional.weighted_mean(per_pair, weight)


@register_loss
@dataclass(frozen=True, kw_only=True)
class SimSiam(Loss):
    """Negative cosine of one view's prediction and the other's projection (Chen & He, 2021).

    The mean of both directions; the projection is a constant of the gradient.

    Attributes:
      first: Path of the projections of one view, [n, d]; the weights are those of its stream.
      second: Path of the projections of the other view, [n, d].
      predictor: Name of the head that predicts one projection from the other.

    Example:
      >>> import numpy as np
      >>> import tftransfer
      >>> class Step(dict):
      ...     def apply_head(self, head, tensor, *, frozen=False):
      ...         return tensor
      >>> views = Step({
      ...     "view_a.projection": np.array([[1.0, 0.0]]),
      ...     "view_b.projection": np.array([[2.0, 0.0]]),
      ...     "view_a.weight": np.array([1.0]),
      ... })
      >>> float(tftransfer.losses.SimSiam()(views))
      -1.0
    """

    first: str = "view_a.projection"
    second: str = "view_b.projection"
    predictor: str = "predictor"

    def __call__(self, tensors: Tensors) -> Tensor:
        """Returns the weighted mean over the batch, a float32 scalar from -1 to 1."""
        from tftransfer.losses import functional

        a, b = tensors[self.first], tensors[self.second]
        predicted_b = tensors.apply_head(self.predictor, a)
        predicted_a = tensors.apply_head(self.predictor, b)
        per_pair = 0.5 * functional.negative_cosine(predicted_b, b)
        per_pair = per_pair + 0.5 * functional.negative_cosine(predicted_a, a)
        return functional.weighted_mean(per_pair, tensors[sibling(self.first, "weight")])


@register_loss
@dataclass(frozen=True, kw_only=True)
class Consistency(Loss):
    """Cross-entropy of a strongly augmented view with the confident class of the weak view.

    FixMatch (Sohn et al., 2020); see `functional.confident_cross_entropy` for the formula.

    Attributes:
      weak: Path of the logits of the weakly augmented view, [n, classes].
      strong: Path of the logits of the strongly augmented view, [n, classes].
      threshold: Probability from which the class of the weak view counts.

    Example:
      >>> import numpy as np
      >>> import tftransfer
      >>> views = {
      ...     "weak.logits": np.array([[9.0, 0.0], [0.1, 0.0]]),
      ...     "strong.logits": np.zeros((2, 2)),
      ...     "strong.weight": np.ones(2),
      ... }
      >>> f"{float(tftransfer.losses.Consistency()(views)):.4f}"  # of one view in two
      '0.3466'
    """

    weak: str = "weak.logits"
    strong: str = "strong.logits"
    threshold: float = 0.95

    def softmaxed(self) -> tuple[str, ...]:
        """Returns the paths of the logits to which the loss applies a softmax."""
        return (self.weak, self.strong)

    def __call__(self, tensors: Tensors) -> Tensor:
        """Returns the weighted mean over the batch, a float32 scalar in nats."""
        from tftransfer.losses import functional

        per_example = functional.confident_cross_entropy(
            tensors[self.strong], tensors[self.weak], self.threshold
        )
        return functional.weighted_mean(per_example, tensors[sibling(self.strong, "weight")])


@register_loss
@dataclass(frozen=True, kw_only=True)
class Reconstruction(Loss):
    """Mean squared difference of a decoded image and the original, both from -1 to 1.

    Attributes:
      decoded: Path of the images of a decoder, [n, size, size, 3].
      original: Path of the original images, from 0 to 255, of the same shape.

    Example:
      >>> import numpy as np
      >>> import tftransfer
      >>> batch = {
      ...     "unlabelled.decoded": np.zeros((1, 2, 2, 3)),
      ...     "unlabelled.original": np.full((1, 2, 2, 3), 255),
      ...     "unlabelled.weight": np.ones(1),
      ... }
      >>> float(tftransfer.losses.Reconstruction()(batch))
      1.0
    """

    decoded: str = "unlabelled.decoded"
    original: str = "unlabelled.original"

    def __call__(self, tensors: Tensors) -> Tensor:
        """Returns the weighted mean over the batch, a float32 scalar."""
        from keras import ops

        from tftransfer.losses import functional

        original = ops.cast(tensors[self.original], "float32") / _HALF_RANGE - 1.0
        per_example = functional.squared_error(tensors[self.decoded], original)
        return functional.weighted_mean(per_example, tensors[sibling(self.decoded, "weight")])


@register_loss
@dataclass(frozen=True, kw_only=True)
class GaussianPrior(Loss):
    """Divergence of a code's distribution from a standard normal (VAE, Kingma & Welling, 2014).

    `1/2 sum_k e^v + m^2 - 1 - v` of means m and log variances v.

    Attributes:
      code: Path of the means and log variances, concatenated, [n, 2 d].

    Example:
      >>> import numpy as np
      >>> import tftransfer
      >>> batch = {"unlabelled.code": np.array([[2.0, 0.0]]), "unlabelled.weight": np.ones(1)}
      >>> float(tftransfer.losses.GaussianPrior()(batch))
      2.0
    """

    code: str = "unlabelled.code"
    weight: float = 0.001

    def __call__(self, tensors: Tensors) -> Tensor:
        """Returns the weighted mean over the batch, a float32 scalar in nats."""
        from keras import ops

        from tftransfer.losses import functional

        mean, log_variance = ops.split(ops.cast(tensors[self.code], "float32"), 2, axis=-1)
        per_example = functional.gaussian_kl(mean, log_variance)
        return functional.weighted_mean(per_example, tensors[sibling(self.code, "weight")])
