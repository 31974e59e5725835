"""Inputs of the trainable layers: decoded examples, or cached features of the frozen layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tftransfer.data.examples import Examples
from tftransfer.data.length_bucketing import Sequences
from tftransfer.features.autotune import fastest
from tftransfer.features.disk_cache import FeatureCache
from tftransfer.features.phase_features import PhaseFeatures
from tftransfer.features.shared_cache import SharedCaches
from tftransfer.features.store import Key
from tftransfer.models.network import FEATURES, INPUT, Network
from tftransfer.utils.timing import Clock


class FeatureExtractor:
    """Computes and caches inputs and features of some examples, for one network.

    Args:
      network: Network whose frozen layers compute the features.
      examples: Examples of all splits.
      seed: Seed of the augmented views.
      cache: Cache on disk; None keeps features in memory.
      clock: Clock that counts the seconds of decoding, of autotuning and of the features.
      shared: Caches that this extractor shares with those of other runs on the same examples.
      phases: What each phase of the run reads. Features at a lower boundary that a later phase
        needs are computed on the way to a higher one.
      run_file: JSON file of the run with its selected forward functions, so that a resumed run
        selects the same ones; None outside of a run.
    """

    def __init__(
        self,
        network: Network,
        examples: Examples,
        *,
        seed: int,
        cache: FeatureCache | None = None,
        clock: Clock | None = None,
        shared: SharedCaches | None = None,
        phases: Sequence[PhaseFeatures] = (),
        run_file: Path | None = None,
    ):
        self._network, self._examples, self._run_file = network, examples, run_file
        self._clock, self._phases = clock or Clock(), tuple(phases)
        shared, preprocessor = shared or SharedCaches(), network.backbone.preprocessor
        self.decoded = shared.inputs(examples, preprocessor)
        architecture = network.architecture_digest()
        self._cache = cache if architecture else None
        self._basis = repr((architecture or id(network), preprocessor.cache_key, tf.__version__))
        self.store = shared.store(examples, preprocessor, self._basis, seed=seed, cache=self._cache)
        self._forwards: dict[tuple[str, str, str], Any] = {}
        self._digests: dict[str, str] = {}
        self._decoder = ThreadPoolExecutor(1)

    def close(self) -> None:
        """Waits until all features to be kept are on disk."""
        self._decoder.shutdown(wait=False)
        self.store.close()

    def weights_changed(self) -> None:
        """Computes the keys of features again: blocks train, or have trained."""
        self._digests.clear()

    def values_file(self, *parts: Any) -> Path | None:
        """Returns the cache's file for values that depend on the features and on `parts`.

        None where there is no cache on disk.
        """
        return self._cache.values_file(self._basis, *parts) if self._cache else None

    def features(self, indices: np.ndarray) -> np.ndarray:
        """Returns pooled features of the network with its present weights, float32 [n, d]."""
        return self.stored(FEATURES, indices)[0]

    def stored(
        self, boundary: str, indices: np.ndarray, *, view: int = 0, augment: str = "none"
    ) -> list[np.ndarray]:
        """Returns features at a boundary, and computes those that are missing.

        Args:
          boundary: Name of a boundary of the network.
          indices: Indices of the examples, int64 [n].
          view: Number of the view, from 0.
          augment: Augmentation of the views, as `Phase.augment`.

        Returns:
          One array float32 [n, ...] per tensor at the boundary.
        """
        key = self.key(boundary, view, augment)
        self.fill(key, indices)
        return self.store.get(key, indices)

    def keys(self, phase: PhaseFeatures, indices: np.ndarray, augment: str) -> tuple[Key, ...]:
        """Returns the keys of a phase's cached views, whose features are computed if missing.

        Empty where the frozen layers run in every epoch.

        Args:
          phase: What the phase reads.
          indices: Indices of the examples, int64 [n].
          augment: Augmentation of the stream, which may differ from the phase's.
        """
        keys = tuple(self.key(phase.boundary, view, augment) for view in range(phase.views))
        for key in keys:
            self.fill(key, indices)
        return keys

    def streamed(self, phase: PhaseFeatures) -> Callable[..., list[Any]] | None:
        """Returns the frozen layers in inference mode, where their features are not cached."""
        if phase.views or phase.boundary == INPUT:
            return None
        key = self.key(phase.boundary, 0, "none")
        return self._forward(INPUT, key, phase.epochs * len(self._examples))

    def inputs(
        self, phase: PhaseFeatures, indices: np.ndarray
    ) -> Callable[[np.ndarray], list[Any]]:
        """Returns a function from indices to the trainable layers' inputs, not augmented.

        Args:
          phase: What the phase reads.
          indices: Indices of all examples that the function will be called with.
        """
        if phase.boundary == INPUT or not phase.views:
            frozen_layers = self.streamed(phase) or (lambda batch: [batch])
            return lambda some: frozen_layers(self.decoded.fetch(some))
        key = self.key(phase.boundary, 0, "none")
        self.fill(key, indices)
        return lambda some: self.store.get(key, some)

    def key(self, boundary: str, view: int, augment: str) -> Key:
        """Returns the key of a view's features at a boundary, with the present weights."""
        if boundary not in self._digests:
            self._digests[boundary] = self._network.digest(self._network.blocks_below(boundary))
        augment = self._network.backbone.preprocessor.view_augmentation(augment, view)
        return Key(boundary, view, augment, self._digests[boundary])

    def fill(self, key: Key, indices: np.ndarray) -> None:
        """Computes missing features from the highest cached boundary below, else from the input."""
        if self.store.has(key, indices):
            return
        if key.boundary == INPUT:
            shapes = self._network.shapes_at(INPUT)
            self.store.fill(key, indices, lambda batch: [batch], shapes)
            return
        self._fill_lower_boundaries(key, indices)
        start, source = self._highest_cached_below(key, indices)
        forward = self._decode_and_select(start, key, indices, decode=source is None)
        with self._clock.measure("features"):
            shapes = self._network.shapes_at(key.boundary)
            self.store.fill(key, indices, forward, shapes, source=source)

    def _highest_cached_below(self, key: Key, indices: np.ndarray) -> tuple[str, Key | None]:
        boundaries, start, source = self._network.boundaries, INPUT, None
        for boundary in boundaries[1 : boundaries.index(key.boundary)]:
            lower = self.key(boundary, key.view, key.augment)
            if self.store.has(lower, indices):
                start, source = boundary, lower
        return start, source

    def _decode_and_select(
        self, start: str, key: Key, indices: np.ndarray, *, decode: bool
    ) -> Callable[..., Any]:
        """Returns the selected forward function; decodes examples while candidates are built."""
        # Building the candidates keeps one core busy at most. Decoding uses the others, and also
        # decodes the examples that will be read next.
        coming = self.store.missing(key, np.arange(len(self._examples)))
        decoding = self._decoder.submit(self.decoded.prepare, coming) if decode else None

        def wait_for_decoding() -> None:
            with self._clock.measure("decode"):
                if decoding:
                    decoding.result()

        try:
            with self._clock.measure("autotune"):
                forward = self._forward(start, key, len(indices), ready=wait_for_decoding)
            wait_for_decoding()
        except BaseException:
            self.decoded.stop()
            raise
        return forward

    def _forward(
        self, start: str, key: Key, count: int, *, ready: Callable[[], None] = lambda: None
    ) -> Callable[..., Any]:
        """Returns the frozen layers between two boundaries; selected once for their weights."""
        which = (start, key.boundary, key.weights)
        if which not in self._forwards:
            views = max((phase.views for phase in self._phases), default=0)
            self._forwards[which] = fastest(
                self._network.submodel(start, key.boundary),
                count * max(1, views),
                cache_file=self._cache.autotune_file if self._cache else None,
                run_file=self._run_file,
                ready=ready,
                sequences=self._sequences(),
            )
        return self._forwards[which]

    def _sequences(self) -> Sequences | None:
        padding = self.decoded.preprocessor.padding
        if padding is None:
            return None
        seen = np.flatnonzero(self._examples.splits != "test")
        return Sequences(padding, lambda: self.decoded.lengths(seen)[seen])

    def _fill_lower_boundaries(self, key: Key, indices: np.ndarray) -> None:
        """Computes first what a phase will read at a lower boundary, so that it is not repeated."""
        if "test" in self._examples.splits[indices]:
            return
        position = self._network.boundaries.index
        for phase in self._phases:
            augment = self._network.backbone.preprocessor.view_augmentation(phase.augment, key.view)
            lower = phase.boundary != INPUT and position(phase.boundary) < position(key.boundary)
            if lower and key.view < phase.views and augment == key.augment:
                self.fill(self.key(phase.boundary, key.view, phase.augment), indices)
