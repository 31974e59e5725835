"""KerasHub's transformers as one model of one input, cut into stages after their blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import keras

from tftransfer.backbones.layers import PassMask
from tftransfer.backbones.stages import Stage
from tftransfer.backbones.text.layers import PaddingMask, SegmentIds, TokenIds
from tftransfer.core.typing import KerasLayer, KerasModel, Tensor
from tftransfer.preprocessing.text.subword_preprocessor import PADDING
from tftransfer.utils.errors import UserError
from tftransfer.utils.keras_internals import Node, call_nodes

_INPUTS = ("token_ids", "padding_mask", "segment_ids")
_MASK_ARGUMENTS = ("padding_mask", "decoder_padding_mask", "attention_mask", "mask")


def one_input_model(
    transformer: KerasModel, length: int, padding: int
) -> tuple[KerasModel, tuple[Stage, ...]]:
    """Runs the layers of a KerasHub backbone on `tokens`, int32 [n, length], -1 for padding.

    `stage1` is the embedding, and each block is a stage. Blocks that share weights form one stage,
    and so do those between which more than one sequence passes. What follows the last block belongs
    to its stage. Each stage returns hidden states [n, length, d] and the mask, float32 [n, length].

    Args:
      transformer: Functional model whose inputs have KerasHub's names.
      length: Length of the sequences.
      padding: Id that the embedding receives for padding.

    Returns:
      The model and its stages.

    Raises:
      UserError: The model has inputs besides a text.
    """
    tokens = keras.Input((length,), dtype="int32", name="tokens")
    first: list[KerasLayer] = [
        PaddingMask(PADDING, name="mask"),
        TokenIds(PADDING, padding, name="ids"),
    ]
    mask = first[0](tokens)
    values = {"token_ids": first[1](tokens), "padding_mask": mask}
    inputs = _inputs(transformer)
    if "segment_ids" in inputs:
        first.append(SegmentIds(name="segments"))
        values["segment_ids"] = first[-1](tokens)
    known = {id(tensor): values[name] for name, tensor in inputs.items()}
    output = _sequence_output(transformer)
    nodes = _nodes_before(transformer, output)
    ends = [*_ends(nodes, transformer, output, list(known)), len(nodes)]
    stages: list[Stage] = []
    for number, (start, end) in enumerate(zip([0, *ends], ends), 1):
        _run(nodes[start:end], known)
        layers = _layers(nodes[start:end])
        if number == 1:
            layers = first + layers
        else:
            layers.append(PassMask(name=f"mask{number}"))
            mask = layers[-1](mask)
            known.update({id(x): mask for name, x in inputs.items() if name == "padding_mask"})
        tensor = known[id(output if end == len(nodes) else nodes[end - 1].outputs[0])]
        stages.append(
            Stage(name=f"stage{number}", layers=tuple(layers), outputs=(tensor, mask), stride=1.0)
        )
    return keras.Model(tokens, list(stages[-1].outputs), name="transformer"), tuple(stages)


def _run(nodes: Iterable[Node], known: dict[int, Tensor]) -> None:
    """Repeats calls on other tensors.

    Args:
      nodes: The calls, in order.
      known: The new tensor for the id of each old one; the outputs are added.
    """
    for node in nodes:
        args, kwargs = node.arguments.fill_in(known)
        outputs = keras.tree.flatten(node.operation(*args, **kwargs))
        known.update(zip(map(id, node.outputs), outputs, strict=True))


def blocks_of(transformer: KerasModel) -> list[KerasLayer]:
    """Returns the transformer's blocks, each once."""
    found = keras.tree.flatten(getattr(transformer, "transformer_layers", []))
    return list({id(layer): layer for layer in found}.values())


def _inputs(transformer: KerasModel) -> dict[str, Tensor]:
    inputs = transformer.input
    named = inputs if isinstance(inputs, dict) else {x.name: x for x in keras.tree.flatten(inputs)}
    others = [name for name in named if name not in _INPUTS]
    if others or "token_ids" not in named:
        raise UserError(
            f"{type(transformer).__name__} has the inputs {', '.join(named)}: not a text alone.",
            "Use an encoder or a decoder of text, such as BERT, RoBERTa or GPT-2.",
        )
    return named


def _sequence_output(transformer: KerasModel) -> Tensor:
    output = transformer.output
    return output["sequence_output"] if isinstance(output, dict) else output


def _nodes_before(transformer: KerasModel, output: Tensor) -> list[Node]:
    """Returns the calls that an output depends on, in topological order."""
    wanted, found = {id(output)}, []
    for node in reversed(call_nodes(transformer)):
        if any(id(tensor) in wanted for tensor in node.outputs):
            wanted |= {id(tensor) for tensor in node.input_tensors}
            found.append(node)
    return found[::-1]


def _ends(
    nodes: Sequence[Node], transformer: KerasModel, output: Tensor, inputs: Sequence[int]
) -> list[int]:
    """Returns the positions before which a new stage begins: the first block's, and each other's.

    Args:
      nodes: The calls, in order.
      transformer: The model that they belong to.
      output: Its output.
      inputs: Ids of its inputs.
    """
    blocks = {id(layer) for layer in blocks_of(transformer)}
    last = {id(node.operation): at for at, node in enumerate(nodes) if id(node.operation) in blocks}
    if not last:
        return []
    begin = min(at for at, node in enumerate(nodes) if id(node.operation) in blocks)
    ends = sorted({begin, *(at + 1 for at in last.values())} - {max(last.values()) + 1})
    return [end for end in ends if end and _one_tensor_passes(nodes, end, output, inputs)]


def _one_tensor_passes(
    nodes: Sequence[Node], end: int, output: Tensor, inputs: Sequence[int]
) -> bool:
    """Returns whether one tensor alone, besides masks, passes from before a position to after."""
    made = {id(tensor) for node in nodes[:end] for tensor in node.outputs}
    read = {id(tensor) for node in nodes[end:] for tensor in node.input_tensors} | {id(output)}
    passing = made & read
    previous = nodes[end - 1].outputs[0]
    inputs_read = {id(x) for node in nodes[end:] for x in node.input_tensors} & set(inputs)
    masks = {id(x) for x in _mask_inputs(nodes[end:])}
    return passing == {id(previous)} and inputs_read <= masks


def _mask_inputs(nodes: Iterable[Node]) -> Iterable[Tensor]:
    for node in nodes:
        for name in _MASK_ARGUMENTS:
            tensor = node.arguments.kwargs.get(name)
            if tensor is not None:
                yield tensor


def _layers(nodes: Iterable[Node]) -> list[KerasLayer]:
    found = {
        id(node.operation): node.operation
        for node in nodes
        if isinstance(node.operation, keras.layers.Layer)
    }
    return list(found.values())
