"""What a loss may read in one step."""

from __future__ import annotations

from typing import Any, Protocol


class Tensors(Protocol):
    """Tensors by path, heads, and weights.

    Attributes:
      progress: of the phase, from 0 to 1.
    """

    progress: Any

    def __getitem__(self, path: str) -> Any:
        """The tensor at a path such as `train.logits`, `train.reference.stage4`."""

    def weights(self, pattern: str) -> list[tuple[Any, Any]]:
        """Pairs (variable, its value in the reference) of the trained matching blocks."""

    def through(self, head: str, tensor: Any, *, frozen: bool = False) -> Any:
        """A head's output of a tensor; `frozen` lets no gradient reach the head."""


def beside(path: str, name: str) -> str:
    """The path of another field of the same stream."""
    return f"{path.split('.', 1)[0]}.{name}"
