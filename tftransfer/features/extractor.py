"""Inputs of the trainable layers: decoded examples, or cached features of the frozen layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from tftransfer.core.augmentation import Augment
from tftransfer.core.typing import Array, FloatArray, IntArray
from tftransfer.data.examples import Examples
from tftransfer.data.length_bucketing import Sequences
from tftransfer.features.autotune import fastest_forward
from tftransfer.features.disk_cache import FeatureCache
from tftransfer.features.phase_features import PhaseFeatures
from tftransfer.features.shared_cache import SharedCaches
from tftransfer.features.store import FeatureKey, Forward
from tftransfer.features.views import View, Views
from tftransfer.models.network import FEATURES, INPUT, Network
from tftransfer.utils.timing import Clock


class FeatureExtractor:
    """Computes and caches inputs and features of some examples, for one network.

    Args:
      network: Network whose frozen layers compute the features.
      examples: Examples of all splits.
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
        self.store = shared.store(examples, preprocessor, self._basis, cache=self._cache)
        self._forwards: dict[tuple[str, str, str], Forward] = {}
        self._digests: dict[str, str] = {}
        self._decoder = ThreadPoolExecutor(1)

    def close(self) -> None:
        """Waits until all features to be kept are on disk."""
        self._decoder.shutdown(wait=False)
        self.store.close()

    def weights_changed(self) -> None:
        """Computes the keys of features again: blocks train, or have trained."""
        self._digests.clear()

    def values_file(self, *parts: object) -> Path | None:
        """Returns the cache's file for values that depend on the features and on `parts`.

        None where there is no cache on disk.
        """
        return self._cache.values_file(self._basis, *parts) if self._cache else None

    def features(self, indices: IntArray) -> FloatArray:
        """Returns pooled features of the examples, not augmented, float32 [n, d]."""
        return self.stored(FEATURES, indices)[0]

    def view(self, views: Views, number: int) -> View:
        """Returns the view of a number, as the network's preprocessor makes it."""
        return views.view(number, self._network.backbone.preprocessor)

    def stored(
        self, boundary: str, indices: IntArray, *, view: View | None = None
    ) -> list[FloatArray]:
        """Returns features at a boundary, and computes those that are missing.

        Args:
          boundary: Name of a boundary of the network.
          indices: Indices of the examples, int64 [n].
          view: View of the examples; None for the examples themselves.

        Returns:
          One array float32 [n, ...] per tensor at the boundary.
        """
        key = self.key(boundary, view)
        self.fill(key, indices)
        return self.store.get(key, indices)

    def keys(
        self, phase: PhaseFeatures, indices: IntArray, augment: Augment
    ) -> tuple[FeatureKey, ...]:
        """Returns the keys of a phase's cached views, whose features are computed if missing.

        Empty where the frozen layers run in every epoch.

        Args:
          phase: What the phase reads.
          indices: Indices of the examples, int64 [n].
          augment: Augmentation of the stream, which may differ from the phase's.
        """
        views = replace(phase.views, augment=augment)
        cached = views.all_cached(self._network.backbone.preprocessor)
        keys = tuple(self.key(phase.boundary, view) for view in cached)
        for key in keys:
            self.fill(key, indices)
        return keys

    def streamed(self, phase: PhaseFeatures) -> Forward | None:
        """Returns the frozen layers in inference mode, where their features are not cached."""
        if not phase.views.fresh or phase.boundary == INPUT:
            return None
        key = self.key(phase.boundary)
        return self._forward(INPUT, key, phase.epochs * len(self._examples))

    def inputs(self, phase: PhaseFeatures, indices: IntArray) -> Callable[[IntArray], list[Array]]:
        """Returns a function from indices to the trainable layers' inputs, not augmented.

        Args:
          phase: What the phase reads.
          indices: Indices of all examples that the function will be called with.
        """
        if phase.boundary == INPUT or phase.views.fresh:
            frozen_layers = self.streamed(phase) or (lambda batch: [batch])
            return lambda some: frozen_layers(self.decoded.fetch(some))
        key = self.key(phase.boundary)
        self.fill(key, indices)
        return lambda some: self.store.get(key, some)

    def key(self, boundary: str, view: View | None = None) -> FeatureKey:
        """Returns the key of a view's features at a boundary, with the present weights."""
        if boundary not in self._digests:
            self._digests[boundary] = self._network.digest(self._network.blocks_below(boundary))
        weights = self._digests[boundary]
        return FeatureKey(boundary=boundary, view=view or View(), weights=weights)

    def fill(self, key: FeatureKey, indices: IntArray) -> None:
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

    def _highest_cached_below(
        self, key: FeatureKey, indices: IntArray
    ) -> tuple[str, FeatureKey | None]:
        boundaries, start, source = self._network.boundaries, INPUT, None
        for boundary in boundaries[1 : boundaries.index(key.boundary)]:
            lower = self.key(boundary, key.view)
            if self.store.has(lower, indices):
                start, source = boundary, lower
        return start, source

    def _decode_and_select(
        self, start: str, key: FeatureKey, indices: IntArray, *, decode: bool
    ) -> Forward:
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
        self, start: str, key: FeatureKey, count: int, *, ready: Callable[[], None] = lambda: None
    ) -> Forward:
        """Returns the frozen layers between two boundaries; selected once for their weights."""
        which = (start, key.boundary, key.weights)
        if which not in self._forwards:
            views = max((phase.views.cached or 1 for phase in self._phases), default=1)
            self._forwards[which] = fastest_forward(
                self._network.submodel(start, key.boundary),
                count * views,
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

    def _fill_lower_boundaries(self, key: FeatureKey, indices: IntArray) -> None:
        """Computes first what a phase will read at a lower boundary, so that it is not repeated."""
        if "test" in self._examples.splits[indices]:
            return
        position = self._network.boundaries.index
        for phase in self._phases:
            lower = phase.boundary != INPUT and position(phase.boundary) < position(key.boundary)
            cached = phase.views.all_cached(self._network.backbone.preprocessor)
            if lower and key.view in cached:
                self.fill(self.key(phase.boundary, key.view), indices)
