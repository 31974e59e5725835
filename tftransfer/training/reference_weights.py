"""The network as it was, for losses that compare with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tftransfer.core.block_patterns import match_blocks
from tftransfer.models.network import Network


class Reference:
    """The network's weights as they were, for losses that compare with them."""

    def __init__(self, network: Network):
        self._network = network
        self._own = self._values_but({})
        self.values = self._own

    def begin_phase(self) -> None:
        """Takes in variables that a phase adds, as they begin: low-rank updates, at nothing."""
        self.values = self._own | self._values_but(self._own)

    def _values_but(self, known: Mapping[int, Any]) -> dict[int, Any]:
        return {
            id(v): tf.constant(v.numpy())
            for block in self._network.blocks
            for v in self._network.variables(block)
            if id(v) not in known
        }

    def pairs(self, pattern: str) -> list[tuple[Any, Any]]:
        """(weight, value at the start) of what trains in the matching blocks.

        Of a low-rank update the weight is the kernel with it, as its factors mean nothing alone.
        """
        found: list[tuple[Any, Any]] = []
        for block in match_blocks(pattern, list(self._network.blocks)):
            updates = self._network.lora_kernels(block)
            found += [(each.whole, self.values[id(each.kernel)]) for each in updates]
            factors = {id(factor) for each in updates for factor in each.factors}
            free = self._network.variables(block, trainable=True)
            found += [(v, self.values[id(v)]) for v in free if id(v) not in factors]
        return found

    def outputs(self, suffix: keras.Model, inputs: Sequence[Any]) -> Mapping[str, Any]:
        """What the suffix gave, in inference, with the weights as they were."""

        def then(variables: Iterable[Any]) -> list[Any]:
            return [self.values.get(id(v), v.value) for v in variables]

        outputs, _ = suffix.stateless_call(
            then(suffix.trainable_variables),
            then(suffix.non_trainable_variables),
            list(inputs),
            training=False,
        )
        return {name: tf.stop_gradient(tensor) for name, tensor in outputs.items()}
