"""Streams of training batches: which examples, in which order, from which layer's features.

The order is a function of (seed, epoch, step) alone, so that a resumed run trains on the batches
of an uninterrupted one. Every batch is full: the last one of an epoch is completed with other
examples of weight 0, so that shapes never change. Batches come in groups, stacked along a first
axis, so that one call of the compiled step takes several.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Array, IntArray
from tftransfer.data.input_pipeline import InputPipeline
from tftransfer.data.length_bucketing import batches_by_length
from tftransfer.features.store import FeatureKey, FeatureStore
from tftransfer.preprocessing import Augmenter

_GROUP_BYTES = 8 << 20
# Each use of random numbers has its own seed.
_MIXUP_SEED = 1
_VIEWS_SEED = 2
_LENGTHS_SEED = 3


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Training batches of some examples.

    Attributes:
      indices: Indices of the stream's examples, int64 [n].
      targets: Labels of all examples, float32 [N, k].
      batch_size: Number of examples per step.
      seed: Seed of order and augmentation.
      order: Streams with the same number have the same order of examples.
      draw: Streams with the same number also have the same views and augmentation.
      steps_per_epoch: Number of steps of an epoch where another stream determines it; this stream
        then repeats as often as needed, and all its batches are full. 0 where an epoch is one pass
        over the examples.
      decoded: The decoded examples, for a stream from the input.
      augmenter: Augments them, for a stream from the input.
      store: The cached features, for a stream from a higher boundary.
      keys: Keys of the cached views.
      frozen_layers: The network from the input to the boundary, where nothing is cached; None
        where the boundary is the input.
      extra_fields: Functions from indices and views to further tensors, such as a teacher's, by
        their names.
      mixup: Parameter of the Beta distribution; 0 for none.
      class_weight: Weight of each class, float32 [k].
      weight: Weight of each of all examples, float32 [N]; None for 1.
      lengths: Lengths of all sequences, int64 [N], where similar ones are to share a batch.
    """

    indices: IntArray
    targets: Array
    batch_size: int
    seed: int
    order: int = 0
    draw: int = 0
    steps_per_epoch: int = 0
    decoded: InputPipeline
    augmenter: Augmenter
    store: FeatureStore
    keys: tuple[FeatureKey, ...] = ()
    frozen_layers: Callable[..., list[Array]] | None = None
    extra_fields: Mapping[str, Callable[[IntArray, IntArray], Array]] = field(default_factory=dict)
    mixup: float = 0.0
    class_weight: Array
    weight: Array | None = None
    lengths: Array | None = None

    @property
    def steps(self) -> int:
        """Number of steps per epoch."""
        return self.steps_per_epoch or -(-len(self.indices) // self.batch_size)

    @functools.cached_property
    def batch_bytes(self) -> int:
        """Size of the inputs of a step in bytes."""
        if self.keys:
            example = sum(x.nbytes for x in self.store.get(self.keys[0], self.indices[:1]))
        else:
            example = self.decoded.preprocessor.nbytes
        return example * self.batch_size

    def epoch(
        self, epoch: int, *, start: int = 0, max_steps: Callable[[], int]
    ) -> Iterator[dict[str, Any]]:
        """Yields the batches of an epoch, one group at a time.

        Args:
          epoch: Index of the epoch, from 0.
          start: Index of the step to begin with.
          max_steps: Returns the largest number of steps of the next group; called for each group.

        Yields:
          `inputs`, a tuple of tensors [s, batch, ...]; `label` [s, batch, k]; `weight` [s, batch];
          `share` [s, 1]; `class_weight` [s, k]; and the extra fields, each [s, batch, ...].
        """
        order, views, weight = self._drawn(epoch)
        rest = order[start * self.batch_size :]
        batches = iter(()) if self.keys else self.decoded.batches(rest, self.batch_size)
        first = start
        while first < self.steps:
            steps = np.arange(first, min(first + max_steps(), self.steps))
            first = int(steps[-1]) + 1
            some = slice(steps[0] * self.batch_size, first * self.batch_size)
            if self.keys:
                inputs = self._stored(order[some], views[some])
                inputs = [x.reshape(len(steps), self.batch_size, *x.shape[1:]) for x in inputs]
            else:
                inputs = self._fresh(batches, epoch, steps)
            yield self._group(inputs, order[some], views[some], weight[some], epoch, steps)

    def batch(self, epoch: int, step: int) -> IntArray:
        """Returns the indices of the examples of one batch, int64 [m]."""
        order, _, weight = self._drawn(epoch)
        some = slice(step * self.batch_size, (step + 1) * self.batch_size)
        return order[some][weight[some] > 0]

    def _drawn(self, epoch: int) -> tuple[Array, Array, Array]:
        """Returns index, view and weight of every place in an epoch's batches."""
        order = self._repeated(epoch) if self.steps_per_epoch else self._pass(epoch)
        if self.lengths is not None:
            rng = self._rng(epoch, self.order, 0, _LENGTHS_SEED)
            order = batches_by_length(order, self.lengths, self.batch_size, rng)
        rng = self._rng(epoch, self.order, self.draw, _VIEWS_SEED)
        views = rng.integers(0, max(1, len(self.keys)), len(order))
        weight = np.ones(len(order), np.float32)
        fill = self.steps * self.batch_size - len(order)
        weight = np.concatenate([weight, np.zeros(fill, np.float32)])
        # Other examples fill the last batch: copies of a few would upset BatchNorm's statistics.
        return np.resize(order, len(weight)), np.resize(views, len(weight)), weight

    def _pass(self, number: int) -> Array:
        return self._rng(number, self.order).permutation(self.indices)

    def _repeated(self, epoch: int) -> Array:
        size = len(self.indices)
        first, last = epoch * self.steps * self.batch_size, (epoch + 1) * self.steps
        last *= self.batch_size
        passes = range(first // size, -(-last // size))
        whole = np.concatenate([self._pass(number) for number in passes])
        return whole[first - passes[0] * size : last - passes[0] * size]

    def _rng(self, *numbers: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *numbers])

    def _group(
        self,
        inputs: list[Array],
        indices: IntArray,
        views: IntArray,
        weight: Array,
        epoch: int,
        steps: IntArray,
    ) -> dict[str, Any]:
        label = self.targets[indices].reshape(len(steps), self.batch_size, -1)
        if self.weight is not None:
            weight = weight * self.weight[indices]
        weight = weight.reshape(len(steps), self.batch_size)
        extra = {
            name: _split_steps(values(indices, views), len(steps))
            for name, values in self.extra_fields.items()
        }
        if self.mixup:
            inputs, label, extra = self._mix_group(inputs, label, extra, weight, epoch, steps)
        return {
            "inputs": tuple(inputs),
            "label": label,
            "weight": weight,
            "share": np.ones((len(steps), 1), np.float32),
            "class_weight": np.tile(self.class_weight, (len(steps), 1)),
            **extra,
        }

    def _fresh(self, batches: Iterator[Array], epoch: int, steps: IntArray) -> list[Array]:
        batch_inputs = []
        numbers = [n for n in (self.order, self.draw) if n]
        for step in steps:
            augmented = self.augmenter(next(batches), self.seed, epoch, int(step), *numbers)
            batch_inputs.append(
                self.frozen_layers(augmented) if self.frozen_layers else [augmented]
            )
        if len(batch_inputs) == 1:
            return [np.asarray(x)[None] for x in batch_inputs[0]]
        return [np.stack(tensors) for tensors in zip(*batch_inputs)]

    def _stored(self, indices: IntArray, views: IntArray) -> list[Array]:
        if len(self.keys) == 1:
            return self.store.get(self.keys[0], indices)
        mixed: list[Array] = []
        for view, key in enumerate(self.keys):
            here = views == view
            tensors = self.store.get(key, indices[here])
            mixed = mixed or [np.empty((len(indices), *t.shape[1:]), t.dtype) for t in tensors]
            for whole, tensor in zip(mixed, tensors, strict=True):
                whole[here] = tensor
        return mixed

    def _mix_group(
        self,
        inputs: list[Array],
        label: Array,
        extra: dict[str, Array],
        weight: Array,
        epoch: int,
        steps: IntArray,
    ) -> tuple[list[Array], Array, dict[str, Array]]:
        """Applies mixup (Zhang et al., 2018) to each step: to inputs, or to cached features."""
        arrays = [*map(np.asarray, inputs), label, *extra.values()]
        mixed = [
            self._mix([x[k] for x in arrays], epoch, step, int((weight[k] > 0).sum()))
            for k, step in enumerate(steps)
        ]
        stacked = [np.stack(steps_of_one) for steps_of_one in zip(*mixed)]
        count = len(inputs)
        return stacked[:count], stacked[count], dict(zip(extra, stacked[count + 1 :]))

    def _mix(self, arrays: list[Array], epoch: int, step: int, real: int) -> list[Array]:
        rng = self._rng(epoch, step, 0, _MIXUP_SEED)
        share = np.float32(rng.beta(self.mixup, self.mixup))
        partner = np.resize(rng.permutation(real), len(arrays[0]))
        return [share * x + (1 - share) * x[partner] for x in arrays]


class Streams:
    """The streams that a phase reads; the first one determines the length of an epoch.

    Args:
      streams: The streams by name.
      max_steps: Largest number of batches in a group; fewer where they exceed 8 MiB.
    """

    def __init__(self, streams: Mapping[str, Stream], *, max_steps: int = 64):
        self._streams = dict(streams)
        self._first = next(iter(self._streams.values()))
        self.steps, self.batch_size = self._first.steps, self._first.batch_size
        self._max_steps = max_steps

    @functools.cached_property
    def group(self) -> int:
        """Number of steps of a full group."""
        fit = _GROUP_BYTES // sum(stream.batch_bytes for stream in self._streams.values())
        return int(min(max(1, fit), self._max_steps, self.steps))

    def epoch(
        self, epoch: int, *, start: int = 0, max_steps: Callable[[], int] | None = None
    ) -> Iterator[dict[str, dict[str, Any]]]:
        """Yields groups of batches by the name of their stream; see `Stream.epoch`.

        Args:
          epoch: Index of the epoch, from 0.
          start: Index of the step to begin with.
          max_steps: Returns the number of steps of the next group, at most `group`.
        """
        count = 0
        groups = {
            name: stream.epoch(epoch, start=start, max_steps=lambda: count)
            for name, stream in self._streams.items()
        }
        while start < self.steps:
            count = min(self.group, max_steps()) if max_steps else self.group
            yield {name: next(each) for name, each in groups.items()}
            start += count

    def batch(self, epoch: int, step: int) -> IntArray:
        """Returns the indices of the examples of one batch of all streams, int64 [m]."""
        found = [stream.batch(epoch, step) for stream in self._streams.values()]
        return np.unique(np.concatenate(found)) if len(found) > 1 else found[0]


def _split_steps(array: Array, steps: int) -> Array:
    return array.reshape(steps, -1, *array.shape[1:])


def column_weights(targets: Array, problem_type: ProblemType) -> Array:
    """Returns the weights that losses may read, float32 [k]: of classes, or of numbers.

    Several columns of numbers have the weight 1 / variance, so that none counts more than others
    because of its unit; a single column, and a constant one, has 1.

    Args:
      targets: Targets of the training examples, float32 [n, k].
      problem_type: What the targets are.
    """
    if problem_type is not ProblemType.REGRESSION:
        return balanced_class_weights(targets)
    variance = targets.var(axis=0, dtype=np.float64)
    usable = (variance > 0) & (targets.shape[1] > 1)
    return np.where(usable, 1 / np.where(usable, variance, 1), 1).astype(np.float32)


def balanced_class_weights(targets: Array) -> Array:
    """Returns `n / (classes × n of the class)`, float32 [k]; 0 for a class without examples."""
    counts = targets.sum(axis=0)
    share = len(targets) / (len(counts) * np.maximum(counts, 1))
    return np.where(counts > 0, share, 0).astype(np.float32)
