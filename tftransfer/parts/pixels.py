"""Decoded pictures by index: all in memory when they fit, else decoded as they are asked for."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tftransfer.ground import stops
from tftransfer.ground.errors import UserError
from tftransfer.ground.progress import Progress
from tftransfer.parts.data.decode import decode_resized
from tftransfer.parts.data.examples import Examples, read_item
from tftransfer.parts.data.scan import examine

_WORTH_SAYING = 1000
_BLOCK, _ENCODED = 64, 1024
_CALLS = 4 * (os.cpu_count() or 1)
# Above this, decoding again costs less than what the memory is needed for otherwise.
_KEPT_BYTES = 512 << 20


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
      keep: hold all pictures in memory after the first use; None does where they take less than
        512 MiB.
    """

    def __init__(self, examples: Examples, size: int, *, keep: bool | None = None):
        self._items = examples.items
        self._files = all(isinstance(item, str) for item in self._items)
        self.size = size
        if keep is None:
            keep = len(examples) * size * size * 3 < min(_KEPT_BYTES, memory_budget())
        self.in_memory = keep
        self._stored: np.ndarray | None = None
        self._there = np.zeros(len(examples), bool)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Ends a `prepare` that runs in another thread."""
        self._stopped.set()

    def fetch(self, indices: np.ndarray) -> np.ndarray:
        """Pictures of the examples at `indices`, uint8 [m, size, size, 3]."""
        if self.in_memory:
            self._hold(indices, lambda line: None)
            return self._stored[indices]  # type: ignore[index]
        pictures = self._empty(len(indices))
        for start, block in enumerate(self.batches(indices, _BLOCK)):
            pictures[start * _BLOCK : (start + 1) * _BLOCK] = block
        return pictures

    def batches(self, indices: np.ndarray, size: int) -> Iterator[np.ndarray]:
        """The pictures at `indices` in order, `size` at a time, decoded ahead of their use."""
        if not self.in_memory:
            yield from self._pipeline(indices, size)
            return
        for start in range(0, len(indices), size):
            yield self.fetch(indices[start : start + size])

    def prepare(self, indices: np.ndarray, say: Callable[[str], None]) -> None:
        """Decodes ahead what `fetch` will be asked for, when it is to be held."""
        if self.in_memory:
            self._hold(indices, say)

    def _hold(self, indices: np.ndarray, say: Callable[[str], None]) -> None:
        missing = np.unique(indices[~self._there[indices]])
        if self._stored is None:
            self._stored = self._empty(len(self._items))
        if not len(missing):
            return
        if len(missing) >= _WORTH_SAYING:
            say(f"decoding {len(missing):,} pictures to {self.size} px, kept in memory")
        with Progress(say, "decoding", len(missing)) as progress:
            for start, block in enumerate(self._pipeline(missing, _BLOCK)):
                self._stored[missing[start * _BLOCK : (start + 1) * _BLOCK]] = block
                progress.add(len(block))
                stops.check()
                if self._stopped.is_set():
                    raise CancelledError
        self._there[missing] = True

    def _empty(self, count: int) -> np.ndarray:
        return np.empty((count, self.size, self.size, 3), np.uint8)

    def _pipeline(self, indices: np.ndarray, size: int) -> Iterator[np.ndarray]:
        files = self._files
        # Encoded pictures are copied as they become a tensor, so not all of them at once.
        count = len(indices) if files else max(1, _ENCODED // size) * size
        for start in range(0, len(indices), max(1, count)):
            items = [self._items[i] for i in indices[start : start + count]]
            if not files:
                items = [read_item(item) for item in items]
            dataset = tf.data.Dataset.from_tensor_slices(tf.constant(items))
            dataset = dataset.map(_decoder(self.size, files), num_parallel_calls=_CALLS)
            dataset = dataset.batch(size).prefetch(2).with_options(_options())
            done = 0
            try:
                for block in dataset.as_numpy_iterator():
                    yield block
                    done += len(block)
            except tf.errors.OpError as error:
                suspects = [self._items[i] for i in indices[start + done : start + done + size]]
                raise _changed(suspects, error) from None


def _changed(items: Sequence[str | bytes], error: Exception) -> UserError:
    """Names the first of some pictures that is not as the scan found it."""
    named = ((item, examine(item).reason) for item in items if isinstance(item, str))
    item, reason = next(((item, reason) for item, reason in named if reason), ("A picture", ""))
    said = reason or " ".join(str(error).split())[:200]
    return UserError(
        f"{item} was there when the run began, and is not as it was: {said}.",
        "Put it back, and the same command goes on; or begin without it in another --workdir.",
    )


def _options() -> tf.data.Options:
    options = tf.data.Options()
    # With the tuner, even of nothing, one core of two was seen to idle: a third of the rate.
    options.autotune.enabled = False
    # The calls fill the cores; parting one of them over cores only makes them wait.
    options.threading.max_intra_op_parallelism = 1
    return options


@functools.lru_cache
def _decoder(size: int, from_file: bool) -> Any:
    """Traced once, whatever number of pipelines use it."""

    def decode(item: Any) -> Any:
        return decode_resized(tf.io.read_file(item) if from_file else item, size)

    return tf.function(decode, input_signature=[tf.TensorSpec([], tf.string)])
