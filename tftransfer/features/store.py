"""The frozen prefix: what no phase trains is computed once per picture and view."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tftransfer.data.input_pipeline import InputPipeline
from tftransfer.features.disk_cache import FeatureCache, Shard
from tftransfer.utils import signals
from tftransfer.utils.progress import Progress

LOGGER = logging.getLogger(__name__)

# Of the forward: enough that no core waits, and at most so many bytes in or out.
_MOST_ROWS, _BATCH_BYTES = 256, 32 << 20
_BLOCK = 32
_SHARD_ROWS = 16_384
_SHARD_BYTES = 1 << 30
_POSITIVE = (1 << 61) - 1


@dataclass(frozen=True)
class Key:
    """What stored features depend on; another key is another computation."""

    boundary: str
    view: int
    augment: str
    weights: str


class FeatureStore:
    """Features of all examples at a cut of the network: on disk, or in memory without a cache.

    Args:
      inputs: the decoded examples.
      ids: content hash of each example.
      seed: of the augmented views.
      cache: where features are kept for later runs.
      basis: text of all that the features depend on besides example, key and seed: the
        network's form, that of its input, the decoder.
    """

    def __init__(
        self,
        inputs: InputPipeline,
        ids: Sequence[str],
        seed: int,
        *,
        cache: FeatureCache | None = None,
        basis: str = "",
    ):
        self._decoded = inputs
        self._ids = np.asarray(ids, "S64")
        # Copies of a picture have one row: that of the first of them.
        _, first, number = np.unique(self._ids, return_index=True, return_inverse=True)
        self._first = first[number]
        self._seed = seed
        self._cache = cache
        self._basis = basis
        self._rows: dict[Key, _Rows] = {}
        self._writer = ThreadPoolExecutor(1)
        self._commits: list[Future] = []
        self.found = 0

    def nbytes(self) -> int:
        """Bytes held, in memory or mapped."""
        return sum(array.nbytes for rows in self._rows.values() for s in rows.shards for array in s)

    def missing(self, key: Key, indices: np.ndarray) -> np.ndarray:
        """Of the examples at `indices`, those without stored features; of copies, the first."""
        wanted = np.unique(self._first[indices])
        return wanted[self._of(key).shard[wanted] < 0]

    def has(self, key: Key, indices: np.ndarray) -> bool:
        """Whether all the features asked for are there."""
        return not len(self.missing(key, indices))

    def fill(
        self,
        key: Key,
        indices: np.ndarray,
        prefix: Callable[..., Any],
        shapes: Sequence[tuple[int, ...]],
        *,
        source: Key | None = None,
    ) -> None:
        """Computes what is missing.

        Args:
          key: of the result.
          indices: of the examples wanted.
          prefix: from the input, or from the tensors of `source`, to the tensors at the cut.
          shapes: of those tensors, without the batch axis.
          source: stored features to start from instead of the input.
        """
        rows = self._of(key)
        missing = self.missing(key, indices)
        if not len(missing):
            return
        row_bytes = 4 * sum(int(np.prod(shape)) for shape in shapes)
        size = self._batch_rows(row_bytes, source)
        step = max(size, min(_SHARD_ROWS, _SHARD_BYTES // row_bytes) // size * size)
        if self._cache:
            mine = {self._entry(self._cache, held) for held in self._rows}
            self._cache.make_room(len(missing) * row_bytes, keep=mine)
        what = f"features at {key.boundary}, view {key.view}"
        with Progress(what, len(missing)) as progress:
            for first in range(0, len(missing), step):
                part = missing[first : first + step]
                shard = self._shard(key, part, shapes)
                arrays = shard.arrays if shard else _empty(len(part), shapes)
                start = 0
                for inputs in self._inputs(key, part, source, size):
                    outputs = tf.nest.flatten(prefix(*inputs))
                    stop = start + len(inputs[0])
                    for array, value in zip(arrays, outputs):
                        array[start:stop] = value
                    progress.add(stop - start)
                    signals.raise_if_stop_requested()
                    start = stop
                rows.add(part, arrays)
                if shard:
                    self._commits.append(self._writer.submit(shard.commit))

    def get(self, key: Key, indices: np.ndarray) -> list[np.ndarray]:
        """Stored features of the examples at `indices`, float32, an array per tensor at the cut."""
        return self._of(key).get(self._first[indices])

    def close(self) -> None:
        """Waits until all that was computed is on disk, and lets go of it."""
        for commit in self._commits:
            try:
                commit.result()
            except OSError as error:
                LOGGER.info(f"features were not kept for later runs: {error}")
        self._commits.clear()
        self._rows.clear()

    def _of(self, key: Key) -> _Rows:
        if key not in self._rows:
            rows = _Rows(len(self._ids))
            shards = self._cache.shards(self._entry(self._cache, key)) if self._cache else []
            place = {
                each: (number, row)
                for number, (ids, _) in enumerate(shards)
                for row, each in enumerate(ids.tolist())
            }
            places = np.array([place.get(each, (-1, 0)) for each in self._ids.tolist()])
            for number, (_, arrays) in enumerate(shards):
                there = np.flatnonzero(places[:, 0] == number)
                rows.add(there, arrays, places[there, 1])
                self.found += len(there)
            self._rows[key] = rows
        return self._rows[key]

    def _entry(self, cache: FeatureCache, key: Key) -> Path:
        random = key.augment not in ("none", "mirror")
        return cache.entry(self._basis, key, self._seed if random else None)

    def _shard(self, key: Key, indices: np.ndarray, shapes: Any) -> Shard | None:
        if not self._cache:
            return None
        entry = self._entry(self._cache, key)
        return self._cache.start_shard(entry, self._ids[indices], shapes, np.float32)

    def _batch_rows(self, row_bytes: int, source: Key | None) -> int:
        """Examples that the forward takes at once: a multiple of the block."""
        if source:
            taken = sum(array.nbytes // len(array) for array in self._rows[source].shards[0])
        else:
            taken = self._decoded.preprocessor.nbytes
        fit = _BATCH_BYTES // max(taken, row_bytes)
        return min(_MOST_ROWS, max(_BLOCK, fit // _BLOCK * _BLOCK))

    def _inputs(
        self, key: Key, indices: np.ndarray, source: Key | None, size: int
    ) -> Iterator[list[Any]]:
        starts = range(0, len(indices), size)
        if source:
            yield from (self.get(source, indices[start : start + size]) for start in starts)
            return
        augmenter = self._decoded.preprocessor.augmenter(key.augment)
        for start, batch in zip(starts, self._decoded.batches(indices, size)):
            if augmenter.random:
                yield [
                    augmenter.per_example(batch, self._seeds(key, indices[start : start + size]))
                ]
            else:
                yield [augmenter(batch)]

    def _seeds(self, key: Key, indices: np.ndarray) -> np.ndarray:
        """Of views, by content: whatever else is missing, an example's view is the same."""
        texts = (b"%d %d " % (self._seed, key.view) + self._ids[i] for i in indices)
        digests = b"".join(hashlib.sha256(text).digest()[:8] for text in texts)
        return np.frombuffer(digests, "<i8") & _POSITIVE


class _Rows:
    """Where each example's features are: in which shard, and at which row."""

    def __init__(self, count: int):
        self.shard = np.full(count, -1, np.int32)
        self.row = np.zeros(count, np.int64)
        self.shards: list[list[np.ndarray]] = []

    def add(
        self, indices: np.ndarray, arrays: list[np.ndarray], rows: np.ndarray | None = None
    ) -> None:
        self.shard[indices] = len(self.shards)
        self.row[indices] = np.arange(len(indices)) if rows is None else rows
        self.shards.append(arrays)

    def get(self, indices: np.ndarray) -> list[np.ndarray]:
        shard, row = self.shard[indices], self.row[indices]
        if len(indices) and (shard == shard[0]).all():
            return [np.asarray(array[row]) for array in self.shards[shard[0]]]
        found = [np.empty((len(indices), *a.shape[1:]), a.dtype) for a in self.shards[0]]
        for number in np.unique(shard):
            here = shard == number
            for out, array in zip(found, self.shards[number]):
                out[here] = array[row[here]]
        return found


def _empty(count: int, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    return [np.empty((count, *shape), np.float32) for shape in shapes]
