"""Streams of training batches: which examples, in which order, at which cut of the network.

The order is a function of (seed, epoch, step) alone, so that a resumed run sees
what an uninterrupted one would. Every batch is full: the last of an epoch is filled
up with others, of weight 0, so shapes never change. Batches come in groups, stacked along a
first axis, so that one call of the compiled step takes several.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tftransfer.data.input_pipeline import InputPipeline
from tftransfer.data.length_bucketing import batches_by_length
from tftransfer.features.store import FeatureKey, FeatureStore
from tftransfer.preprocessing import Augmenter

_GROUP_BYTES = 8 << 20
_MIXUP, _VIEWS, _COMPANY = 1, 2, 3  # random numbers of their own


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Training batches of some examples.

    Attributes:
      indices: of the examples, int64 [n].
      targets: labels of all examples, float32 [N, k].
      batch_size: examples per step.
      seed: of order and augmentation.
      order: streams that share this number share the order of their examples.
      draw: streams that share this number too share views and augmentation.
      endless: steps of an epoch of the stream that this one goes beside; it begins anew as often
        as needed, and all its batches are full. 0 where an epoch is one pass over the examples.
      decoded: the examples, for a stream from the input.
      augmenter: changes them, for a stream from the input.
      store: the frozen prefix's features, for a stream from a cut.
      keys: of the stored views.
      prefix: from the input to the cut, where nothing is stored; None where the cut is the input.
      beside: name to a function from indices and views to further tensors, such as a teacher's.
      mixup: parameter of the Beta distribution; 0 for none.
      class_weight: weight of each class, float32 [k].
      weight: of each example of all, float32 [N]; None for 1.
      lengths: of the sequences of all, int64 [N], where alike ones are to share a batch.
    """

    indices: np.ndarray
    targets: np.ndarray
    batch_size: int
    seed: int
    order: int = 0
    draw: int = 0
    endless: int = 0
    decoded: InputPipeline
    augmenter: Augmenter
    store: FeatureStore
    keys: tuple[FeatureKey, ...] = ()
    prefix: Callable[..., list[Any]] | None = None
    beside: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = field(
        default_factory=dict
    )
    mixup: float = 0.0
    class_weight: np.ndarray
    weight: np.ndarray | None = None
    lengths: np.ndarray | None = None

    @property
    def steps(self) -> int:
        """Steps per epoch."""
        return self.endless or -(-len(self.indices) // self.batch_size)

    @functools.cached_property
    def batch_bytes(self) -> int:
        """Bytes of the inputs of a step."""
        if self.keys:
            example = sum(x.nbytes for x in self.store.get(self.keys[0], self.indices[:1]))
        else:
            example = self.decoded.preprocessor.nbytes
        return example * self.batch_size

    def epoch(
        self, epoch: int, *, start: int = 0, most: Callable[[], int]
    ) -> Iterator[dict[str, Any]]:
        """The batches of an epoch, a group at a time.

        Args:
          epoch: which, from 0.
          start: the step to begin with.
          most: steps of the next group; asked for each anew.

        Yields:
          inputs: tensors [s, batch, ...]; label [s, batch, k]; weight [s, batch]; share [s, 1];
          class_weight [s, k]; and what stands beside, each [s, batch, ...].
        """
        order, views, weight = self._drawn(epoch)
        rest = order[start * self.batch_size :]
        batches = iter(()) if self.keys else self.decoded.batches(rest, self.batch_size)
        first = start
        while first < self.steps:
            steps = np.arange(first, min(first + most(), self.steps))
            first = int(steps[-1]) + 1
            some = slice(steps[0] * self.batch_size, first * self.batch_size)
            if self.keys:
                inputs = self._stored(order[some], views[some])
                inputs = [x.reshape(len(steps), self.batch_size, *x.shape[1:]) for x in inputs]
            else:
                inputs = self._fresh(batches, epoch, steps)
            yield self._group(inputs, order[some], views[some], weight[some], epoch, steps)

    def batch(self, epoch: int, step: int) -> np.ndarray:
        """Indices of the examples of one batch, int64 [m]."""
        order, _, weight = self._drawn(epoch)
        some = slice(step * self.batch_size, (step + 1) * self.batch_size)
        return order[some][weight[some] > 0]

    def _drawn(self, epoch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Index, view and weight of every place in an epoch's batches."""
        order = self._endless_order(epoch) if self.endless else self._pass(epoch)
        if self.lengths is not None:
            rng = self._rng(epoch, self.order, 0, _COMPANY)
            order = batches_by_length(order, self.lengths, self.batch_size, rng)
        rng = self._rng(epoch, self.order, self.draw, _VIEWS)
        views = rng.integers(0, max(1, len(self.keys)), len(order))
        weight = np.ones(len(order), np.float32)
        fill = self.steps * self.batch_size - len(order)
        weight = np.concatenate([weight, np.zeros(fill, np.float32)])
        # Other examples fill the last batch: copies of a few would upset BatchNorm's statistics.
        return np.resize(order, len(weight)), np.resize(views, len(weight)), weight

    def _pass(self, number: int) -> np.ndarray:
        return self._rng(number, self.order).permutation(self.indices)

    def _endless_order(self, epoch: int) -> np.ndarray:
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
        inputs: list,
        indices: np.ndarray,
        views: np.ndarray,
        weight: np.ndarray,
        epoch: int,
        steps: np.ndarray,
    ) -> dict[str, Any]:
        label = self.targets[indices].reshape(len(steps), self.batch_size, -1)
        if self.weight is not None:
            weight = weight * self.weight[indices]
        weight = weight.reshape(len(steps), self.batch_size)
        beside = {
            name: _in_steps(found(indices, views), len(steps))
            for name, found in self.beside.items()
        }
        if self.mixup:
            inputs, label, beside = self._mixed(inputs, label, beside, weight, epoch, steps)
        return {
            "inputs": tuple(inputs),
            "label": label,
            "weight": weight,
            "share": np.ones((len(steps), 1), np.float32),
            "class_weight": np.tile(self.class_weight, (len(steps), 1)),
            **beside,
        }

    def _fresh(self, batches: Iterator[np.ndarray], epoch: int, steps: np.ndarray) -> list:
        parts = []
        numbers = [n for n in (self.order, self.draw) if n]
        for step in steps:
            changed = self.augmenter(next(batches), self.seed, epoch, int(step), *numbers)
            parts.append(self.prefix(changed) if self.prefix else [changed])
        if len(parts) == 1:
            return [np.asarray(x)[None] for x in parts[0]]
        return [np.stack(tensors) for tensors in zip(*parts)]

    def _stored(self, indices: np.ndarray, views: np.ndarray) -> list[np.ndarray]:
        if len(self.keys) == 1:
            return self.store.get(self.keys[0], indices)
        mixed: list[np.ndarray] = []
        for view, key in enumerate(self.keys):
            here = views == view
            tensors = self.store.get(key, indices[here])
            mixed = mixed or [np.empty((len(indices), *t.shape[1:]), t.dtype) for t in tensors]
            for whole, tensor in zip(mixed, tensors, strict=True):
                whole[here] = tensor
        return mixed

    def _mixed(
        self,
        inputs: list,
        label: np.ndarray,
        beside: dict,
        weight: np.ndarray,
        epoch: int,
        steps: np.ndarray,
    ) -> tuple[list, np.ndarray, dict]:
        """Mixup (Zhang et al., 2018) of each step: of inputs, or of features at the cut."""
        arrays = [*map(np.asarray, inputs), label, *beside.values()]
        mixed = [
            self._mix([x[k] for x in arrays], epoch, step, int((weight[k] > 0).sum()))
            for k, step in enumerate(steps)
        ]
        stacked = [np.stack(parts) for parts in zip(*mixed)]
        count = len(inputs)
        return stacked[:count], stacked[count], dict(zip(beside, stacked[count + 1 :]))

    def _mix(self, arrays: list[np.ndarray], epoch: int, step: int, real: int) -> list:
        rng = self._rng(epoch, step, 0, _MIXUP)
        share = np.float32(rng.beta(self.mixup, self.mixup))
        partner = np.resize(rng.permutation(real), len(arrays[0]))
        return [share * x + (1 - share) * x[partner] for x in arrays]


class Streams:
    """The streams that a phase reads, side by side; the first gives the length of an epoch.

    Args:
      streams: by name.
      most_steps: batches of a group, where 8 MiB hold so many.
    """

    def __init__(self, streams: Mapping[str, Stream], *, most_steps: int = 64):
        self._streams = dict(streams)
        self._first = next(iter(self._streams.values()))
        self.steps, self.batch_size = self._first.steps, self._first.batch_size
        self._most_steps = most_steps

    @functools.cached_property
    def group(self) -> int:
        """Steps of a full group, as far as memory and `most_steps` go."""
        fit = _GROUP_BYTES // sum(stream.batch_bytes for stream in self._streams.values())
        return int(min(max(1, fit), self._most_steps, self.steps))

    def epoch(
        self, epoch: int, *, start: int = 0, most: Callable[[], int] | None = None
    ) -> Iterator[dict[str, dict[str, Any]]]:
        """Groups of batches by the name of their stream; see `Stream.epoch`.

        Args:
          epoch: which, from 0.
          start: the step to begin with.
          most: steps of the next group, if `group` allows.
        """
        count = 0
        groups = {
            name: stream.epoch(epoch, start=start, most=lambda: count)
            for name, stream in self._streams.items()
        }
        while start < self.steps:
            count = min(self.group, most()) if most else self.group
            yield {name: next(each) for name, each in groups.items()}
            start += count

    def batch(self, epoch: int, step: int) -> np.ndarray:
        """Indices of the examples of one batch of all streams, int64 [m]."""
        found = [stream.batch(epoch, step) for stream in self._streams.values()]
        return np.unique(np.concatenate(found)) if len(found) > 1 else found[0]


def _in_steps(array: np.ndarray, steps: int) -> np.ndarray:
    return array.reshape(steps, -1, *array.shape[1:])


def balanced_class_weights(targets: np.ndarray) -> np.ndarray:
    """`n / (classes × n of the class)`, float32 [k]; 0 for a class without examples."""
    counts = targets.sum(axis=0)
    share = len(targets) / (len(counts) * np.maximum(counts, 1))
    return np.where(counts > 0, share, 0).astype(np.float32)
