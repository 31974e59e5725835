"""Losses against a teacher, which is a constant of the gradient."""

from __future__ import annotations

from typing import Any

from keras import ops

from tftransfer.losses.functional.masked_rows import float32, unit


def distillation(logits: Any, teacher_logits: Any, temperature: float = 1.0) -> Any:
    """`T^2 KL(p || q)`, p = softmax(teacher / T), q = softmax(student / T) (Hinton et al., 2015).

    KL(p || q) = sum_k p_k (log p_k - log q_k). T^2 keeps the size of the gradient
    as T grows.

    Args:
      logits: the student's, float [n, classes].
      teacher_logits: float [n, classes]; a constant of the gradient.
      temperature: T, above 0.

    Returns:
      float32 [n], in nats times T^2.
    """
    student = ops.log_softmax(float32(logits) / temperature, axis=-1)
    teacher = ops.stop_gradient(float32(teacher_logits)) / temperature
    teacher = ops.log_softmax(teacher, axis=-1)
    return temperature**2 * ops.sum(ops.exp(teacher) * (teacher - student), axis=-1)


def binary_distillation(logits: Any, teacher_logits: Any, temperature: float = 1.0) -> Any:
    """`T^2 sum_k p log(p / q) + (1 - p) log((1 - p) / (1 - q))`, p, q sigmoids of logits / T.

    `distillation` (Hinton et al., 2015) for several labels per example.

    Args:
      logits: the student's, giving q, float [n, labels].
      teacher_logits: giving p, float [n, labels]; a constant of the gradient.
      temperature: T, above 0.

    Returns:
      float32 [n], in nats times T^2.
    """
    student = float32(logits) / temperature
    teacher = ops.stop_gradient(float32(teacher_logits)) / temperature
    yes = ops.sigmoid(teacher) * (ops.log_sigmoid(teacher) - ops.log_sigmoid(student))
    no = ops.sigmoid(-teacher) * (ops.log_sigmoid(-teacher) - ops.log_sigmoid(-student))
    return temperature**2 * ops.sum(yes + no, axis=-1)


def cosine_distance(a: Any, b: Any) -> Any:
    """`1 - a.b / (|a| |b|)` along the last axis, mean over the axes between; 1 for a zero row.

    Neither side is a constant of the gradient.

    Args:
      a: float [n, ..., d].
      b: float [n, ..., d].

    Returns:
      float32 [n], from 0 to 2.
    """
    cosine = ops.sum(unit(float32(a)) * unit(float32(b)), axis=-1)
    return 1.0 - ops.mean(cosine, axis=tuple(range(1, len(cosine.shape))))
