"""Decoded examples by index: all in memory when they fit, else decoded as they are asked for."""

from __future__ import annotations

import functools
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tftransfer.data.examples import Examples, read_item
from tftransfer.data.scan import scan_item
from tftransfer.preprocessing import Preprocessor, get_modality
from tftransfer.utils import signals
from tftransfer.utils.errors import UserError
from tftransfer.utils.progress import Progress

LOGGER = logging.getLogger(__name__)

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


class InputPipeline:
    """What networks take of some examples: arrays [n, *form.shape].

    Args:
      examples: where the encoded bytes are.
      preprocessor: what they become.
      keep: hold all arrays in memory after the first use; None does where they take less than
        512 MiB.
    """

    def __init__(self, examples: Examples, preprocessor: Preprocessor, *, keep: bool | None = None):
        self._items, self._kind = examples.items, examples.modality
        # What is to be read by the form first does not come straight from the file.
        reads = type(preprocessor).convert is not Preprocessor.convert
        self._files = all(isinstance(item, str) for item in self._items) and not reads
        self.preprocessor = preprocessor
        self._dtype = (
            np.dtype(object) if preprocessor.dtype == "string" else np.dtype(preprocessor.dtype)
        )
        if keep is None:
            bytes_each = int(np.prod(preprocessor.shape)) * self._dtype.itemsize
            keep = len(examples) * bytes_each < min(_KEPT_BYTES, memory_budget())
        self.in_memory = keep
        self._stored: np.ndarray | None = None
        self._there = np.zeros(len(examples), bool)
        self._lengths = np.zeros(len(examples), np.int64)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Ends a `prepare` that runs in another thread."""
        self._stopped.set()

    def fetch(self, indices: np.ndarray) -> np.ndarray:
        """Arrays of the examples at `indices`, [m, *shape]."""
        if self.in_memory:
            self._hold(indices)
            return self._stored[indices]  # type: ignore[index]
        arrays = self._empty(len(indices))
        for start, block in enumerate(self.batches(indices, _BLOCK)):
            arrays[start * _BLOCK : (start + 1) * _BLOCK] = block
        return arrays

    def batches(self, indices: np.ndarray, size: int) -> Iterator[np.ndarray]:
        """The arrays at `indices` in order, `size` at a time, decoded ahead of their use."""
        if not self.in_memory:
            yield from self._pipeline(indices, size)
            return
        for start in range(0, len(indices), size):
            yield self.fetch(indices[start : start + size])

    def lengths(self, indices: np.ndarray) -> np.ndarray:
        """Of the sequences at `indices`, without padding, int64 [N]; 0 where not yet known."""
        missing = indices[self._lengths[indices] == 0]
        for start, block in enumerate(self.batches(missing, _BLOCK)):
            some = missing[start * _BLOCK : (start + 1) * _BLOCK]
            self._lengths[some] = (block != self.preprocessor.padding).sum(axis=1)
        return self._lengths

    def prepare(self, indices: np.ndarray) -> None:
        """Decodes ahead what `fetch` will be asked for, when it is to be held."""
        if self.in_memory:
            self._hold(indices)

    def _hold(self, indices: np.ndarray) -> None:
        missing = np.unique(indices[~self._there[indices]])
        if self._stored is None:
            self._stored = self._empty(len(self._items))
        if not len(missing):
            return
        if len(missing) >= _WORTH_SAYING:
            many = get_modality(self._kind).plural
            LOGGER.info(
                f"decoding {len(missing):,} {many} to {self.preprocessor.description}, "
                "kept in memory"
            )
        with Progress("decoding", len(missing)) as progress:
            for start, block in enumerate(self._pipeline(missing, _BLOCK)):
                self._stored[missing[start * _BLOCK : (start + 1) * _BLOCK]] = block
                progress.add(len(block))
                signals.raise_if_stop_requested()
                if self._stopped.is_set():
                    raise CancelledError
        self._there[missing] = True

    def _empty(self, count: int) -> np.ndarray:
        return np.empty((count, *self.preprocessor.shape), self._dtype)

    def _pipeline(self, indices: np.ndarray, size: int) -> Iterator[np.ndarray]:
        files = self._files
        # Encoded bytes are copied as they become a tensor, so not all of them at once.
        count = len(indices) if files else max(1, _ENCODED // size) * size
        for start in range(0, len(indices), max(1, count)):
            items = [self._items[i] for i in indices[start : start + count]]
            if not files:
                items = [self._read(item) for item in items]
            dataset = tf.data.Dataset.from_tensor_slices(tf.constant(items))
            if self.preprocessor.batched:
                dataset = dataset.batch(size)
            dataset = dataset.map(_decoder(self.preprocessor, files), num_parallel_calls=_CALLS)
            if not self.preprocessor.batched:
                dataset = dataset.batch(size)
            dataset = dataset.prefetch(2).with_options(_options())
            done = 0
            try:
                for block in dataset.as_numpy_iterator():
                    yield block
                    done += len(block)
            except tf.errors.OpError as error:
                suspects = [self._items[i] for i in indices[start + done : start + done + size]]
                raise self._changed(suspects, error) from None

    def _read(self, item: str | bytes) -> bytes:
        try:
            return self.preprocessor.convert(read_item(item))
        except (OSError, ValueError) as error:
            raise self._changed([item], error) from None

    def _changed(self, items: Sequence[str | bytes], error: Exception) -> UserError:
        """Names the first of some examples that is not as the scan found it."""
        modality = get_modality(self._kind)
        named = (
            (item, scan_item(item, modality).reason) for item in items if isinstance(item, str)
        )
        found = ((item, reason) for item, reason in named if reason)
        return _gone(*next(found, (f"A {modality.singular}", "")), error)


def _gone(item: str, reason: str, error: Exception) -> UserError:
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
def _decoder(preprocessor: Preprocessor, from_file: bool) -> Any:
    """Traced once, whatever number of pipelines use it."""

    def decode(data: Any) -> Any:
        if from_file:
            data = (
                tf.map_fn(tf.io.read_file, data) if preprocessor.batched else tf.io.read_file(data)
            )
        return preprocessor.decode(data)

    shape = [None] if preprocessor.batched else []
    return tf.function(decode, input_signature=[tf.TensorSpec(shape, tf.string)], autograph=False)
