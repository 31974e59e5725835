"""Ways to run a frozen network: as a graph, with constant weights, by length, in LiteRT."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf

from tftransfer.core.typing import Array, Tensor, TensorLike
from tftransfer.data.length_bucketing import Sequences, run_by_length
from tftransfer.features.litert import UnsupportedModelError, to_litert
from tftransfer.models.inference import casting, input_specs, traced

Forward: TypeAlias = Callable[..., list[Array]]
ConcreteFunction: TypeAlias = "tf.types.experimental.ConcreteFunction"

GRAPH = "graph"
CONSTANTS = "constants"
BY_LENGTH = "constants by length"
LITERT = "litert"

# What the builders below raise for a network with operations that they do not support.
BUILD_ERRORS = (
    UnsupportedModelError,
    NotImplementedError,
    TypeError,
    ValueError,
    tf.errors.OpError,
)


class Candidate:
    """A model to run, traced at most once, whatever number of variants are built of it.

    Args:
      model: Functional model.
      sequences: Padding and lengths of its inputs, where these are sequences.
    """

    def __init__(self, model: keras.Model, sequences: Sequences | None = None):
        self.model, self.sequences = model, sequences

    @property
    def input_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the inputs, without the batch axis."""
        return [tuple(tensor.shape[1:]) for tensor in self.model.inputs]

    @functools.cached_property
    def graph(self) -> ConcreteFunction:
        """A concrete function from the inputs to a flat list of outputs."""
        return traced(self.model, tf.nest.flatten)

    @functools.cached_property
    def frozen_graph(self) -> ConcreteFunction:
        """A concrete function like `graph`, without variables."""
        found = self.with_constants()
        return found if not found.captured_inputs else _without_variables(self.graph)

    def with_constants(self, *, any_length: bool = False) -> ConcreteFunction:
        """Returns a concrete function like `graph`, with the weights as constants.

        Args:
          any_length: Whether the inputs are sequences of any length.
        """
        model = self.model
        weights = [
            [variable.numpy() for variable in variables]
            for variables in (model.trainable_variables, model.non_trainable_variables)
        ]

        def forward(*inputs: Tensor) -> list[Tensor]:
            values = [[tf.constant(array) for array in arrays] for arrays in weights]
            outputs, _ = model.stateless_call(*values, list(inputs), training=False)
            tensors: list[Tensor] = tf.nest.flatten(outputs)
            return tensors

        specs = input_specs(model, any_length=any_length)
        return tf.function(forward, autograph=False).get_concrete_function(*specs)


def _without_variables(function: ConcreteFunction) -> ConcreteFunction:
    """Freezes what Keras cannot call with other weights, such as a module from TF-Hub."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    return convert_variables_to_constants_v2(function)


def graph_forward(candidate: Candidate) -> Forward:
    """Returns the model as a graph, with its weights as variables."""
    return _in_tensorflow(candidate.graph, candidate.model)


def constants_forward(candidate: Candidate) -> Forward:
    """Returns the model as a graph with constant weights.

    Grappler then folds BatchNorm into the convolutions.
    """
    return _in_tensorflow(candidate.frozen_graph, candidate.model)


def by_length_forward(candidate: Candidate) -> Forward:
    """Returns a graph with constant weights that runs sequences of similar length without padding.

    Raises:
      ValueError: The inputs are no sequences.
    """
    if candidate.sequences is None:
        raise ValueError("The inputs are no sequences.")
    length = candidate.model.inputs[0].shape[1]
    whole = _in_tensorflow(candidate.with_constants(any_length=True), candidate.model)
    return run_by_length(whole, length, candidate.sequences.padding)


def litert_forward(candidate: Candidate) -> Forward:
    """Returns the model in LiteRT, one interpreter per core."""
    return to_litert(candidate.frozen_graph, candidate.input_shapes)


def _in_tensorflow(function: ConcreteFunction, model: keras.Model) -> Forward:
    call = casting(function, model)

    def forward(*inputs: TensorLike) -> list[Array]:
        return [np.asarray(output) for output in tf.nest.flatten(call(*inputs))]

    return forward


VARIANTS: dict[str, Callable[[Candidate], Forward]] = {
    LITERT: litert_forward,
    CONSTANTS: constants_forward,
    BY_LENGTH: by_length_forward,
    GRAPH: graph_forward,
}
