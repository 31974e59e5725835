"""Every use of names that Keras and KerasHub keep private, behind documented functions.

These names carry no promise: a new release of Keras may break this file, and this file alone.
Keras is imported inside the functions, so that importing this module stays cheap.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from types import ModuleType

    import keras
    import tensorflow as tf


class NodeArguments(Protocol):
    """The arguments of one call in a functional model."""

    kwargs: Mapping[str, Any]

    def fill_in(
        self, tensors: Mapping[int, keras.KerasTensor]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns args and kwargs with each Keras tensor replaced by `tensors[id(tensor)]`."""


class Node(Protocol):
    """One call of an operation in a functional model.

    Attributes:
      operation: The layer or operation that is called.
      arguments: The arguments of the call.
      input_tensors: The Keras tensors that the call reads.
      outputs: The Keras tensors that the call returns.
    """

    operation: keras.Operation
    arguments: NodeArguments
    input_tensors: Sequence[keras.KerasTensor]
    outputs: Sequence[keras.KerasTensor]


def call_nodes(model: keras.Model) -> list[Node]:
    """Returns the calls of a functional model in topological order, without its inputs."""
    by_depth = model._nodes_by_depth
    return [
        node
        for depth in sorted(by_depth, reverse=True)
        for node in by_depth[depth]
        if not node.is_input
    ]


def is_functional(operation: keras.Operation) -> bool:
    """Returns whether an operation is a functional model, whose calls `call_nodes` lists."""
    return hasattr(operation, "_nodes_by_depth")


def functional_of(operation: keras.Operation) -> keras.Model | None:
    """Returns the functional model that an operation is, or that a `Sequential` built.

    None for layers, operations and models of other classes.
    """
    inner = getattr(operation, "_functional", None) or operation
    return inner if is_functional(inner) else None


def unfoldable(operation: keras.Operation) -> keras.Model | None:
    """Returns the functional model whose calls are all that an operation does.

    None for layers, and for models whose class overrides `call`, which may do anything.
    """
    import keras
    from keras.src.models.functional import Functional

    if getattr(type(operation), "call", None) in (Functional.call, keras.Sequential.call):
        return functional_of(operation)
    return None


def layers_inside(
    layer: keras.Operation, *, include_self: bool = True, recursive: bool = True
) -> list[keras.Layer]:
    """Returns a layer and the layers that it holds.

    Args:
      layer: A layer or a model. An operation that is no layer holds none.
      include_self: Whether the list begins with `layer`.
      recursive: Whether layers inside of layers are listed too.
    """
    flatten = getattr(layer, "_flatten_layers", None)
    return flatten(include_self=include_self, recursive=recursive) if flatten else []


def producing_operation(tensor: keras.KerasTensor) -> keras.Operation:
    """Returns the layer or operation whose output a Keras tensor is."""
    return tensor._keras_history.operation


def seed_generators(layer: keras.Layer) -> list[keras.random.SeedGenerator]:
    """Returns the seed generators that a layer tracks, those of its inner layers not included."""
    return list(getattr(layer, "_seed_generators", ()))


def track_variable(layer: keras.Layer, variable: keras.Variable) -> None:
    """Adds an existing variable to the weights of a layer that is not built yet."""
    layer._track_variable(variable)


def remove_variables(layer: keras.Layer, names: Iterable[str]) -> None:
    """Deletes attributes of a built layer that are variables, and removes them from its weights.

    Args:
      layer: A built layer, whose state Keras has locked.
      names: Names of the attributes.
    """
    layer._tracker.unlock()
    for name in names:
        layer._untrack_variable(getattr(layer, name))
        delattr(layer, name)
    layer._tracker.lock()


def share_variable(variable: tf.Variable, *, trainable: bool, name: str) -> keras.Variable:
    """Returns a Keras variable that has the storage of a TensorFlow variable, without a copy.

    Args:
      variable: The variable to share.
      trainable: Whether the Keras variable counts as trainable.
      name: Name of the Keras variable; it may hold neither `/` nor `:`.
    """
    import keras

    shared = keras.Variable(
        initializer=variable, trainable=trainable, dtype=variable.dtype.name, name=name
    )
    shared._value = variable
    return shared


def lora_variable(layer: keras.Layer) -> keras.Variable | None:
    """Returns the variable that a LoRA update of a layer would change, without the update.

    `layer.kernel` is a variable while the layer has no update, and a tensor with it.
    """
    import keras

    name = "_embeddings" if isinstance(layer, keras.layers.Embedding) else "_kernel"
    return getattr(layer, name, None)


