"""What runs on the same data have in common and compute once: backbones, inputs, features."""

from __future__ import annotations

from typing import Any

from tftransfer.backbones.cache import BackboneCache
from tftransfer.data.examples import Examples
from tftransfer.data.input_pipeline import InputPipeline
from tftransfer.features.disk_cache import FeatureCache
from tftransfer.features.store import FeatureStore
from tftransfer.preprocessing import Preprocessor


class SharedCaches:
    """Of runs one after another on the same examples; a run on its own has one to itself.

    Attributes:
      shelf: of backbones.
      before: what is known of a network before training, by what it depends on.
    """

    def __init__(self, shelf: BackboneCache | None = None) -> None:
        self.shelf = shelf or BackboneCache()
        self.before: dict[Any, dict[str, Any]] = {}
        self._inputs: dict[str, InputPipeline] = {}
        self._stores: dict[str, FeatureStore] = {}

    def inputs(self, examples: Examples, preprocessor: Preprocessor) -> InputPipeline:
        """The decoded examples; they are always the same."""
        key = repr((type(preprocessor).__name__, preprocessor.cache_key))
        if key not in self._inputs:
            self._inputs[key] = InputPipeline(examples, preprocessor)
        return self._inputs[key]

    def store(
        self,
        examples: Examples,
        preprocessor: Preprocessor,
        basis: str,
        *,
        seed: int,
        cache: FeatureCache | None,
    ) -> FeatureStore:
        """The store of features with this `basis`; seed and cache are always the same."""
        if basis not in self._stores:
            self._stores[basis] = FeatureStore(
                self.inputs(examples, preprocessor), examples.sha256, seed, cache=cache, basis=basis
            )
        return self._stores[basis]
