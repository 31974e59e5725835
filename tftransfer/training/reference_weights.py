"""The network as it was, for losses that compare with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import keras
import tensorflow as tf

from tftransfer.core.block_patterns import match_blocks
from tftransfer.core.typing import Tensor, Variable
from tftransfer.models.network import Network


class Reference:
    """A copy of the network's weights, made when the object is.

    Args:
      network: The network.

    Attributes:
      values: The copied value of each variable, by the variable's `id`.
    """

    def __init__(self, network: Network):
        self._network = network
        self._own = self._values_except({})
        self.values = self._own

    def begin_phase(self) -> None:
        """Adds the variables that a phase adds, such as low-rank updates, as they begin."""
        self.values = self._own | self._values_except(self._own)

    def _values_except(self, known: Mapping[int, Tensor]) -> dict[int, Tensor]:
        return {
            id(v): tf.constant(v.numpy())
            for block in self._network.blocks
            for v in self._network.variables(block)
            if id(v) not in known
        }

    def pairs(self, pattern: str) -> list[tuple[Tensor, Tensor]]:
        """Returns pairs (weight, reference value) of what trains in the matching blocks.

        The weight of a low-rank update is the updated kernel, as its factors mean nothing alone.
        """
        found: list[tuple[Tensor, Tensor]] = []
        for block in match_blocks(pattern, list(self._network.blocks)):
            updates = self._network.lora_kernels(block)
            found += [(each.whole, self.values[id(each.kernel)]) for each in updates]
            factors = {id(factor) for each in updates for factor in each.factors}
            others = self._network.variables(block, trainable=True)
            found += [(v, self.values[id(v)]) for v in others if id(v) not in factors]
        return found

    def outputs(self, model: keras.Model, inputs: Sequence[Tensor]) -> Mapping[str, Tensor]:
        """Returns the outputs of a submodel in inference with the copied weights, no gradients.

        Args:
          model: A submodel of the network.
          inputs: Its inputs.
        """

        def copied(variables: Iterable[Variable]) -> list[Tensor]:
            return [self.values.get(id(v), v.value) for v in variables]

        outputs, _ = model.stateless_call(
            copied(model.trainable_variables),
            copied(model.non_trainable_variables),
            list(inputs),
            training=False,
        )
        return {name: tf.stop_gradient(tensor) for name, tensor in outputs.items()}
