"""The frozen prefix: what no phase trains is computed once per picture and view."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tftransfer.parts.augment import Augmenter
from tftransfer.parts.pixels import Pixels

_BATCH = 64
_SPEAK_EVERY = 10.0


@dataclass(frozen=True)
class Key:
    """What stored features depend on; another key is another computation."""

    cut: str
    view: int
    augment: str
    weights: str


class PrefixStore:
    """Features of all examples at a cut of the network, in memory.

    Args:
      pixels: the pictures.
      count: how many examples there are.
      seed: of the augmented views.
      say: where progress goes.
    """

    def __init__(self, pixels: Pixels, count: int, seed: int, say: Callable[[str], None]):
        self._pixels = pixels
        self._count = count
        self._seed = seed
        self._say = say
        self._stored: dict[Key, list[np.ndarray]] = {}
        self._there: dict[Key, np.ndarray] = {}
        self.seconds = 0.0

    def nbytes(self) -> int:
        """Bytes held."""
        return sum(array.nbytes for arrays in self._stored.values() for array in arrays)

    def has(self, key: Key, indices: np.ndarray) -> bool:
        """Whether all the features asked for are there."""
        return key in self._there and bool(self._there[key][indices].all())

    def fill(
        self,
        key: Key,
        indices: np.ndarray,
        prefix: Any,
        shapes: Sequence[tuple[int, ...]],
        *,
        source: Key | None = None,
    ) -> None:
        """Computes what is missing.

        Args:
          key: of the result.
          indices: of the examples wanted.
          prefix: from pixels, or from the tensors of `source`, to the tensors at the cut.
          shapes: of those tensors, without the batch axis.
          source: stored features to start from instead of pixels.
        """
        if key not in self._stored:
            self._stored[key] = [np.empty((self._count, *s), np.float32) for s in shapes]
            self._there[key] = np.zeros(self._count, bool)
        missing = np.flatnonzero(~self._there[key] & np.isin(np.arange(self._count), indices))
        if not len(missing):
            return
        started = spoken = time.monotonic()
        view = Augmenter(key.augment)
        for start in range(0, len(missing), _BATCH):
            some = missing[start : start + _BATCH]
            inputs = self.get(source, some) if source else [self._view(key, view, some)]
            for array, value in zip(self._stored[key], tf.nest.flatten(prefix(*inputs))):
                array[some] = value
            if time.monotonic() - spoken > _SPEAK_EVERY:
                spoken = time.monotonic()
                rate = (start + _BATCH) / (spoken - started)
                self._say(
                    f"  features at {key.cut}, view {key.view}: {start + len(some):,} of "
                    f"{len(missing):,}, {rate:.0f} pictures/s"
                )
        self._there[key][missing] = True
        self.seconds += time.monotonic() - started

    def _view(self, key: Key, augmenter: Augmenter, indices: np.ndarray) -> Any:
        pixels = self._pixels.fetch(indices)
        return augmenter(pixels, self._seed, key.view, int(indices[0]))

    def get(self, key: Key, indices: np.ndarray) -> list[Any]:
        """Stored features of the examples at `indices`, one array per tensor at the cut."""
        return [array[indices] for array in self._stored[key]]

    def keep_only(self, cuts: Sequence[str]) -> None:
        """Frees what was stored at other cuts."""
        for key in [key for key in self._stored if key.cut not in cuts]:
            del self._stored[key], self._there[key]
