"""KerasHub's transformers as one model of one input, cut into stages after their blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras

from tftransfer.backbones.pooling import MaskOn
from tftransfer.backbones.stages import Stage
from tftransfer.backbones.text.layers import PaddingMask, Segments, TokenIds
from tftransfer.preprocessing.text.subword_preprocessor import PADDING
from tftransfer.utils.errors import UserError
from tftransfer.utils.keras_internals import call_nodes

_INPUTS = ("token_ids", "padding_mask", "segment_ids")


def one_input_model(
    transformer: keras.Model, length: int, padding: int
) -> tuple[keras.Model, tuple[Stage, ...]]:
    """The layers of a KerasHub backbone, run on `tokens`, int32 [n, length], with -1 for padding.

    `stage1` is the embedding, and each block is a stage; blocks that share weights are one, and so
    are those between which more passes than a sequence. What follows the last block belongs to its
    stage. Each stage ends in hidden states [n, length, d] and the mask, float32 [n, length].

    Args:
      transformer: functional, of inputs that are named as KerasHub names them.
      length: of the sequences.
      padding: id that the embedding is given in the places of padding.

    Raises:
      UserError: the model takes more than text.
    """
    tokens = keras.Input((length,), dtype="int32", name="tokens")
    first: list[Any] = [PaddingMask(PADDING, name="mask"), TokenIds(PADDING, padding, name="ids")]
    mask = first[0](tokens)
    fed = {"token_ids": first[1](tokens), "padding_mask": mask}
    inputs = _inputs(transformer)
    if "segment_ids" in inputs:
        first.append(Segments(name="segments"))
        fed["segment_ids"] = first[-1](tokens)
    known = {id(tensor): fed[name] for name, tensor in inputs.items()}
    output = _sequence(transformer)
    nodes = _needed(transformer, output)
    ends = [*_ends(nodes, transformer, output, list(known)), len(nodes)]
    stages: list[Stage] = []
    for number, (start, end) in enumerate(zip([0, *ends], ends), 1):
        _run(nodes[start:end], known)
        layers = _layers(nodes[start:end])
        if number == 1:
            layers = first + layers
        else:
            layers.append(MaskOn(name=f"mask{number}"))
            mask = layers[-1](mask)
            known.update({id(x): mask for n, x in inputs.items() if n == "padding_mask"})
        tensor = known[id(output if end == len(nodes) else nodes[end - 1].outputs[0])]
        stages.append(
            Stage(name=f"stage{number}", layers=tuple(layers), outputs=(tensor, mask), stride=1.0)
        )
    return keras.Model(tokens, list(stages[-1].outputs), name="transformer"), tuple(stages)


def _run(nodes: Iterable[Any], known: dict[int, Any]) -> None:
    """Calls the nodes' operations on what stands for their tensors, by id, and adds to it."""
    for node in nodes:
        args, kwargs = node.arguments.fill_in(known)
        made = keras.tree.flatten(node.operation(*args, **kwargs))
        known.update(zip(map(id, node.outputs), made, strict=True))


def blocks_of(transformer: keras.Model) -> list[Any]:
    """The transformer's blocks, each once."""
    found = keras.tree.flatten(getattr(transformer, "transformer_layers", []))
    return list({id(layer): layer for layer in found}.values())


def _inputs(transformer: keras.Model) -> dict[str, Any]:
    inputs = transformer.input
    named = inputs if isinstance(inputs, dict) else {x.name: x for x in keras.tree.flatten(inputs)}
    others = [name for name in named if name not in _INPUTS]
    if others or "token_ids" not in named:
        raise UserError(
            f"{type(transformer).__name__} takes {', '.join(named)}, which is more than a text.",
            "Take an encoder or a decoder of text alone, such as BERT, RoBERTa or GPT-2.",
        )
    return named


def _sequence(transformer: keras.Model) -> Any:
    output = transformer.output
    return output["sequence_output"] if isinstance(output, dict) else output


def _needed(transformer: keras.Model, output: Any) -> list[Any]:
    """Nodes on the way to an output, in topological order."""
    wanted, found = {id(output)}, []
    for node in reversed(call_nodes(transformer)):
        if any(id(tensor) in wanted for tensor in node.outputs):
            wanted |= {id(tensor) for tensor in node.input_tensors}
            found.append(node)
    return found[::-1]


def _ends(
    nodes: Sequence[Any], transformer: keras.Model, output: Any, inputs: Sequence[int]
) -> list[int]:
    """Positions of nodes before which a new stage begins: the first block's, and each other's."""
    blocks = {id(layer) for layer in blocks_of(transformer)}
    last = {id(node.operation): at for at, node in enumerate(nodes) if id(node.operation) in blocks}
    if not last:
        return []
    begin = min(at for at, node in enumerate(nodes) if id(node.operation) in blocks)
    ends = sorted({begin, *(at + 1 for at in last.values())} - {max(last.values()) + 1})
    return [end for end in ends if end and _alone(nodes, end, output, inputs)]


def _alone(nodes: Sequence[Any], end: int, output: Any, inputs: Sequence[int]) -> bool:
    """Whether one tensor alone, besides the inputs, passes from before a position to after it."""
    made = {id(tensor) for node in nodes[:end] for tensor in node.outputs}
    read = {id(tensor) for node in nodes[end:] for tensor in node.input_tensors} | {id(output)}
    passing = made & read
    first = nodes[end - 1].outputs[0]
    ids_go_on = {id(x) for node in nodes[end:] for x in node.input_tensors} & set(inputs)
    masks = {id(x) for x in _mask_inputs(nodes[end:])}
    return passing == {id(first)} and ids_go_on <= masks


def _mask_inputs(nodes: Iterable[Any]) -> Iterable[Any]:
    for node in nodes:
        for name in ("padding_mask", "decoder_padding_mask", "attention_mask", "mask"):
            tensor = node.arguments.kwargs.get(name)
            if tensor is not None:
                yield tensor


def _layers(nodes: Iterable[Any]) -> list[Any]:
    found = {
        id(node.operation): node.operation
        for node in nodes
        if isinstance(node.operation, keras.layers.Layer)
    }
    return list(found.values())
