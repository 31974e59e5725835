"""What runs on the same data have in common and compute once: backbones, inputs, features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tftransfer.backbones.cache import Shelf
from tftransfer.data.examples import Examples
from tftransfer.data.input_pipeline import Inputs
from tftransfer.features.disk_cache import FeatureCache
from tftransfer.features.store import PrefixStore
from tftransfer.preprocessing import Form


class Shared:
    """Of runs one after another on the same examples; a run on its own has one to itself.

    Attributes:
      shelf: of backbones.
      before: what is known of a network before training, by what it depends on.
    """

    def __init__(self, shelf: Shelf | None = None) -> None:
        self.shelf = shelf or Shelf()
        self.before: dict[Any, dict[str, Any]] = {}
        self._inputs: dict[str, Inputs] = {}
        self._stores: dict[str, PrefixStore] = {}

    def inputs(self, examples: Examples, form: Form) -> Inputs:
        """The decoded examples; they are always the same."""
        key = repr((type(form).__name__, form.basis))
        if key not in self._inputs:
            self._inputs[key] = Inputs(examples, form)
        return self._inputs[key]

    def store(
        self, examples: Examples, form: Form, basis: str, *, seed: int, cache: FeatureCache | None,
        say: Callable[[str], None],
    ) -> PrefixStore:  # fmt: skip
        """The store of features with this `basis`; seed and cache are always the same."""
        if basis not in self._stores:
            self._stores[basis] = PrefixStore(
                self.inputs(examples, form), examples.sha256, seed, say, cache=cache, basis=basis
            )
        return self._stores[basis]
