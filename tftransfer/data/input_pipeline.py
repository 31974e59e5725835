"""Decoded examples by index: all in memory if they fit, else decoded on demand."""

from __future__ import annotations

import functools
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import tensorflow as tf

from tftransfer.core.typing import Array, Tensor
from tftransfer.data.examples import Examples, read_item
from tftransfer.data.scan import scan_item
from tftransfer.preprocessing import Preprocessor, get_modality
from tftransfer.preprocessing.base import untuned_options
from tftransfer.utils import signals
from tftransfer.utils.errors import UserError
from tftransfer.utils.progress import Progress

LOGGER = logging.getLogger(__name__)

# Decoding fewer examples takes no noticeable time.
_MIN_LOGGED_EXAMPLES = 1000
_BLOCK_EXAMPLES = 64
# Encoded examples in memory at once, where they are not files that TensorFlow reads.
_MAX_ENCODED_EXAMPLES = 1024
_PARALLEL_CALLS = 4 * (os.cpu_count() or 1)
# Above this size, repeated decoding costs less than the memory would.
_MAX_BYTES_IN_MEMORY = 512 << 20


def memory_budget() -> int:
    """Returns the bytes that a store may use: a third of the available memory."""
    try:
        text = Path("/proc/meminfo").read_text()
        return int(text.split("MemAvailable:")[1].split()[0]) * 1024 // 3
    except (OSError, IndexError):  # not Linux: a sixth of all memory
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 6


