"""YAMNet's published weights: the HDF5 file, and SavedModels of whole or of 8-bit numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2, trackable_object_graph_pb2

from tftransfer.backbones.weight_files import check_bounds
from tftransfer.checkpoints.weights import settle
from tftransfer.utils.errors import UserError
from tftransfer.utils.files import file_sha256

PUBLISHED = "https://storage.googleapis.com/audioset/yamnet.h5"
# A layer's numbers by what they are: what a file's own names end with, and ours.
_ENDS = ("kernel", "depthwise_kernel", "beta", "moving_mean", "moving_variance", "bias")

Arrays = Mapping[str, np.ndarray]


def load_yamnet(model: keras.Model, path: Path) -> tuple[str, tuple[str, ...]]:
    """Gives YAMNet its weights.

    Args:
      model: of `build_yamnet`, or `with_scores` of it.
      path: `yamnet.h5` as published, a part of it, or the folder of a SavedModel, of which only
        numbers are read.

    Returns:
      The file's sha256, and what is worth saying.

    Raises:
      UserError: nothing there that fits.
    """
    if (path / "saved_model.pb").is_file():
        arrays = _of_saved_model(path)
        digest = file_sha256(path / "variables" / "variables.data-00000-of-00001")
    else:
        arrays, digest = _of_h5(path), file_sha256(path) if path.is_file() else ""
    return digest, _assign(model, arrays, path)


def _assign(model: keras.Model, arrays: Arrays, path: Path) -> tuple[str, ...]:
    missing, total = [], 0
    for layer in model.layers:
        for variable in layer.weights:
            total += 1
            key = f"{layer.name}/{variable.name}"
            value = arrays.get(key)
            if value is None:
                missing.append(key)
                continue
            if tuple(value.shape) != tuple(variable.shape):
                raise UserError(
                    f"{path}: {key} has the shape {value.shape}, YAMNet's is "
                    f"{tuple(variable.shape)}.",
                    "Give a weights file of YAMNet.",
                )
            variable.assign(value)
    if len(missing) == total:
        raise UserError(
            f"{path} holds no weights of YAMNet.",
            "Give yamnet.h5, or the folder of YAMNet's SavedModel.",
        )
    settle(model.layers)
    if not missing:
        return ()
    return (
        f"{len(missing)} of YAMNet's {total} weights are not in {path.name}: random from "
        f"{missing[0].partition('/')[0]} on",
    )


def _of_h5(path: Path) -> Arrays:
    """By our names, from `layer2/depthwise_conv/bn/beta:0` and the like."""
    found: dict[str, np.ndarray] = {}

    def visit(name: str, item: Any) -> None:
        key = our_name(name.removesuffix(":0"))
        if isinstance(item, h5py.Dataset) and key:
            found[key] = np.asarray(item)

    try:
        with h5py.File(path) as file:
            check_bounds(file, path)
            file.visititems(visit)
    except OSError as error:
        said = " ".join(str(error).split())[:160]
        raise UserError(f"The weights {path} cannot be read: {said}", "Fetch them again.") from None
    return found


def our_name(theirs: str) -> str:
    """`layer2_depthwise_conv_bn/beta` of `.../layer2/depthwise_conv/bn/beta`; "" of others."""
    parts = theirs.split("/")
    layers = [n for n, part in enumerate(parts) if re.fullmatch(r"layer\d+|logits", part)]
    if not layers or parts[-1] not in _ENDS:
        return ""
    inside = list(dict.fromkeys(parts[layers[-1] : -1]))
    last = "kernel" if parts[-1] == "depthwise_kernel" else parts[-1]
    return f"{'_'.join(inside)}/{last}"


def _of_saved_model(path: Path) -> Arrays:
    try:
        reader = tf.train.load_checkpoint(str(path / "variables" / "variables"))
        graph = trackable_object_graph_pb2.TrackableObjectGraph()
        graph.ParseFromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
        stored = [each for node in graph.nodes for each in node.attributes]
        if any(each.checkpoint_key.startswith("dk/") for each in stored):
            keys = {each.checkpoint_key.partition("/.")[0]: each.checkpoint_key for each in stored}
            values = {name: reader.get_tensor(key) for name, key in keys.items()}
            return _of_8_bits(values, _scales(path))
        named = {our_name(each.full_name): each.checkpoint_key for each in stored}
        return {name: reader.get_tensor(key) for name, key in named.items() if name}
    except (tf.errors.OpError, DecodeError, RuntimeError, ValueError, LookupError) as error:
        said = " ".join(str(error).split())[:160]
        raise UserError(f"The weights {path} cannot be read: {said}", "Fetch them again.") from None


def _scales(path: Path) -> list[float]:
    """Of each kernel of 8 bits in turn: what the graph multiplies it with after the cast."""
    model = saved_model_pb2.SavedModel()
    model.ParseFromString((path / "saved_model.pb").read_bytes())
    functions = model.meta_graphs[0].graph_def.library.function
    body = next(f for f in functions if f.signature.name.startswith("__inference_patches"))
    nodes = {node.name: node for node in body.node_def}
    sources = [
        [nodes.get(name.partition(":")[0]) for name in node.input]
        for node in body.node_def
        if node.op == "Mul"
    ]
    return [
        float(tf.make_ndarray(factor.attr["value"].tensor))
        for cast, factor in sources
        if cast is not None and factor is not None and (cast.op, factor.op) == ("Cast", "Const")
    ]


def _of_8_bits(values: Arrays, scales: list[float]) -> Arrays:
    """Kernels with batch normalisation folded in: it is left with the biases alone."""
    found: dict[str, np.ndarray] = {}
    scale = iter(scales)
    for number, name in enumerate(_convolutions()):
        kernel, bias = values[f"k/{number}"], values[f"b/{number}"]
        if kernel.dtype == np.int8:
            kernel = kernel.astype(np.float32) * next(scale)
        found[f"{name}/kernel"] = kernel
        found[f"{name}_bn/beta"] = bias
        found[f"{name}_bn/moving_mean"] = np.zeros_like(bias)
        found[f"{name}_bn/moving_variance"] = np.full_like(bias, 1.0 - 1e-4)
    found["logits/kernel"] = values["dk"].astype(np.float32) * next(scale)
    found["logits/bias"] = values["db"]
    return found


def _convolutions() -> list[str]:
    pairs = [f"layer{n}_{part}wise_conv" for n in range(2, 15) for part in ("depth", "point")]
    return ["layer1_conv", *pairs]
