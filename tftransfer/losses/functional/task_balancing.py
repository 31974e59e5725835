"""How the losses of several tasks are weighed against each other."""

from __future__ import annotations

from typing import Any

from keras import ops

from tftransfer.losses.functional.masked_rows import float32, kept

_LIMIT = 20.0


def uncertainty_weighted(loss: Any, log_variance: Any) -> Any:
    """`exp(-s) L + s / 2`, s the learnt log variance of a task (Kendall et al., 2018).

    This is the paper's form for a classification, L / sigma^2 + log sigma; for a
    regression give L = 1/2 of the squared error. Least at exp(s) = 2 L. s is clipped
    to [-20, 20], which keeps exp(-s) finite; outside, its gradient is 0.

    Args:
      loss: L, at least 0, float scalar.
      log_variance: s = log sigma^2, float scalar, begun at 0.

    Returns:
      float32 scalar, in nats for L in nats.
    """
    log_variance = ops.clip(float32(log_variance), -_LIMIT, _LIMIT)
    return ops.exp(-log_variance) * float32(loss) + 0.5 * log_variance


def linear_gradient_norm(
    logits: Any, label: Any, weight: Any, kernel: Any, label_smoothing: float = 0.0
) -> Any:
    """Norm of the gradient of a task's cross-entropy by the inputs x of its linear layer.

    The loss is `sum w CE(x K + b, y) / sum w`, so that of row i is `w_i (softmax(z_i) - y_i) K^T /
    sum w`; the norm is over all rows and entries. No gradient flows back.

    Args:
      logits: z, float [n, classes].
      label: y, probabilities, float [n, classes].
      weight: w, at least 0, float [n].
      kernel: K, float [d, classes].
      label_smoothing: as in `cross_entropy`.

    Returns:
      float32 scalar.
    """
    logits, weight = float32(logits), float32(weight)
    label = (1.0 - label_smoothing) * float32(label) + label_smoothing / logits.shape[-1]
    error = kept(ops.softmax(logits) - label, weight) * weight[:, None]
    rows = ops.matmul(error / ops.maximum(ops.sum(weight), 1e-12), ops.transpose(float32(kernel)))
    return ops.stop_gradient(ops.sqrt(ops.sum(ops.square(rows))))


def gradnorm(losses: Any, initial_losses: Any, norms: Any, alpha: float) -> Any:
    """The loss of the tasks' weights, `sum_i |G_i - mean(G) r_i^alpha|` (GradNorm; Chen, 2018).

    r_i = q_i / mean(q), the relative inverse rate of training of task i, with
    q_i = max(L_i, 0) / max(L_i(0), 1e-12). The targets mean(G) r_i^alpha are constants
    of the gradient, which reaches `norms` only.

    Args:
      losses: L, of each task, without its weight, float [tasks].
      initial_losses: L(0), the same in the first step, float [tasks].
      norms: G_i, the norm of the gradient of task i's weighted loss with respect to what the
        tasks share, the last shared weights in the paper, float [tasks].
      alpha: at least 0; larger pulls the slow tasks harder.

    Returns:
      float32 scalar, in the unit of `norms`.
    """
    norms = float32(norms)
    ratio = ops.maximum(float32(losses), 0.0) / ops.maximum(float32(initial_losses), 1e-12)
    rate = ops.stop_gradient(ratio / ops.maximum(ops.mean(ratio), 1e-12))
    target = ops.stop_gradient(ops.mean(norms)) * ops.power(rate, alpha)
    return ops.sum(ops.abs(norms - target))
