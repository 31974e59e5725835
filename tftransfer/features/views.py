"""Augmented views of the training examples: what each one is, and how many are cached."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tftransfer.core.augmentation import Augment
from tftransfer.core.typing import IntArray
from tftransfer.preprocessing import Preprocessor

# Augmentations of a view that are the same for every seed.
_DETERMINISTIC = ("none", "mirror")
# Keras takes seeds as positive int64.
_SEED_MASK = (1 << 61) - 1


@dataclass(frozen=True, kw_only=True)
class View:
    """One view of each example.

    Attributes:
      number: Number of the view, from 0.
      augment: What the example undergoes: `none`, `mirror`, or a random augmentation.
      seed: Seed of a random augmentation; None where the view is the same for every seed.
    """

    number: int = 0
    augment: Augment = "none"
    seed: int | None = None

    def example_seeds(self, digests: Iterable[bytes]) -> IntArray:
        """Returns a seed for each example, from its content: int64 [n].

        An example has the same view, whatever other examples are computed with it.

        Args:
          digests: Content hash of each example.
        """
        texts = (b"%d %d " % (self.seed or 0, self.number) + digest for digest in digests)
        numbers = b"".join(hashlib.sha256(text).digest()[:8] for text in texts)
        return np.frombuffer(numbers, "<i8") & _SEED_MASK


@dataclass(frozen=True, kw_only=True)
class Views:
    """The views of the training examples that a phase reads.

    Attributes:
      augment: Augmentation of the training examples, as `Phase.augment`.
      seed: Seed of random augmentations.
      cached: Number of views whose features are cached; None where every epoch has a fresh one.
    """

    augment: Augment = "none"
    seed: int = 0
    cached: int | None = None

    @property
    def fresh(self) -> bool:
        """Whether every epoch has a fresh view, hence no features are cached."""
        return self.cached is None

    def __str__(self) -> str:
        return "fresh" if self.cached is None else str(self.cached)

    def view(self, number: int, preprocessor: Preprocessor) -> View:
        """Returns the view of a number.

        Args:
          number: Number of the view, from 0.
          preprocessor: Preprocessor of the network, which knows the first views of its modality.
        """
        augment = preprocessor.view_augmentation(self.augment, number)
        seed = None if augment in _DETERMINISTIC else self.seed
        return View(number=number, augment=augment, seed=seed)

    def all_cached(self, preprocessor: Preprocessor) -> tuple[View, ...]:
        """Returns the cached views, in order; empty where every epoch has a fresh one."""
        return tuple(self.view(number, preprocessor) for number in range(self.cached or 0))
