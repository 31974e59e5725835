"""Losses against a teacher, whose outputs are constants of the gradient."""

from __future__ import annotations

from keras import ops

from tftransfer.core.typing import Tensor, TensorLike
from tftransfer.losses.functional.rows import float32, normalize


def distillation(
    logits: TensorLike, teacher_logits: TensorLike, temperature: float = 1.0
) -> Tensor:
    """Computes `T^2 KL(p || q)`, p = softmax(teacher / T), q = softmax(student / T).

    KL(p || q) = sum_k p_k (log p_k - log q_k). T^2 keeps the size of the gradient as T grows
    (Hinton et al., 2015).

    Args:
      logits: Logits of the student, float [n, classes].
      teacher_logits: Logits of the teacher, float [n, classes]; a constant of the gradient.
      temperature: T, above 0.

    Returns:
      float32 [n], in nats times T^2.

    Example:
      >>> from tftransfer.losses import functional
      >>> logits = [[2.0, 0.0]]
      >>> float(functional.distillation(logits, logits, temperature=2.0)[0])
      0.0
    """
    student = ops.log_softmax(float32(logits) / temperature, axis=-1)
    teacher = ops.stop_gradient(float32(teacher_logits)) / temperature
    teacher = ops.log_softmax(teacher, axis=-1)
    return temperature**2 * ops.sum(ops.exp(teacher) * (teacher - student), axis=-1)


def binary_distillation(
    logits: TensorLike, teacher_logits: TensorLike, temperature: float = 1.0
) -> Tensor:
    """Computes `T^2 sum_k p log(p / q) + (1 - p) log((1 - p) / (1 - q))`.

    p and q are sigmoids of logits / T: `distillation` (Hinton et al., 2015) for several labels per
    example.

    Args:
      logits: Logits of the student, which give q, float [n, labels].
      teacher_logits: Logits of the teacher, which give p, float [n, labels]; a constant of the
        gradient.
      temperature: T, above 0.

    Returns:
      float32 [n], in nats times T^2.
    """
    student = float32(logits) / temperature
    teacher = ops.stop_gradient(float32(teacher_logits)) / temperature
    yes = ops.sigmoid(teacher) * (ops.log_sigmoid(teacher) - ops.log_sigmoid(student))
    no = ops.sigmoid(-teacher) * (ops.log_sigmoid(-teacher) - ops.log_sigmoid(-student))
    return temperature**2 * ops.sum(yes + no, axis=-1)


def cosine_distance(a: TensorLike, b: TensorLike) -> Tensor:
    """Computes `1 - a.b / (|a| |b|)` along the last axis, and the mean over the axes between.

    Neither argument is a constant of the gradient.

    Args:
      a: float [n, ..., d].
      b: float [n, ..., d].

    Returns:
      float32 [n], from 0 to 2; 1 where a row is 0.
    """
    cosine = ops.sum(normalize(float32(a)) * normalize(float32(b)), axis=-1)
    return 1.0 - ops.mean(cosine, axis=tuple(range(1, len(cosine.shape))))
