"""What a network's upper part is fed: inputs, or features of its frozen prefix, stored once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tftransfer.data.length_bucketing import Sequences
from tftransfer.features.autotune import fastest
from tftransfer.features.store import Key
from tftransfer.models.network import FEATURES, INPUT, Network
from tftransfer.planning.plan import PhasePlan, Plan


class FeatureExtractor:
    """Inputs and features of a plan's examples, for one network.

    Args:
      plan: whose examples, store and clock these are.
      network: the plan's, or a teacher.
      own: file of the run's own choices of forwards; None outside of a run.
    """

    def __init__(self, plan: Plan, network: Network, own: Path | None):
        self._plan, self._network, self._own = plan, network, own
        preprocessor = network.backbone.preprocessor
        self.decoded = plan.shared.inputs(plan.examples, preprocessor)
        architecture = network.architecture_digest()
        self._cache = plan.cache if architecture else None
        self._basis = repr((architecture or id(network), preprocessor.basis, tf.__version__))
        self.store = plan.shared.store(
            plan.examples, preprocessor, self._basis, seed=plan.experiment.seed, cache=self._cache
        )
        self._forwards: dict[tuple[str, str, str], Any] = {}
        self._below: dict[str, str] = {}
        self._beside = ThreadPoolExecutor(1)

    def close(self) -> None:
        """Waits until all that is to be kept is on disk."""
        self._beside.shutdown(wait=False)
        self.store.close()

    def weights_moved(self) -> None:
        """Keys are made anew: blocks train, or have trained."""
        self._below.clear()

    def remembered(self, *parts: Any) -> Path | None:
        """The cache's file for what depends on the features and on `parts`; None without cache."""
        return self._cache.record(self._basis, *parts) if self._cache else None

    def features(self, indices: np.ndarray) -> np.ndarray:
        """Pooled features of the network as it is, float32 [n, d]; stored while it stays so."""
        return self.stored(FEATURES, indices)[0]

    def stored(
        self, boundary: str, indices: np.ndarray, *, view: int = 0, augment: str = "none"
    ) -> list[np.ndarray]:
        """The tensors at a cut of some view of the examples, computed where they are not yet."""
        key = self.key(boundary, view, augment)
        self.fill(key, indices)
        return self.store.get(key, indices)

    def keys(self, planned: PhasePlan, indices: np.ndarray, augment: str) -> tuple[Key, ...]:
        """Of a phase's stored views, filled; none where the prefix runs every epoch."""
        keys = tuple(self.key(planned.boundary, view, augment) for view in range(planned.views))
        for key in keys:
            self.fill(key, indices)
        return keys

    def streamed(self, planned: PhasePlan) -> Callable[..., list[Any]] | None:
        """The prefix where it is not stored: in inference, as a stored one is."""
        if planned.views or planned.boundary == INPUT:
            return None
        key = self.key(planned.boundary, 0, "none")
        return self._forward(INPUT, key, planned.phase.epochs * len(self._plan.examples))

    def inputs(self, planned: PhasePlan, indices: np.ndarray) -> Callable[[np.ndarray], list[Any]]:
        """A function from indices to the suffix's inputs, without augmentation."""
        if planned.boundary == INPUT or not planned.views:
            prefix = self.streamed(planned) or (lambda batch: [batch])
            return lambda some: prefix(self.decoded.fetch(some))
        key = self.key(planned.boundary, 0, "none")
        self.fill(key, indices)
        return lambda some: self.store.get(key, some)

    def key(self, boundary: str, view: int, augment: str) -> Key:
        """Of a view at a cut, with the weights as they are."""
        if boundary not in self._below:
            self._below[boundary] = self._network.digest(self._network.blocks_below(boundary))
        return Key(
            boundary,
            view,
            self._network.backbone.preprocessor.stored(augment, view),
            self._below[boundary],
        )

    def fill(self, key: Key, indices: np.ndarray) -> None:
        """Computes features from the deepest cut below that is stored, else from the input."""
        if self.store.has(key, indices):
            return
        if key.boundary == INPUT:
            shapes = self._network.shapes_at(INPUT)
            self.store.fill(key, indices, lambda batch: [batch], shapes)
            return
        self._fill_below(key, indices)
        start, source = INPUT, None
        for boundary in self._network.boundaries[1 : self._network.boundaries.index(key.boundary)]:
            below = self.key(boundary, key.view, key.augment)
            if self.store.has(below, indices):
                start, source = boundary, below
        clock, shapes = self._plan.clock, self._network.shapes_at(key.boundary)
        # Making the forwards that are tried keeps one core at most; decoding takes the others, and
        # goes on to the pictures that will be asked for next.
        coming = self.store.missing(key, np.arange(len(self._plan.examples)))
        decoding = None if source else self._beside.submit(self.decoded.prepare, coming)

        def decoded() -> None:
            with clock.measure("decode"):
                if decoding:
                    decoding.result()

        try:
            with clock.measure("trial"):
                prefix = self._forward(start, key, len(indices), ready=decoded)
            decoded()
        except BaseException:
            self.decoded.stop()
            raise
        with clock.measure("prefix"):
            self.store.fill(key, indices, prefix, shapes, source=source)

    def _forward(
        self, start: str, key: Key, count: int, *, ready: Callable[[], None] = lambda: None
    ) -> Callable[..., Any]:
        """The frozen network between two cuts; made once for its weights."""
        which = (start, key.boundary, key.weights)
        if which not in self._forwards:
            memory = self._cache.trials if self._cache else None
            views = max(planned.views for planned in self._plan.phases)
            self._forwards[which] = fastest(
                self._network.submodel(start, key.boundary),
                count * max(1, views),
                memory=memory,
                own=self._own,
                ready=ready,
                sequences=self._sequences(),
            )
        return self._forwards[which]

    def _sequences(self) -> Sequences | None:
        padding = self.decoded.preprocessor.padding
        if padding is None:
            return None
        seen = np.flatnonzero(self._plan.examples.splits != "test")
        return Sequences(padding, lambda: self.decoded.lengths(seen)[seen])

    def _fill_below(self, key: Key, indices: np.ndarray) -> None:
        """First what a phase will want at a lower cut, so that it is not computed twice."""
        boundaries = self._network.boundaries
        if self._network is not self._plan.network or "test" in self._plan.examples.splits[indices]:
            return
        for planned in self._plan.phases:
            augment = self._network.backbone.preprocessor.stored(planned.phase.augment, key.view)
            lower = planned.boundary != INPUT and boundaries.index(
                planned.boundary
            ) < boundaries.index(key.boundary)
            if lower and key.view < planned.views and augment == key.augment:
                self.fill(self.key(planned.boundary, key.view, planned.phase.augment), indices)