def optimized_variables(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """Returns the model's variables that a built optimizer updates."""
    variables: list[keras.Variable] = optimizer._trainable_variables
    return variables


def optimizer_with_rates(
    base: type[keras.optimizers.Optimizer], multiplier: Callable[[keras.Variable], float]
) -> type[keras.optimizers.Optimizer]:
    """Returns a subclass of an optimizer that scales the learning rate of each variable.

    The rate of a variable is `schedule × multiplier(variable) × scale`, in the update and in
    decoupled weight decay. `learning_rate` is `schedule × scale`. Callbacks can read and set it;
    what they set replaces the schedule. Where `rate_assigned` becomes true, a compiled step must be
    compiled again: the graph of an optimizer that nobody assigns to stays as it is, bit by bit.
    `scale` (1 at the start) and the assigned rate are variables of the optimizer, and so part of
    its state in checkpoints.

    Args:
      base: A class of `keras.optimizers`.
      multiplier: Returns the factor of a model's variable.
    """
    from keras import ops

    class Scaled(base):  # type: ignore[misc, valid-type]
        def build(self, variables: Sequence[keras.Variable]) -> None:
            self._multipliers = [multiplier(variable) for variable in variables]
            super().build(variables)
            self.rate_assigned = False
            self.scale = self.add_variable((), "ones", "float32", name="scale")
            self._assigned = self.add_variable((), "zeros", "float32", name="assigned_rate")

        def _schedule(self) -> Any:
            if self.built and self.rate_assigned:
                return self._assigned
            return self._get_current_learning_rate()

        @property
        def learning_rate(self) -> Any:
            return self._schedule() * self.scale if self.built else self._schedule()

        @learning_rate.setter
        def learning_rate(self, value: Any) -> None:
            if self.built:
                self._assigned.assign(value / self.scale)
                self.rate_assigned = True
            else:
                base.learning_rate.fset(self, value)

        def _factor(self, variable: keras.Variable) -> Any:
            return self._multipliers[self._get_variable_index(variable)] * self.scale

        def _backend_update_step(
            self, grads: Any, trainable_variables: Any, learning_rate: Any
        ) -> Any:
            # Keras passes `learning_rate`, which includes the scale that `_factor` has too.
            return super()._backend_update_step(grads, trainable_variables, self._schedule())

        def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> Any:
            return super().update_step(gradient, variable, learning_rate * self._factor(variable))

        def _apply_weight_decay(self, variables: Sequence[keras.Variable]) -> None:
            if not self.weight_decay:
                return
            for variable in variables:
                if self._use_weight_decay(variable):
                    rate = ops.cast(self._schedule() * self._factor(variable), variable.dtype)
                    variable.assign(variable - variable * rate * self.weight_decay)

    # Saved models name the class of Keras, so that they load without this package.
    Scaled.__name__, Scaled.__module__ = base.__name__, base.__module__
    return Scaled


@contextlib.contextmanager
def application_without_download(module: ModuleType) -> Iterator[None]:
    """Makes `weights="imagenet"` build the network for these weights without loading them.

    Keras builds the first EfficientNet with one layer more when it downloads its weights; a
    weights file, a stored run and random weights must find that same network.

    Args:
      module: The module of `keras.applications` that defines the constructor.
    """
    from unittest import mock

    import keras

    with (
        mock.patch.object(module.file_utils, "get_file", return_value=""),
        mock.patch.object(keras.Model, "load_weights", return_value=None),
    ):
        yield


@contextlib.contextmanager
def duplicate_container_ignored() -> Iterator[None]:
    """Silences Keras's warning that a functional model reaches its layers in a second way.

    Missing weights are an error of `load_weights` all the same.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipping nested container at '_operations_by_depth")
        yield


def set_feedforward_activation(
    block: keras.Layer, activation: Callable[[keras.KerasTensor], keras.KerasTensor]
) -> None:
    """Sets the activation of a KerasHub transformer block that has one feed-forward layer.

    Args:
      block: A `TransformerEncoder` or `TransformerDecoder`; other layers stay as they are.
      activation: A serializable function of a tensor.
    """
    dense = getattr(block, "_feedforward_intermediate_dense", None)
    if dense is not None:
        block.activation = dense.activation = activation


def is_fast_wordpiece(tokenizer: Any) -> bool:
    """Returns whether a KerasHub tokenizer runs TensorFlow Text's fast WordPiece."""
    return getattr(tokenizer, "_fast_word_piece", None) is not None


def is_sentencepiece(tokenizer: Any) -> bool:
    """Returns whether a KerasHub tokenizer runs TensorFlow Text's SentencePiece."""
    return getattr(tokenizer, "_sentence_piece", None) is not None


def set_sentencepiece_resource(tokenizer: Any, resource: Any) -> None:
    """Replaces the TensorFlow resource that holds the model of a SentencePiece tokenizer.

    Args:
      tokenizer: A KerasHub tokenizer for which `is_sentencepiece` holds.
      resource: A `TrackableResource` of a SentencePiece model.
    """
    tokenizer._sentence_piece._model_resource = resource
