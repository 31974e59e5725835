"""Cuts a functional model into stages where its spatial resolution falls.

There are no tables of layer names: the graph itself is read. In topological order, a point between
two calls is a candidate if few tensors are alive there (one, or two in NASNet, whose cells read the
two cells before them) and all have the same stride, that is, down-sampling relative to the input.
A stage ends at the last candidate of its stride. Two refinements keep stages as the literature
draws them:

  * when a pooling layer alone lowers the resolution, it belongs to the stage it closes;
  * a convolution that only widens the channels for the next down-sampling block
    (the expansion of an inverted residual) belongs to that block.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras

from tftransfer.core.typing import KerasLayer, KerasModel, Tensor
from tftransfer.utils.keras_internals import Node, call_nodes

if TYPE_CHECKING:
    from keras import Operation

_MAX_TENSORS_ALIVE = 2


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Consecutive layers of a backbone.

    Attributes:
      name: `stage1` for the stage next to the input, and so on.
      layers: The Keras layers of the stage, in topological order.
      outputs: The Keras tensors that leave the stage, usually one.
      stride: Down-sampling of the outputs relative to the input, along one side.
    """

    name: str
    layers: tuple[KerasLayer, ...]
    outputs: tuple[Tensor, ...]
    stride: float


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """A point at which a stage may end.

    Attributes:
      position: Index of the call after which the point is.
      tensors: The Keras tensors that are alive there.
      stride: Down-sampling of these tensors.
      width: Channels of all of them.
      pooling: Whether a pooling layer made the only one.
      convolutions: Number of convolutions before the point.
    """

    position: int
    tensors: tuple[Tensor, ...]
    stride: float
    width: int = 0
    pooling: bool = False
    convolutions: int = 0


def cut_into_stages(model: KerasModel) -> tuple[Stage, ...]:
    """Returns the stages of a functional model with one input; they partition its layers.

    Example:
      >>> import keras
      >>> model = keras.applications.MobileNetV2(weights=None, include_top=False)
      >>> [int(stage.stride) for stage in cut_into_stages(model)]
      [2, 4, 8, 16, 32]
    """
    nodes = call_nodes(model)
    strides = _strides(model, nodes)
    last = _Candidate(
        position=len(nodes) - 1,
        tensors=tuple(model.outputs),
        stride=max(strides[id(tensor)] for tensor in model.outputs),
        pooling=_is_pooling(nodes[-1].operation),
    )
    return _build_stages(nodes, [*_choose_ends(_candidates(model, nodes, strides), last), last])


def cut_after(model: KerasModel, names: Sequence[str]) -> tuple[Stage, ...]:
    """Returns the stages of a functional model that end at given layers.

    Args:
      model: A functional model with one input.
      names: Names of layers, in order; the last returns the model's output.
    """
    nodes = call_nodes(model)
    strides = _strides(model, nodes)
    ends = [
        _Candidate(
            position=position,
            tensors=tuple(node.outputs),
            stride=strides[id(node.outputs[0])],
        )
        for position, node in enumerate(nodes)
        if node.operation.name in names
    ]
    return _build_stages(nodes, ends)


def _strides(model: KerasModel, nodes: Sequence[Node]) -> dict[int, float]:
    """Returns the down-sampling of every tensor, by its id."""
    strides = {id(tensor): 1.0 for tensor in model.inputs}
    for node in nodes:
        incoming = min(strides[id(tensor)] for tensor in node.input_tensors)
        for tensor in node.outputs:
            strides[id(tensor)] = incoming * _down_sampling(node.operation)
    return strides


def _down_sampling(operation: Operation) -> float:
    if isinstance(operation, keras.Sequential):
        return math.prod(_down_sampling(layer) for layer in operation.layers)
    if type(operation).__name__.startswith("Global"):
        return math.inf
    stride = getattr(operation, "strides", 1)
    return float(max(stride) if isinstance(stride, (tuple, list)) else stride or 1)


def _candidates(
    model: KerasModel, nodes: Sequence[Node], strides: dict[int, float]
) -> list[_Candidate]:
    last_use: dict[int, int] = {id(tensor): len(nodes) for tensor in model.outputs}
    for position, node in enumerate(nodes):
        for tensor in node.input_tensors:
            last_use[id(tensor)] = max(last_use.get(id(tensor), -1), position)
    alive: dict[int, Tensor] = {id(tensor): tensor for tensor in model.inputs}
    found, convolutions = [], 0
    for position, node in enumerate(nodes[:-1]):
        alive.update({id(tensor): tensor for tensor in node.outputs})
        alive = {key: t for key, t in alive.items() if last_use.get(key, -1) > position}
        convolutions += "Conv" in type(node.operation).__name__
        if len(alive) <= _MAX_TENSORS_ALIVE and len({strides[key] for key in alive}) == 1:
            found.append(
                _Candidate(
                    position=position,
                    tensors=tuple(alive.values()),
                    stride=strides[next(iter(alive))],
                    width=sum(tensor.shape[-1] or 0 for tensor in alive.values()),
                    pooling=_is_pooling(node.operation) and len(alive) == 1,
                    convolutions=convolutions,
                )
            )
    return found


def _is_pooling(operation: Operation) -> bool:
    return "Pooling" in type(operation).__name__


def _choose_ends(candidates: Sequence[_Candidate], last: _Candidate) -> list[_Candidate]:
    """Returns the last candidate of each stride but the lowest resolution's.

    Args:
      candidates: Points before the last call.
      last: The point after it, where the last stage ends.
    """
    groups: dict[float, list[_Candidate]] = {}
    for candidate in [*candidates, last] if not last.pooling else candidates:
        groups.setdefault(candidate.stride, []).append(candidate)
    strides = [stride for stride in sorted(groups) if stride < math.inf]
    ends = []
    for stride, lower in itertools.pairwise(strides):
        if groups[lower][0].pooling:
            ends.append(groups[lower][0])
        elif stride > 1:
            ends.append(_last_narrow(groups[stride]))
    return ends


def _last_narrow(group: Sequence[_Candidate]) -> _Candidate:
    """Returns the narrowest of the last candidates: the one before a widening convolution."""
    fewest = min(len(candidate.tensors) for candidate in group)
    single = [candidate for candidate in group if len(candidate.tensors) == fewest]
    near = [c for c in single if c.convolutions >= single[-1].convolutions - 1]
    narrowest = min(candidate.width for candidate in near)
    return [candidate for candidate in near if candidate.width == narrowest][-1]


def _build_stages(nodes: Sequence[Node], ends: Sequence[_Candidate]) -> tuple[Stage, ...]:
    """Returns a stage per end; one without weights joins the next, unless it is the last."""
    stages: list[Stage] = []
    start = 0
    owned: set[int] = set()
    for end in sorted(ends, key=lambda candidate: candidate.position):
        layers = _new_layers(nodes[start : end.position + 1], owned)
        if not any(layer.weights for layer in layers) and end is not ends[-1]:
            continue
        owned |= {id(layer) for layer in layers}
        stages.append(
            Stage(
                name=f"stage{len(stages) + 1}",
                layers=tuple(layers),
                outputs=end.tensors,
                stride=end.stride,
            )
        )
        start = end.position + 1
    return tuple(stages)


def _new_layers(nodes: Sequence[Node], owned: set[int]) -> list[KerasLayer]:
    """Returns the layers that the calls use first, without those of earlier stages."""
    layers = {id(node.operation): node.operation for node in nodes}
    return [
        layer
        for key, layer in layers.items()
        if isinstance(layer, keras.layers.Layer) and key not in owned
    ]
