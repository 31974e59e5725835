"""Random changes of token ids and of strings, decided by a seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

# Of the tokens, that are hidden or, in `noise`, exchanged.
_SHARES = {"drop": 0.1, "strong": 0.3, "noise": 0.15}


class _PerRow:
    """Changes each row by random numbers of its own."""

    def __init__(self, kind: str):
        self.kind = kind
        self.random = kind != "none"
        self._share = _SHARES.get(kind, 0.0)

    def __call__(self, inputs: Any, *seed: int) -> np.ndarray:
        """A changed batch; the same for the same seed."""
        rng = np.random.default_rng(seed)
        return self._changed(inputs, lambda: rng)

    def per_example(self, inputs: Any, seeds: np.ndarray) -> np.ndarray:
        """A changed batch, each row decided by its own seed, int64 [n], whatever is beside."""
        generators = iter([np.random.default_rng(seed) for seed in seeds.tolist()])
        return self._changed(inputs, lambda: next(generators))

    def _changed(self, inputs: Any, generator: Callable[[], np.random.Generator]) -> np.ndarray:
        rows = np.array(inputs)
        for number in range(len(rows) if self.random else 0):
            rows[number] = self._row(rows[number], generator())
        return rows

    def _row(self, row: Any, rng: np.random.Generator) -> Any:
        raise NotImplementedError


class TokenAugmenter(_PerRow):
    """Hides tokens, or exchanges them for others (`noise`).

    Word dropout as in Iyyer et al., 2015 (`drop` a tenth, `strong` three tenths).

    Args:
      kind: `none`, `drop`, `strong` or `noise`.
      hidden: id of what stands for a token that is hidden.
      kept: ids that are not changed, such as padding.
      size: of the vocabulary.
    """

    def __init__(self, kind: str, *, hidden: int, kept: Sequence[int], size: int):
        super().__init__(kind)
        self._hidden, self._kept, self._size = hidden, list(kept), size

    def _row(self, row: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        chosen = rng.random(row.shape) < self._share
        others = rng.integers(0, self._size, row.shape) if self.kind == "noise" else self._hidden
        free = ~np.isin(row, self._kept)
        if (chosen | ~free).all():  # something is to be left to learn from
            return row
        return np.where(chosen & free, others, row).astype(row.dtype)


class WordAugmenter(_PerRow):
    """Leaves words out of strings, or lets two neighbours change places (`noise`)."""

    def _row(self, row: bytes, rng: np.random.Generator) -> bytes:
        words = row.split()
        chosen = rng.random(len(words)) < self._share
        if self.kind == "noise":
            for place in np.flatnonzero(chosen[:-1]):
                words[place : place + 2] = words[place : place + 2][::-1]
            return b" ".join(words)
        return row if chosen.all() else b" ".join(np.array(words, object)[~chosen])