class InputPipeline:
    """Decodes examples to arrays [n, *preprocessor.shape].

    Args:
      examples: Encoded examples.
      preprocessor: Preprocessor of the network that reads them.
      keep: Whether to keep all arrays in memory after their first use; None does so if they take
        less than 512 MiB.
    """

    def __init__(self, examples: Examples, preprocessor: Preprocessor, *, keep: bool | None = None):
        self._items, self._modality = examples.items, get_modality(examples.modality)
        # Files that the preprocessor converts first are not read by TensorFlow.
        converts = type(preprocessor).convert is not Preprocessor.convert
        self._are_files = all(isinstance(item, str) for item in self._items) and not converts
        self.preprocessor = preprocessor
        self._dtype = (
            np.dtype(object) if preprocessor.dtype == "string" else np.dtype(preprocessor.dtype)
        )
        if keep is None:
            bytes_each = int(np.prod(preprocessor.shape)) * self._dtype.itemsize
            keep = len(examples) * bytes_each < min(_MAX_BYTES_IN_MEMORY, memory_budget())
        self.in_memory = keep
        self._arrays: Array | None = None
        self._is_decoded = np.zeros(len(examples), bool)
        self._lengths = np.zeros(len(examples), np.int64)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Ends a `prepare` that runs in another thread."""
        self._stopped.set()

    def fetch(self, indices: Array) -> Array:
        """Returns the arrays of the examples at `indices`, [m, *shape]."""
        if self.in_memory:
            decoded: Array = self._decode_to_memory(indices)[indices]
            return decoded
        arrays = self._empty(len(indices))
        for start, block in enumerate(self.batches(indices, _BLOCK_EXAMPLES)):
            arrays[start * _BLOCK_EXAMPLES : (start + 1) * _BLOCK_EXAMPLES] = block
        return arrays

    def batches(self, indices: Array, size: int) -> Iterator[Array]:
        """Yields the arrays at `indices` in order, `size` at a time, decoded ahead of their use."""
        if not self.in_memory:
            yield from self._pipeline(indices, size)
            return
        for start in range(0, len(indices), size):
            yield self.fetch(indices[start : start + size])

    def lengths(self, indices: Array) -> Array:
        """Returns the lengths of all sequences without padding, int64 [N].

        Those at `indices` are computed; others may be 0, which means unknown.
        """
        missing = indices[self._lengths[indices] == 0]
        for start, block in enumerate(self.batches(missing, _BLOCK_EXAMPLES)):
            some = missing[start * _BLOCK_EXAMPLES : (start + 1) * _BLOCK_EXAMPLES]
            self._lengths[some] = (block != self.preprocessor.padding).sum(axis=1)
        return self._lengths

    def prepare(self, indices: Array) -> None:
        """Decodes examples ahead of `fetch`, if they are kept in memory."""
        if self.in_memory:
            self._decode_to_memory(indices)

    def _decode_to_memory(self, indices: Array) -> Array:
        missing = np.unique(indices[~self._is_decoded[indices]])
        if self._arrays is None:
            self._arrays = self._empty(len(self._items))
        if not len(missing):
            return self._arrays
        if len(missing) >= _MIN_LOGGED_EXAMPLES:
            LOGGER.info(
                f"decoding {len(missing):,} {self._modality.plural} to "
                f"{self.preprocessor.description}, kept in memory"
            )
        with Progress("decoding", len(missing)) as progress:
            for start, block in enumerate(self._pipeline(missing, _BLOCK_EXAMPLES)):
                some = missing[start * _BLOCK_EXAMPLES : (start + 1) * _BLOCK_EXAMPLES]
                self._arrays[some] = block
                progress.add(len(block))
                signals.raise_if_stop_requested()
                if self._stopped.is_set():
                    raise CancelledError
        self._is_decoded[missing] = True
        return self._arrays

    def _empty(self, count: int) -> Array:
        return np.empty((count, *self.preprocessor.shape), self._dtype)

    def _pipeline(self, indices: Array, size: int) -> Iterator[Array]:
        # A tensor of encoded bytes is a copy of them, so it has a part of the examples only.
        count = len(indices) if self._are_files else max(1, _MAX_ENCODED_EXAMPLES // size) * size
        for start in range(0, len(indices), max(1, count)):
            items = [self._items[i] for i in indices[start : start + count]]
            if not self._are_files:
                items = [self._read(item) for item in items]
            done = 0
            try:
                for block in self._dataset(items, size).as_numpy_iterator():
                    yield block
                    done += len(block)
            except tf.errors.OpError as error:
                suspects = [self._items[i] for i in indices[start + done : start + done + size]]
                raise self._changed(suspects, error) from None

    def _dataset(self, items: Sequence[str | bytes], size: int) -> tf.data.Dataset:
        decode = _decoder(self.preprocessor, self._are_files)
        dataset = tf.data.Dataset.from_tensor_slices(tf.constant(items))
        if self.preprocessor.batched:
            dataset = dataset.batch(size)
        dataset = dataset.map(decode, num_parallel_calls=_PARALLEL_CALLS)
        if not self.preprocessor.batched:
            dataset = dataset.batch(size)
        options = untuned_options()
        # The parallel calls fill the cores; threads within a call would only wait for each other.
        options.threading.max_intra_op_parallelism = 1
        return dataset.prefetch(2).with_options(options)

    def _read(self, item: str | bytes) -> bytes:
        try:
            return self.preprocessor.convert(read_item(item))
        except (OSError, ValueError) as error:
            raise self._changed([item], error) from None

    def _changed(self, items: Sequence[str | bytes], error: Exception) -> UserError:
        """Returns the error of the first of some examples that changed since the scan."""
        reasons = (
            (item, scan_item(item, self._modality).reason)
            for item in items
            if isinstance(item, str)
        )
        unreadable = ((item, reason) for item, reason in reasons if reason)
        item, reason = next(unreadable, (f"An example ({self._modality.singular})", ""))
        reason = reason or " ".join(str(error).split())[:200]
        return UserError(
            f"{item} changed since the start of the run: {reason}.",
            "Restore it and rerun the same command to resume, or start without it in a new "
            "--workdir.",
        )


@functools.lru_cache
def _decoder(preprocessor: Preprocessor, from_file: bool) -> Callable[[Tensor], Tensor]:
    """Returns the decoding function, traced once for all pipelines that use it."""

    def decode(data: Tensor) -> Tensor:
        if from_file:
            data = (
                tf.map_fn(tf.io.read_file, data) if preprocessor.batched else tf.io.read_file(data)
            )
        array: Tensor = preprocessor.decode(data)
        return array

    shape = [None] if preprocessor.batched else []
    traced: Callable[[Tensor], Tensor] = tf.function(
        decode, input_signature=[tf.TensorSpec(shape, tf.string)], autograph=False
    )
    return traced
