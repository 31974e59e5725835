"""Losses of examples without labels."""

from __future__ import annotations

from keras import ops

from tftransfer.core.typing import Tensor, TensorLike
from tftransfer.losses.functional.rows import float32
from tftransfer.losses.functional.supervised import cross_entropy


def confident_cross_entropy(
    logits: TensorLike, teacher_logits: TensorLike, threshold: float
) -> Tensor:
    """Computes `-[max_k p_k >= threshold] log q_y`, y = argmax p (FixMatch; Sohn et al., 2020).

    p = softmax(teacher_logits), usually of a weakly augmented image, and q = softmax(logits), of
    the strongly augmented one. Of equal maxima the first is y.

    Args:
      logits: Logits of q, float [n, classes].
      teacher_logits: Logits of p, float [n, classes]; a constant of the gradient.
      threshold: Probability from which y counts, from 0 to 1.

    Returns:
      float32 [n], in nats; 0 where p is below the threshold. FixMatch takes the mean over all n,
      not over those above it.
    """
    teacher = ops.softmax(ops.stop_gradient(float32(teacher_logits)), axis=-1)
    label = ops.one_hot(ops.argmax(teacher, axis=-1), teacher.shape[-1])
    confident = float32(ops.max(teacher, axis=-1) >= threshold)
    return confident * cross_entropy(logits, label)
