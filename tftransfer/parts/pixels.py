"""Decoded pictures by index: all in memory when they fit, else decoded as they are asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tftransfer.parts.data.decode import decode_resized
from tftransfer.parts.data.examples import Examples, read_item

_WORTH_SAYING = 1000


def memory_budget() -> int:
    """Bytes that a store may take: a third of the memory now available."""
    try:
        text = Path("/proc/meminfo").read_text()
        return int(text.split("MemAvailable:")[1].split()[0]) * 1024 // 3
    except (OSError, IndexError):  # not Linux: a part of all there is
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 6


class Pixels:
    """uint8 pictures [n, size, size, 3] of some examples.

    Args:
      examples: where the encoded pictures are.
      size: side of the square, in pixels.
      keep: hold all pictures in memory after the first use.
    """

    def __init__(self, examples: Examples, size: int, *, keep: bool | None = None):
        self._items = examples.items
        self.size = size
        if keep is None:
            keep = len(examples) * size * size * 3 < memory_budget()
        self.in_memory = keep
        self._stored: np.ndarray | None = None
        self._there = np.zeros(len(examples), bool)

    def fetch(self, indices: np.ndarray) -> np.ndarray:
        """Pictures of the examples at `indices`, uint8 [m, size, size, 3]."""
        if not self.in_memory:
            return self._decode(indices)
        if self._stored is None:
            shape = (len(self._items), self.size, self.size, 3)
            self._stored = np.empty(shape, np.uint8)
        missing = np.unique(indices[~self._there[indices]])
        if len(missing):
            self._stored[missing] = self._decode(missing)
            self._there[missing] = True
        return self._stored[indices]

    def prepare(self, indices: np.ndarray, say: Callable[[str], None]) -> None:
        """Decodes ahead what `fetch` will be asked for, when it is to be held."""
        if self.in_memory and not self._there[indices].all():
            if len(indices) >= _WORTH_SAYING:
                say(f"decoding {len(indices):,} pictures to {self.size} px, kept in memory")
            self.fetch(indices)

    def _decode(self, indices: np.ndarray) -> np.ndarray:
        shape = (len(indices), self.size, self.size, 3)
        pictures = np.empty(shape, np.uint8)
        for start in range(0, len(indices), 1024):
            some = indices[start : start + 1024]
            for offset, picture in enumerate(self._pipeline(some)):
                pictures[start + offset] = picture
        return pictures

    def _pipeline(self, indices: np.ndarray) -> Any:
        items = [self._items[i] for i in indices]
        files = [isinstance(item, str) for item in items]
        if any(files) and not all(files):
            items, files = [read_item(item) for item in items], [False]
        dataset = tf.data.Dataset.from_tensor_slices(tf.constant(items))
        if files[0]:
            dataset = dataset.map(tf.io.read_file)
        dataset = dataset.map(
            lambda data: decode_resized(data, self.size), num_parallel_calls=os.cpu_count()
        )
        return dataset.prefetch(64).as_numpy_iterator()
