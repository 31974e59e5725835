"""Losses of examples without labels."""

from __future__ import annotations

from typing import Any

from keras import ops

from tftransfer.losses.functional.masked_rows import float32
from tftransfer.losses.functional.supervised import cross_entropy


def confident_cross_entropy(logits: Any, teacher_logits: Any, threshold: float) -> Any:
    """`-[max_k p_k >= threshold] log q_y`, y = argmax p (FixMatch; Sohn et al., 2020).

    p = softmax(teacher_logits), usually of a weakly changed picture, and
    q = softmax(logits), of the same one strongly changed. The first of equal maxima is y.

    Args:
      logits: float [n, classes].
      teacher_logits: float [n, classes]; a constant of the gradient.
      threshold: in [0, 1].

    Returns:
      float32 [n], in nats; 0 where the teacher is not sure. FixMatch takes the mean
      over all n, not over those that are sure.
    """
    teacher = ops.softmax(ops.stop_gradient(float32(teacher_logits)), axis=-1)
    label = ops.one_hot(ops.argmax(teacher, axis=-1), teacher.shape[-1])
    sure = float32(ops.max(teacher, axis=-1) >= threshold)
    return sure * cross_entropy(logits, label)
