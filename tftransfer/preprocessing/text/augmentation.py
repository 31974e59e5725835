"""Random changes of token ids and of strings, decided by a seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tftransfer.core.typing import Array, Tensor

# Fraction of the tokens or words that change.
_FRACTIONS = {"drop": 0.1, "strong": 0.3, "noise": 0.15}


class _RowAugmenter:
    """Base of augmenters that change one row at a time.

    Args:
      name: Name of an augmentation of `tftransfer.list_augmentations`.
    """

    def __init__(self, name: str):
        self.name = name
        self.random = name != "none"
        self._fraction = _FRACTIONS.get(name, 0.0)

    def __call__(self, inputs: Tensor, *seed: int) -> Array:
        """Augments a batch [n, ...]; the same for the same seed."""
        rng = np.random.default_rng(seed)
        return self._augment(inputs, lambda: rng)

    def per_example(self, inputs: Tensor, seeds: Array) -> Array:
        """Augments each example by its own seed, int64 [n], regardless of the others."""
        generators = iter([np.random.default_rng(seed) for seed in seeds.tolist()])
        return self._augment(inputs, lambda: next(generators))

    def _augment(self, inputs: Tensor, next_generator: Callable[[], np.random.Generator]) -> Array:
        rows = np.array(inputs)
        for number in range(len(rows) if self.random else 0):
            rows[number] = self._augment_row(rows[number], next_generator())
        return rows

    def _augment_row(self, row: Array, rng: np.random.Generator) -> Array | bytes:
        raise NotImplementedError


class TokenAugmenter(_RowAugmenter):
    """Drops tokens (word dropout, Iyyer et al., 2015), or replaces them by others (`noise`).

    Args:
      name: `none`, `drop`, `strong` or `noise`.
      mask_id: Id that replaces a dropped token.
      kept_ids: Ids that do not change, such as padding.
      vocabulary_size: Number of ids.
    """

    def __init__(self, name: str, *, mask_id: int, kept_ids: Sequence[int], vocabulary_size: int):
        super().__init__(name)
        self._mask_id, self._kept_ids, self._size = mask_id, list(kept_ids), vocabulary_size

    def _augment_row(self, row: Array, rng: np.random.Generator) -> Array:
        chosen = rng.random(row.shape) < self._fraction
        is_noise = self.name == "noise"
        others = rng.integers(0, self._size, row.shape) if is_noise else self._mask_id
        free = ~np.isin(row, self._kept_ids)
        if (chosen | ~free).all():  # at least one token must remain
            return row
        return np.where(chosen & free, others, row).astype(row.dtype)


class WordAugmenter(_RowAugmenter):
    """Drops words of strings, or swaps neighboring words (`noise`)."""

    def _augment_row(self, row: Array, rng: np.random.Generator) -> bytes:
        text = bytes(row)
        words = text.split()
        chosen = rng.random(len(words)) < self._fraction
        if self.name == "noise":
            for place in np.flatnonzero(chosen[:-1]):
                words[place : place + 2] = words[place : place + 2][::-1]
            return b" ".join(words)
        return text if chosen.all() else b" ".join(np.array(words, object)[~chosen])
