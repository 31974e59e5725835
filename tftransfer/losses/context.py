"""Paths of tensors that a loss reads."""

from __future__ import annotations


def sibling(path: str, name: str) -> str:
    """Returns the path of another tensor of the same stream.

    Args:
      path: Path of a tensor, such as `train.logits`.
      name: Name of the other tensor, such as `weight`.

    Example:
      >>> sibling("train.reference.features", "weight")
      'train.weight'
    """
    return f"{path.split('.', 1)[0]}.{name}"
