"""Cuts a functional model into stages where its spatial resolution falls.

No tables of layer names: the graph itself is read. Walking the operations in
topological order, a point is a candidate where few tensors are alive (one, or
two in NASNet, whose cells read the two cells before them) and all have the same
stride, that is, down-sampling relative to the input. A stage ends at the last
candidate of its stride. Two refinements keep stages as the field draws them:

  * when a pooling layer alone lowers the resolution, it belongs to the stage it closes;
  * a convolution that only widens the channels for the next down-sampling block
    (the expansion of an inverted residual) belongs to that block.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from tftransfer.utils.keras_internals import call_nodes

_MAX_ALIVE = 2


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stretch of the backbone.

    Attributes:
      name: `stage1` is the one next to the input.
      layers: the Keras layers that run in it, in topological order.
      outputs: the Keras tensors that cross its end, usually one.
      stride: how much smaller than the input its outputs are, along one side.
    """

    name: str
    layers: tuple[Any, ...]
    outputs: tuple[Any, ...]
    stride: float


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    position: int  # after this node
    tensors: tuple[Any, ...]
    stride: float
    width: int  # channels over all its tensors
    pooling: bool  # made by a pooling layer
    convolutions: int  # number of them before this point


def cut_into_stages(model: keras.Model) -> tuple[Stage, ...]:
    """The stages of a functional model with one input, in order; they partition its layers."""
    nodes = call_nodes(model)
    strides = _strides(model, nodes)
    ends = _choose_ends(_candidates(model, nodes, strides))
    last = _Candidate(
        position=len(nodes) - 1,
        tensors=tuple(model.outputs),
        convolutions=0,
        width=0,
        pooling=False,
        stride=max(strides[id(t)] for t in model.outputs),
    )
    return _build_stages(nodes, [*ends, last])


def cut_after(model: keras.Model, names: Sequence[str]) -> tuple[Stage, ...]:
    """The stages of a functional model that end at the layers of these names.

    Args:
      model: with one input.
      names: of layers, in order; the last is the model's own output.
    """
    nodes = call_nodes(model)
    strides = _strides(model, nodes)
    ends = [
        _Candidate(
            position=position,
            tensors=tuple(node.outputs),
            convolutions=0,
            width=0,
            pooling=False,
            stride=strides[id(node.outputs[0])],
        )
        for position, node in enumerate(nodes)
        if node.operation.name in names
    ]
    return _build_stages(nodes, ends)


def _strides(model: keras.Model, nodes: Sequence[Any]) -> dict[int, float]:
    strides = {id(tensor): 1.0 for tensor in model.inputs}
    for node in nodes:
        incoming = min(strides[id(tensor)] for tensor in node.input_tensors)
        for tensor in node.outputs:
            strides[id(tensor)] = incoming * _down_sampling(node.operation)
    return strides


def _down_sampling(operation: Any) -> float:
    if isinstance(operation, (keras.Sequential,)):
        return math.prod(_down_sampling(layer) for layer in operation.layers)
    if type(operation).__name__.startswith("Global"):
        return math.inf
    stride = getattr(operation, "strides", 1)
    return float(max(stride) if isinstance(stride, (tuple, list)) else stride or 1)


def _candidates(
    model: keras.Model, nodes: Sequence[Any], strides: dict[int, float]
) -> list[_Candidate]:
    last_use: dict[int, int] = {id(tensor): len(nodes) for tensor in model.outputs}
    for position, node in enumerate(nodes):
        for tensor in node.input_tensors:
            last_use[id(tensor)] = max(last_use.get(id(tensor), -1), position)
    alive: dict[int, Any] = {id(tensor): tensor for tensor in model.inputs}
    found, convolutions = [], 0
    for position, node in enumerate(nodes[:-1]):
        alive.update({id(tensor): tensor for tensor in node.outputs})
        alive = {key: t for key, t in alive.items() if last_use.get(key, -1) > position}
        convolutions += "Conv" in type(node.operation).__name__
        if len(alive) <= _MAX_ALIVE and len({strides[key] for key in alive}) == 1:
            found.append(
                _Candidate(
                    position=position,
                    tensors=tuple(alive.values()),
                    stride=strides[next(iter(alive))],
                    width=sum(tensor.shape[-1] or 0 for tensor in alive.values()),
                    pooling="Pooling" in type(node.operation).__name__ and len(alive) == 1,
                    convolutions=convolutions,
                )
            )
    return found


def _choose_ends(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    groups: dict[float, list[_Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.stride, []).append(candidate)
    falls = [stride for stride in sorted(groups) if stride < math.inf]
    ends = []
    for stride, lower in itertools.pairwise(falls):
        if groups[lower][0].pooling:
            ends.append(groups[lower][0])
        elif stride > 1:
            ends.append(_last_narrow(groups[stride]))
    return ends


def _last_narrow(group: Sequence[_Candidate]) -> _Candidate:
    fewest = min(len(candidate.tensors) for candidate in group)
    single = [candidate for candidate in group if len(candidate.tensors) == fewest]
    near = [c for c in single if c.convolutions >= single[-1].convolutions - 1]
    narrowest = min(candidate.width for candidate in near)
    return [candidate for candidate in near if candidate.width == narrowest][-1]


def _build_stages(nodes: Sequence[Any], ends: Sequence[_Candidate]) -> tuple[Stage, ...]:
    stages: list[Stage] = []
    start = 0
    owned: set[int] = set()
    for end in sorted(ends, key=lambda candidate: candidate.position):
        operations = [node.operation for node in nodes[start : end.position + 1]]
        layers = []
        for operation in operations:
            if isinstance(operation, keras.layers.Layer) and id(operation) not in owned:
                owned.add(id(operation))
                layers.append(operation)
        if not any(layer.weights for layer in layers) and end is not ends[-1]:
            owned -= {id(layer) for layer in layers}
            continue
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
