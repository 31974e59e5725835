"""Streams of training batches: which examples, in which order, at which cut of the network.

The order is a function of (seed, epoch, step) alone, so that a resumed run sees
what an uninterrupted one would. Every batch is full: the last of an epoch is filled
up with others, of weight 0, so shapes never change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tftransfer.parts.augment import Augmenter
from tftransfer.parts.pixels import Pixels
from tftransfer.parts.prefix import Key, PrefixStore


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

    @property
    def steps(self) -> int:
        """Steps per epoch."""
        return -(-len(self.indices) // self.batch_size)

    def epoch(self, epoch: int) -> Iterator[dict[str, Any]]:
        """The batches of an epoch: inputs, label, weight, share and class_weight."""
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(self.indices)
        views = rng.integers(0, max(1, len(self.keys)), len(order))
        real = len(order)
        # Other examples fill the last batch: copies of a few would upset BatchNorm's statistics.
        order, views = (np.resize(x, self.steps * self.batch_size) for x in (order, views))
        for step in range(self.steps):
            some = slice(step * self.batch_size, (step + 1) * self.batch_size)
            fill = max(0, some.stop - real)
            yield self._batch(order[some], views[some], fill, epoch, step)

    def _batch(
        self, indices: np.ndarray, views: np.ndarray, fill: int, epoch: int, step: int
    ) -> dict:
        weight = np.ones(self.batch_size, np.float32)
        weight[self.batch_size - fill :] = 0.0
        inputs = self._inputs(indices, views, epoch, step)
        label = self.targets[indices]
        if self.mixup:
            inputs, label = self._mix(inputs, label, epoch, step, self.batch_size - fill)
        return {
            "inputs": tuple(inputs), "label": label, "weight": weight,
            "share": np.ones(1, np.float32), "class_weight": self.class_weight,
        }  # fmt: skip

    def _inputs(self, indices: np.ndarray, views: np.ndarray, epoch: int, step: int) -> list[Any]:
        if not self.keys:
            pictures = self.augmenter(self.pixels.fetch(indices), self.seed, epoch, step)
            return self.prefix(pictures) if self.prefix else [pictures]
        parts = [self.store.get(key, indices) for key in self.keys]
        if len(parts) == 1:
            return parts[0]
        chosen = []
        for tensors in zip(*parts):
            mixed = tensors[0].copy()
            for view, tensor in enumerate(tensors[1:], 1):
                mixed[views == view] = tensor[views == view]
            chosen.append(mixed)
        return chosen

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
