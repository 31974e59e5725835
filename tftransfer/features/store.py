"""Features of the frozen layers, computed once per example and view."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tensorflow as tf

from tftransfer.core.typing import Array, FloatArray, IntArray, Tensor
from tftransfer.data.input_pipeline import InputPipeline
from tftransfer.features.disk_cache import FeatureCache, Shard
from tftransfer.features.views import View
from tftransfer.utils import signals
from tftransfer.utils.progress import Progress

LOGGER = logging.getLogger(__name__)

Forward = Callable[..., list[Array]]
ExampleShape = tuple[int, ...]

# Examples per forward pass: enough to keep all cores busy, as far as memory allows.
_MAX_BATCH_ROWS = 256
_MAX_BATCH_BYTES = 32 << 20
# Batches have a multiple of this number of examples.
_BATCH_ROWS_STEP = 32
# A shard is the unit that is written to disk, hence what a killed process loses at most.
_MAX_SHARD_ROWS = 16_384
_MAX_SHARD_BYTES = 1 << 30
_FLOAT_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class FeatureKey:
    """The values that cached features depend on; another key needs another computation.

    Attributes:
      boundary: Name of the tensors in the network.
      view: View of the examples.
      weights: sha256 of the weights of the layers below the boundary.
    """

    boundary: str
    view: View = field(default_factory=View)
    weights: str


class FeatureStore:
    """Features of all examples at boundaries of a network, on disk or in memory.

    Args:
      inputs: The decoded examples.
      ids: Content hash of each example.
      cache: Cache on disk; None keeps features in memory.
      basis: Text of the values that the features depend on besides example and key: architecture
        of the network, preprocessing, version of the decoder.

    Attributes:
      rows_found: Number of rows that were on disk before this store computed any.
    """

    def __init__(
        self,
        inputs: InputPipeline,
        ids: Sequence[str],
        *,
        cache: FeatureCache | None = None,
        basis: str = "",
    ):
        self._inputs = inputs
        self._ids = np.asarray(ids, "S64")
        # Copies of an example share one row: that of the first copy.
        _, first, number = np.unique(self._ids, return_index=True, return_inverse=True)
        self._first_copy = first[number]
        self._cache = cache
        self._basis = basis
        self._rows: dict[FeatureKey, _Rows] = {}
        self._writer = ThreadPoolExecutor(1)
        self._commits: list[Future[None]] = []
        self.rows_found = 0

    def nbytes(self) -> int:
        """Returns the number of bytes held in memory or memory-mapped."""
        return sum(array.nbytes for rows in self._rows.values() for s in rows.shards for array in s)

    def missing(self, key: FeatureKey, indices: IntArray) -> IntArray:
        """Returns the indices without cached features; of copies, the first."""
        wanted = np.unique(self._first_copy[indices])
        return wanted[self._rows_of(key).shard[wanted] < 0]

    def has(self, key: FeatureKey, indices: IntArray) -> bool:
        """Returns whether the features of all examples are cached."""
        return not len(self.missing(key, indices))

    def fill(
        self,
        key: FeatureKey,
        indices: IntArray,
        forward: Forward,
        shapes: Sequence[ExampleShape],
        *,
        source: FeatureKey | None = None,
    ) -> None:
        """Computes the features that are missing.

        Args:
          key: Key of the features.
          indices: Indices of the examples, int64 [n].
          forward: Function from the inputs, or from the tensors of `source`, to the features.
          shapes: Shapes of the features, without the batch axis.
          source: Key of cached features to start from; None starts from the decoded examples.
        """
        rows, missing = self._rows_of(key), self.missing(key, indices)
        if not len(missing):
            return
        row_bytes = _FLOAT_BYTES * sum(int(np.prod(shape)) for shape in shapes)
        size = self._batch_rows(row_bytes, source)
        shard_rows = min(_MAX_SHARD_ROWS, _MAX_SHARD_BYTES // row_bytes)
        step = max(size, shard_rows // size * size)
        self._make_room(len(missing) * row_bytes)
        with Progress(f"features at {key.boundary}, view {key.view.number}", len(missing)) as done:
            for first in range(0, len(missing), step):
                some = missing[first : first + step]
                shard = self._new_shard(key, some, shapes)
                arrays = shard.arrays if shard else _empty(len(some), shapes)
                batches = self._batches(key, some, source, size)
                _compute(forward, batches, arrays, done)
                rows.add(some, arrays)
                if shard:
                    self._commits.append(self._writer.submit(shard.commit))

    def get(self, key: FeatureKey, indices: IntArray) -> list[FloatArray]:
        """Returns cached features, one array float32 [n, ...] per tensor at the boundary."""
        return self._rows_of(key).get(self._first_copy[indices])

    def close(self) -> None:
        """Waits until all computed features are on disk, and releases them."""
        for commit in self._commits:
            try:
                commit.result()
            except OSError as error:
                LOGGER.warning(f"Features could not be kept for later runs: {error}")
        self._commits.clear()
        self._rows.clear()

    def _rows_of(self, key: FeatureKey) -> _Rows:
        if key not in self._rows:
            self._rows[key] = self._rows_on_disk(key)
        return self._rows[key]

    def _rows_on_disk(self, key: FeatureKey) -> _Rows:
        rows = _Rows(len(self._ids))
        shards = self._cache.shards(self._entry(self._cache, key)) if self._cache else []
        place = {
            each: (number, row)
            for number, (ids, _) in enumerate(shards)
            for row, each in enumerate(ids.tolist())
        }
        places = np.array([place.get(each, (-1, 0)) for each in self._ids.tolist()])
        for number, (_, arrays) in enumerate(shards):
            found = np.flatnonzero(places[:, 0] == number)
            rows.add(found, arrays, places[found, 1])
            self.rows_found += len(found)
        return rows

    def _entry(self, cache: FeatureCache, key: FeatureKey) -> Path:
        return cache.entry(self._basis, key)

    def _make_room(self, needed_bytes: int) -> None:
        if self._cache:
            held = {self._entry(self._cache, key) for key in self._rows}
            self._cache.make_room(needed_bytes, keep=held)

    def _new_shard(
        self, key: FeatureKey, indices: IntArray, shapes: Sequence[ExampleShape]
    ) -> Shard | None:
        if not self._cache:
            return None
        entry = self._entry(self._cache, key)
        return self._cache.start_shard(entry, self._ids[indices], shapes, np.float32)

    def _batch_rows(self, row_bytes: int, source: FeatureKey | None) -> int:
        """Returns the number of examples per forward pass."""
        if source:
            input_bytes = sum(array.nbytes // len(array) for array in self._rows[source].shards[0])
        else:
            input_bytes = self._inputs.preprocessor.nbytes
        fitting = _MAX_BATCH_BYTES // max(input_bytes, row_bytes)
        rows = fitting // _BATCH_ROWS_STEP * _BATCH_ROWS_STEP
        return min(_MAX_BATCH_ROWS, max(_BATCH_ROWS_STEP, rows))

    def _batches(
        self, key: FeatureKey, indices: IntArray, source: FeatureKey | None, size: int
    ) -> Iterator[Sequence[Tensor]]:
        starts = range(0, len(indices), size)
        if source:
            yield from (self.get(source, indices[start : start + size]) for start in starts)
            return
        augmenter = self._inputs.preprocessor.augmenter(key.view.augment)
        for start, batch in zip(starts, self._inputs.batches(indices, size)):
            if augmenter.random:
                ids = self._ids[indices[start : start + size]]
                yield [augmenter.per_example(batch, key.view.example_seeds(ids))]
            else:
                yield [augmenter(batch)]


def _compute(
    forward: Forward, batches: Iterator[Sequence[Tensor]], arrays: list[Array], progress: Progress
) -> None:
    """Writes the features of all batches into the arrays."""
    start = 0
    for inputs in batches:
        stop = start + len(inputs[0])
        for array, value in zip(arrays, tf.nest.flatten(forward(*inputs))):
            array[start:stop] = value
        progress.add(stop - start)
        signals.raise_if_stop_requested()
        start = stop


class _Rows:
    """Where the features of each example are: number of the shard, and row in it.

    Args:
      count: Number of examples.
    """

    def __init__(self, count: int):
        self.shard = np.full(count, -1, np.int32)
        self.row = np.zeros(count, np.int64)
        self.shards: list[list[Array]] = []

    def add(self, indices: IntArray, arrays: list[Array], rows: IntArray | None = None) -> None:
        """Adds a shard with the features of some examples.

        Args:
          indices: Indices of the examples, int64 [n].
          arrays: One array [n, ...] per tensor, or with more rows if `rows` selects some.
          rows: Row of each example in the arrays, int64 [n]; None where they are in order.
        """
        self.shard[indices] = len(self.shards)
        self.row[indices] = np.arange(len(indices)) if rows is None else rows
        self.shards.append(arrays)

    def get(self, indices: IntArray) -> list[Array]:
        """Returns the features of some examples, one array per tensor."""
        shard, row = self.shard[indices], self.row[indices]
        if len(indices) and (shard == shard[0]).all():
            return [np.asarray(array[row]) for array in self.shards[shard[0]]]
        found = [np.empty((len(indices), *a.shape[1:]), a.dtype) for a in self.shards[0]]
        for number in np.unique(shard):
            here = shard == number
            for out, array in zip(found, self.shards[number]):
                out[here] = array[row[here]]
        return found


def _empty(count: int, shapes: Sequence[ExampleShape]) -> list[Array]:
    return [np.empty((count, *shape), np.float32) for shape in shapes]
