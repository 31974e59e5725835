"""Weights of the losses of several tasks."""

from __future__ import annotations

from keras import ops

from tftransfer.core.typing import Tensor, TensorLike
from tftransfer.losses.functional.rows import float32, mask_rows

# Largest magnitude of a log variance; its exponential is finite in float32.
_MAX_LOG_VARIANCE = 20.0
# Smallest number that is divided by.
_SMALLEST_DIVISOR = 1e-12


def uncertainty_weighted(loss: TensorLike, log_variance: TensorLike) -> Tensor:
    """Computes `exp(-s) L + s / 2`, s being the trained log variance of a task.

    Kendall et al., 2018. This is the paper's form for a classification, L / sigma^2 + log sigma;
    for a regression give L = 1/2 of the squared error. The minimum is at exp(s) = 2 L. s is clipped
    to [-20, 20], which keeps exp(-s) finite; outside, its gradient is 0.

    Args:
      loss: L, at least 0, float scalar.
      log_variance: s = log sigma^2, float scalar, initially 0.

    Returns:
      float32 scalar, in nats for L in nats.
    """
    s = ops.clip(float32(log_variance), -_MAX_LOG_VARIANCE, _MAX_LOG_VARIANCE)
    return ops.exp(-s) * float32(loss) + 0.5 * s


def linear_gradient_norm(
    logits: TensorLike,
    label: TensorLike,
    weight: TensorLike,
    kernel: TensorLike,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Computes the norm of the gradient of a task's cross-entropy by the inputs of its layer.

    The loss is `sum w CE(x K + b, y) / sum w`; its gradient by row i of x is
    `w_i (softmax(z_i) - y_i) K^T / sum w`. The norm is over all rows and entries. No gradient flows
    back.

    Args:
      logits: z, float [n, classes].
      label: Probabilities y, float [n, classes].
      weight: w, at least 0, float [n].
      kernel: K of the linear layer, float [d, classes].
      label_smoothing: As in `cross_entropy`, from 0 to below 1.

    Returns:
      float32 scalar.
    """
    logits, weight = float32(logits), float32(weight)
    label = (1.0 - label_smoothing) * float32(label) + label_smoothing / logits.shape[-1]
    error = mask_rows(ops.softmax(logits) - label, weight) * weight[:, None]
    error = error / ops.maximum(ops.sum(weight), _SMALLEST_DIVISOR)
    gradient = ops.matmul(error, ops.transpose(float32(kernel)))
    return ops.stop_gradient(ops.sqrt(ops.sum(ops.square(gradient))))


def gradnorm(
    losses: TensorLike, initial_losses: TensorLike, norms: TensorLike, alpha: float
) -> Tensor:
    """Computes `sum_i |G_i - mean(G) r_i^alpha|` (GradNorm; Chen et al., 2018).

    r_i = q_i / mean(q) is the relative inverse training rate of task i, with
    q_i = max(L_i, 0) / max(L_i(0), 1e-12). The targets mean(G) r_i^alpha are constants of the
    gradient, which reaches `norms` only.

    Args:
      losses: L of each task, without its weight, float [tasks].
      initial_losses: L(0) of each task, in the first step, float [tasks].
      norms: G_i, the norm of the gradient of task i's weighted loss by what the tasks share (the
        last shared weights in the paper), float [tasks].
      alpha: At least 0; a larger value gives slow tasks more weight.

    Returns:
      float32 scalar, in the unit of `norms`.
    """
    norms = float32(norms)
    initial = ops.maximum(float32(initial_losses), _SMALLEST_DIVISOR)
    ratio = ops.maximum(float32(losses), 0.0) / initial
    rate = ops.stop_gradient(ratio / ops.maximum(ops.mean(ratio), _SMALLEST_DIVISOR))
    target = ops.stop_gradient(ops.mean(norms)) * ops.power(rate, alpha)
    return ops.sum(ops.abs(norms - target))
