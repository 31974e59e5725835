"""What a phase reads of the feature extractor."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PhaseFeatures:
    """Features that a phase reads: of which layer, in which views, for how many epochs.

    Attributes:
      boundary: Name of the tensor where the frozen layers end; `input` where every stage trains.
      views: Number of cached views of each training example; 0 where the frozen layers run in
        every epoch.
      augment: Augmentation of the training examples, as `Phase.augment`.
      epochs: Number of passes over the training examples.
    """

    boundary: str
    views: int = 0
    augment: str = "none"
    epochs: int = 1
