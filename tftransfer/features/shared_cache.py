"""What several runs on the same data compute once: backbones, decoded examples and features."""

from __future__ import annotations

from tftransfer.backbones.cache import BackboneCache
from tftransfer.data.examples import Examples
from tftransfer.data.input_pipeline import InputPipeline
from tftransfer.features.disk_cache import FeatureCache
from tftransfer.features.store import FeatureStore
from tftransfer.preprocessing import Preprocessor


class SharedCaches:
    """Caches for runs one after another on the same examples; a single run has its own.

    Args:
      backbones: Cache of loaded backbones; None makes an empty one.

    Attributes:
      backbones: Cache of loaded backbones.
      before_training: Results known before training, by the values that they depend on.
    """

    def __init__(self, backbones: BackboneCache | None = None) -> None:
        self.backbones = backbones or BackboneCache()
        self.before_training: dict[tuple[object, ...], dict[str, object]] = {}
        self._inputs: dict[str, InputPipeline] = {}
        self._stores: dict[str, FeatureStore] = {}

    def inputs(self, examples: Examples, preprocessor: Preprocessor) -> InputPipeline:
        """Returns the decoded examples for a preprocessor.

        Args:
          examples: The examples, the same in every call.
          preprocessor: Preprocessor that decodes them.
        """
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
        cache: FeatureCache | None,
    ) -> FeatureStore:
        """Returns the store of features with a given basis.

        Args:
          examples: The examples, the same in every call.
          preprocessor: Preprocessor of the network.
          basis: Text of the values that the features depend on, as in `FeatureStore`.
          cache: Cache on disk, the same in every call; None keeps features in memory.
        """
        if basis not in self._stores:
            self._stores[basis] = FeatureStore(
                self.inputs(examples, preprocessor), examples.sha256, cache=cache, basis=basis
            )
        return self._stores[basis]
