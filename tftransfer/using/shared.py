"""What runs on the same data have in common and compute once: backbones, pictures, features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tftransfer.parts.backbones.load import Shelf
from tftransfer.parts.data.examples import Examples
from tftransfer.parts.feature_cache import FeatureCache
from tftransfer.parts.pixels import Pixels
from tftransfer.parts.prefix import PrefixStore


class Shared:
    """Of runs one after another on the same examples; a run on its own has one to itself.

    Attributes:
      shelf: of backbones.
      baselines: by what they depend on.
    """

    def __init__(self, shelf: Shelf | None = None) -> None:
        self.shelf = shelf or Shelf()
        self.baselines: dict[Any, dict[str, Any]] = {}
        self._pixels: dict[int, Pixels] = {}
        self._stores: dict[str, PrefixStore] = {}

    def pixels(self, examples: Examples, size: int) -> Pixels:
        """The pictures at this size; `examples` are always the same."""
        if size not in self._pixels:
            self._pixels[size] = Pixels(examples, size)
        return self._pixels[size]

    def store(
        self, examples: Examples, size: int, basis: str, *, seed: int, cache: FeatureCache | None,
        say: Callable[[str], None],
    ) -> PrefixStore:  # fmt: skip
        """The store of features with this `basis`; seed and cache are always the same."""
        if basis not in self._stores:
            self._stores[basis] = PrefixStore(
                self.pixels(examples, size), examples.sha256, seed, say, cache=cache, basis=basis
            )
        return self._stores[basis]
