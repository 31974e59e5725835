"""Streams of training batches: which examples, in which order, at which cut of the network.

The order is a function of (seed, epoch, step) alone, so that a resumed run sees
what an uninterrupted one would. Every batch is full: the last of an epoch is filled
up with others, of weight 0, so shapes never change. Batches come in groups, stacked along a
first axis, so that one call of the compiled step takes several.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tftransfer.parts.augment import Augmenter
from tftransfer.parts.pixels import Pixels
from tftransfer.parts.prefix import Key, PrefixStore

_GROUP_BYTES = 8 << 20


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Training batches of some examples.

    Attributes:
      indices: of the examples, int64 [n].
      targets: labels of all examples, float32 [N, k].
      batch_size: examples per step.
      seed: of order and augmentation.
      pixels: the pictures, for a stream from the input.
      augmenter: changes the pictures, for a stream from the input.
      store: the frozen prefix's features, for a stream from a cut.
      keys: of the stored views.
      prefix: from pictures to the cut, where nothing is stored; None where the cut is the input.
      mixup: parameter of the Beta distribution; 0 for none.
      class_weight: weight of each class, float32 [k].
      most_steps: batches of a group, where 8 MiB hold so many.
    """

    indices: np.ndarray
    targets: np.ndarray
    batch_size: int
    seed: int
    pixels: Pixels
    augmenter: Augmenter
    store: PrefixStore
    keys: tuple[Key, ...] = ()
    prefix: Callable[..., list[Any]] | None = None
    mixup: float = 0.0
    class_weight: np.ndarray
    most_steps: int = 64

    @property
    def steps(self) -> int:
        """Steps per epoch."""
        return -(-len(self.indices) // self.batch_size)

    @functools.cached_property
    def group(self) -> int:
        """Steps of a full group, as far as memory and `most_steps` go."""
        if self.keys:
            example = sum(x.nbytes for x in self.store.get(self.keys[0], self.indices[:1]))
        else:
            example = 4 * 3 * self.pixels.size**2
        fit = _GROUP_BYTES // (example * self.batch_size)
        return int(min(max(1, fit), self.most_steps, self.steps))

    def epoch(
        self, epoch: int, *, start: int = 0, most: Callable[[], int] | None = None
    ) -> Iterator[dict[str, Any]]:
        """The batches of an epoch, a group at a time.

        Args:
          epoch: which, from 0.
          start: the step to begin with.
          most: steps of the next group, if `group` allows; asked for each anew.

        Yields:
          inputs: tensors [s, batch, ...]; label [s, batch, k]; weight [s, batch]; share [s, 1];
          class_weight [s, k].
        """
        order, views, weight = self._drawn(epoch)
        rest = order[start * self.batch_size :]
        pictures = iter(()) if self.keys else self.pixels.batches(rest, self.batch_size)
        first = start
        while first < self.steps:
            count = min(self.group, most()) if most else self.group
            steps = np.arange(first, min(first + count, self.steps))
            first = int(steps[-1]) + 1
            some = slice(steps[0] * self.batch_size, first * self.batch_size)
            if self.keys:
                inputs = self._stored(order[some], views[some])
                inputs = [x.reshape(len(steps), self.batch_size, *x.shape[1:]) for x in inputs]
            else:
                inputs = self._fresh(pictures, epoch, steps)
            yield self._group(inputs, order[some], weight[some], epoch, steps)

    def batch(self, epoch: int, step: int) -> np.ndarray:
        """Indices of the examples of one batch, int64 [m]."""
        order, _, weight = self._drawn(epoch)
        some = slice(step * self.batch_size, (step + 1) * self.batch_size)
        return order[some][weight[some] > 0]

    def _drawn(self, epoch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Index, view and weight of every place in an epoch's batches."""
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(self.indices)
        views = rng.integers(0, max(1, len(self.keys)), len(order))
        weight = np.ones(len(order), np.float32)
        fill = self.steps * self.batch_size - len(order)
        weight = np.concatenate([weight, np.zeros(fill, np.float32)])
        # Other examples fill the last batch: copies of a few would upset BatchNorm's statistics.
        return np.resize(order, len(weight)), np.resize(views, len(weight)), weight

    def _group(
        self, inputs: list, indices: np.ndarray, weight: np.ndarray, epoch: int, steps: np.ndarray
    ) -> dict[str, Any]:
        label = self.targets[indices].reshape(len(steps), self.batch_size, -1)
        weight = weight.reshape(len(steps), self.batch_size)
        if self.mixup:
            mixed = [
                self._mix([x[k] for x in inputs], label[k], epoch, step, int(weight[k].sum()))
                for k, step in enumerate(steps)
            ]
            inputs = [np.stack(parts) for parts in zip(*(each for each, _ in mixed))]
            label = np.stack([each for _, each in mixed])
        return {
            "inputs": tuple(inputs), "label": label, "weight": weight,
            "share": np.ones((len(steps), 1), np.float32),
            "class_weight": np.tile(self.class_weight, (len(steps), 1)),
        }  # fmt: skip

    def _fresh(self, pictures: Iterator[np.ndarray], epoch: int, steps: np.ndarray) -> list:
        parts = []
        for step in steps:
            changed = self.augmenter(next(pictures), self.seed, epoch, int(step))
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

    def _mix(self, inputs: list, label: np.ndarray, epoch: int, step: int, real: int) -> tuple:
        """Mixup (Zhang et al., 2018) of the step's inputs: pictures, or features at the cut."""
        rng = np.random.default_rng([self.seed, epoch, step, 1])
        share = np.float32(rng.beta(self.mixup, self.mixup))
        partner = np.resize(rng.permutation(real), len(label))
        mixed = [share * np.asarray(x) + (1 - share) * np.asarray(x)[partner] for x in inputs]
        return mixed, share * label + (1 - share) * label[partner]


def balanced_class_weights(targets: np.ndarray) -> np.ndarray:
    """`n / (classes × n of the class)`, float32 [k]; 0 for a class without examples."""
    counts = targets.sum(axis=0)
    share = len(targets) / (len(counts) * np.maximum(counts, 1))
    return np.where(counts > 0, share, 0).astype(np.float32)
