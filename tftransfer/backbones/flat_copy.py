"""A copy of a `keras.Model` as one functional model: nested models unfolded, no top."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import keras

from tftransfer.checkpoints.architecture import check_class, not_storable
from tftransfer.core.typing import KerasLayer, KerasModel, Tensor
from tftransfer.utils.errors import UserError
from tftransfer.utils.keras_internals import Node, call_nodes, unfoldable

# Random layers of Keras besides those whose names begin with "Random".
_AUGMENTATIONS = ("AugMix", "CutMix", "MixUp", "RandAugment")
_AVERAGE_POOLINGS = ("GlobalAveragePooling1D", "GlobalAveragePooling2D")
_MAX_POOLINGS = ("GlobalMaxPooling1D", "GlobalMaxPooling2D")
_CLASSIFIER = "Dense"
# Layers and operations between a global pooling and the output that belong to a classifier.
_TOP = (
    _CLASSIFIER,
    "Activation",
    "BatchNormalization",
    "Dropout",
    "Flatten",
    "Identity",
    "LayerNormalization",
    "ReLU",
    "Relu",
    "Reshape",
    "Sigmoid",
    "Softmax",
    "Squeeze",
    "UnitNormalization",
)
# What may follow the last Dense layer, or stand directly before it, as part of the top.
_AFTER_CLASSIFIER = ("Activation", "Sigmoid", "Softmax")
_BEFORE_CLASSIFIER = ("Dropout", "Flatten")


@dataclass(frozen=True, kw_only=True)
class FlatCopy:
    """A functional copy of a model, without its weights.

    Attributes:
      model: The copy.
      sources: The given model's layer for each layer of the copy, by the copy's name.
      augmentations: Names of random augmentation layers that were removed.
      top: Names of the layers of the classifier that were removed, from input to output.
    """

    model: KerasModel
    sources: dict[str, KerasLayer]
    augmentations: tuple[str, ...]
    top: tuple[str, ...]


def flat_copy(model: KerasModel) -> FlatCopy:
    """Copies a functional or sequential model with one input and one output.

    Models inside of it are unfolded, so that it can be cut into stages like any other; an argument
    `training` of their calls is dropped, as Keras ignores it in training. Random augmentation
    layers are removed, since they would stay active in an export, and so is a classifier: what
    follows the last global average pooling, or else the last Dense layer.

    Args:
      model: The model; it is not changed.
    """
    copier = _Copier()
    (given,) = model.inputs
    tensor = keras.Input(batch_shape=given.shape, dtype=given.dtype, name="pixels")
    (output,) = copier.run(unfoldable(model), [tensor], "")
    whole = keras.Model(tensor, output, name=model.name)
    output, top = _without_top(whole)
    copy = keras.Model(tensor, output, name=model.name) if top else whole
    if not any(layer.weights for layer in copy.layers):
        raise UserError(
            f"The keras.Model {model.name} has no weights below its classifier.",
            "Give a model with layers whose weights can be transferred.",
        )
    kept = {layer.name for layer in copy.layers}
    return FlatCopy(
        model=copy,
        sources={name: layer for name, layer in copier.sources.items() if name in kept},
        augmentations=tuple(copier.augmentations),
        top=top,
    )


@dataclass
class _Copier:
    """Copies operations, each once, under unique names.

    Attributes:
      sources: The given layer for each copied one, by the copy's name.
      augmentations: Names of the layers that were skipped.
    """

    sources: dict[str, KerasLayer] = field(default_factory=dict)
    augmentations: list[str] = field(default_factory=list)
    _copies: dict[int, keras.Operation] = field(default_factory=dict)
    _names: set[str] = field(default_factory=lambda: {"pixels"})

    def run(self, model: KerasModel, tensors: Sequence[Tensor], owner: str) -> list[Tensor]:
        """Calls the copies of a model's operations on other tensors, and returns its outputs.

        Args:
          model: A functional model.
          tensors: Keras tensors in the place of its inputs.
          owner: Name of the model, for names that are not unique; "" for the outermost.
        """
        known = dict(zip(map(id, model.inputs), tensors, strict=True))
        for node in call_nodes(model):
            outputs = self._call(node, known, owner)
            known.update(zip(map(id, node.outputs), outputs, strict=True))
        return [known[id(tensor)] for tensor in model.outputs]

    def _call(self, node: Node, known: dict[int, Tensor], owner: str) -> list[Tensor]:
        args, kwargs = node.arguments.fill_in(known)
        inner = unfoldable(node.operation)
        if inner is not None:
            return self.run(inner, keras.tree.flatten(args[0]), node.operation.name)
        if _is_augmentation(node.operation):
            self.augmentations.append(node.operation.name)
            return keras.tree.flatten(args[0])
        kwargs.pop("training", None)
        return keras.tree.flatten(self._copy(node.operation, owner)(*args, **kwargs))

    def _copy(self, operation: keras.Operation, owner: str) -> keras.Operation:
        if id(operation) not in self._copies:
            name = self._unique(operation.name, owner)
            self._copies[id(operation)] = _copy_of(operation, name)
            if isinstance(operation, keras.layers.Layer):
                self.sources[name] = operation
        return self._copies[id(operation)]

    def _unique(self, name: str, owner: str) -> str:
        numbered = (f"{owner or 'layer'}_{name}_{number}" for number in itertools.count(2))
        names = itertools.chain([name, f"{owner}_{name}" if owner else name], numbered)
        unique = next(each for each in names if each not in self._names)
        self._names.add(unique)
        return unique


def _copy_of(operation: keras.Operation, name: str) -> keras.Operation:
    check_class(type(operation).__name__, operation.name)
    try:
        return type(operation).from_config({**operation.get_config(), "name": name})
    except (TypeError, ValueError, NotImplementedError) as error:
        raise not_storable(f"layer {operation.name}", error) from None


def _is_augmentation(operation: keras.Operation) -> bool:
    name = type(operation).__name__
    of_keras = type(operation).__module__.partition(".")[0] == "keras"
    is_layer = isinstance(operation, keras.layers.Layer)
    return is_layer and of_keras and (name.startswith("Random") or name in _AUGMENTATIONS)


def _without_top(model: KerasModel) -> tuple[Tensor, tuple[str, ...]]:
    """Returns the tensor below a model's classifier, and the names of the classifier's layers."""
    chain = _last_calls(model)
    count = _length_of_top(chain)
    if not count:
        return model.outputs[0], ()
    names = tuple(node.operation.name for node in reversed(chain[:count]))
    return chain[count - 1].input_tensors[0], names


def _last_calls(model: KerasModel) -> list[Node]:
    """Returns the calls that follow one another without a branch, from the output backwards."""
    nodes = call_nodes(model)
    made_by = {id(tensor): node for node in nodes for tensor in node.outputs}
    readers: dict[int, int] = {}
    for tensor in itertools.chain.from_iterable(node.input_tensors for node in nodes):
        readers[id(tensor)] = readers.get(id(tensor), 0) + 1
    chain: list[Node] = []
    tensor = model.outputs[0]
    while id(tensor) in made_by:
        node = made_by[id(tensor)]
        if (
            len(node.input_tensors) != 1
            or len(node.outputs) != 1
            or (chain and readers[id(tensor)] != 1)
        ):
            break
        chain.append(node)
        tensor = node.input_tensors[0]
    return chain


def _length_of_top(chain: Sequence[Node]) -> int:
    """Returns how many of the last calls, from the output backwards, are a classifier."""
    for count, node in enumerate(chain):
        kind = type(node.operation).__name__
        if kind in _AVERAGE_POOLINGS:
            return count + 1
        if kind in _MAX_POOLINGS:  # the package's own pooling is an average
            return count
        if kind not in _TOP and not _is_convolution_of_one_pixel(node):
            break
    kinds = [type(node.operation).__name__ for node in chain]
    count = len(list(itertools.takewhile(_AFTER_CLASSIFIER.__contains__, kinds)))
    if kinds[count : count + 1] != [_CLASSIFIER] or len(chain[count].outputs[0].shape) != 2:
        return 0
    below = itertools.takewhile(_BEFORE_CLASSIFIER.__contains__, kinds[count + 1 :])
    return count + 1 + len(list(below))


def _is_convolution_of_one_pixel(node: Node) -> bool:
    """Returns whether a call is a Dense layer in the form of a convolution, as in MobileNet."""
    shape = tuple(node.input_tensors[0].shape)
    return type(node.operation).__name__ == "Conv2D" and shape[1:3] == (1, 1)
