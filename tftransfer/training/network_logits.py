"""Logits of the network as it is now, its frozen layers' features taken from the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tftransfer.core.typing import Array, IntArray, Tensor
from tftransfer.features.extractor import FeatureExtractor
from tftransfer.models.inference import compiled, predict_batches
from tftransfer.models.network import Network
from tftransfer.planning.phase_plan import PhasePlan

Forward = Callable[..., Tensor]

# Examples that go forward together where memory allows it.
VALIDATION_BATCH = 256


class NetworkLogits:
    """Computes logits in inference; each function is traced once.

    Args:
      network: The network that trains.
      extractor: Computes and caches the features of the frozen layers.
    """

    def __init__(self, network: Network, extractor: FeatureExtractor):
        self._network, self._extractor = network, extractor
        self._forwards: dict[str, Forward] = {}
        self._batch_size = network.backbone.preprocessor.scaled_batch_size(VALIDATION_BATCH)

    def __call__(self, planned: PhasePlan, indices: IntArray) -> Array:
        """Returns the logits of some examples, float32 [n, k].

        Args:
          planned: The phase whose cached features are read.
          indices: Indices of the examples, int64 [n].
        """
        if not len(indices):
            return np.zeros((0, 1), np.float32)
        inputs, boundary = self._extractor.inputs(planned.features, indices), planned.boundary
        if boundary not in self._forwards:
            self._forwards[boundary] = forward_to_logits(self._network, boundary)
        forward = self._forwards[boundary]
        some = batches(indices, self._batch_size)
        return predict_batches(forward, map(inputs, some))

    def reuse(self, boundary: str, forward: Forward, batch_size: int) -> None:
        """Keeps the function that a phase has traced, and the batch size that fitted in memory.

        Args:
          boundary: Name of the boundary whose tensors the function takes.
          forward: Function from these tensors to the logits.
          batch_size: Number of examples per call.
        """
        self._forwards[boundary], self._batch_size = forward, batch_size

    def forget(self) -> None:
        """Drops all traced functions, as the layers have changed."""
        self._forwards.clear()


def forward_to_logits(network: Network, boundary: str) -> Forward:
    """Returns a function from the tensors at a boundary to the logits, traced once."""
    return compiled(network.submodel(boundary, ["logits"]), "logits")


def batches(indices: IntArray, size: int) -> Iterator[IntArray]:
    """Yields the indices, `size` at a time."""
    for start in range(0, len(indices), size):
        yield indices[start : start + size]
