"""What a phase reads of the feature extractor."""

from __future__ import annotations

from dataclasses import dataclass, field

from tftransfer.features.views import Views


@dataclass(frozen=True, kw_only=True)
class PhaseFeatures:
    """Features that a phase reads: at which boundary, in which views, for how many epochs.

    Attributes:
      boundary: Name of the tensor where the frozen layers end; `input` where every stage trains.
      views: Views of the training examples; where they are fresh, the frozen layers run in every
        epoch.
      epochs: Number of passes over the training examples.
    """

    boundary: str
    views: Views = field(default_factory=Views)
    epochs: int = 1
