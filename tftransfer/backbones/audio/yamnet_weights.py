"""YAMNet's published weights: the HDF5 file, and SavedModels of floats or of 8-bit integers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import h5py
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2, trackable_object_graph_pb2

from tftransfer.checkpoints.weight_files import check_bounds
from tftransfer.checkpoints.weights import update_derived_values
from tftransfer.core.typing import Array, KerasModel
from tftransfer.utils.errors import UserError
from tftransfer.utils.files import file_sha256
from tftransfer.utils.glob_paths import literal_path

PUBLISHED = "https://storage.googleapis.com/audioset/yamnet.h5"
# A layer's variables, as a file's names and ours end.
_VARIABLES = ("kernel", "depthwise_kernel", "beta", "moving_mean", "moving_variance", "bias")
# YAMNet's epsilon: with it, BatchNorm of mean 0 only adds its offset.
_IDENTITY_VARIANCE = 1.0 - 1e-4
_MESSAGE_CHARACTERS = 160

Arrays: TypeAlias = Mapping[str, Array]


def load_yamnet(model: KerasModel, path: Path) -> tuple[str, tuple[str, ...]]:
    """Assigns YAMNet its weights.

    Args:
      model: The result of `build_yamnet`, or of `with_scores`.
      path: `yamnet.h5` as published, a file with some of its layers, or the folder of a SavedModel,
        of which only numbers are read.

    Returns:
      The file's sha256, and remarks for the plan.

    Raises:
      UserError: The file holds no weights that fit.
    """
    if (path / "saved_model.pb").is_file():
        arrays = _read_saved_model(path)
        digest = file_sha256(path / "variables" / "variables.data-00000-of-00001")
    else:
        arrays, digest = _read_h5(path), file_sha256(path) if path.is_file() else ""
    return digest, _assign(model, arrays, path)


def _assign(model: KerasModel, arrays: Arrays, path: Path) -> tuple[str, ...]:
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
    update_derived_values(model.layers)
    if not missing:
        return ()
    return (
        f"{len(missing)} of YAMNet's {total} weights are not in {path.name}: random from "
        f"{missing[0].partition('/')[0]} on",
    )


def _read_h5(path: Path) -> Arrays:
    """Returns arrays by our names, from `layer2/depthwise_conv/bn/beta:0` and so on."""
    found: dict[str, Array] = {}

    def visit(name: str, item: h5py.HLObject) -> None:
        key = our_name(name.removesuffix(":0"))
        if isinstance(item, h5py.Dataset) and key:
            found[key] = np.asarray(item)

    try:
        with h5py.File(path) as file:
            check_bounds(file, path)
            file.visititems(visit)
    except OSError as error:
        raise _unreadable(path, error) from None
    return found


def _unreadable(path: Path, error: Exception) -> UserError:
    message = " ".join(str(error).split())[:_MESSAGE_CHARACTERS]
    return UserError(f"The weights {path} cannot be read: {message}", "Download them again.")


def our_name(path: str) -> str:
    """Returns our name of a variable in a published file; "" for other variables.

    Example:
      >>> our_name("yamnet_frames/layer2/depthwise_conv/bn/beta")
      'layer2_depthwise_conv_bn/beta'
    """
    names = path.split("/")
    layers = [n for n, name in enumerate(names) if re.fullmatch(r"layer\d+|logits", name)]
    if not layers or names[-1] not in _VARIABLES:
        return ""
    inside = list(dict.fromkeys(names[layers[-1] : -1]))
    last = "kernel" if names[-1] == "depthwise_kernel" else names[-1]
    return f"{'_'.join(inside)}/{last}"


def _read_saved_model(path: Path) -> Arrays:
    try:
        reader = tf.train.load_checkpoint(f"{literal_path(path)}/variables/variables")
        graph = trackable_object_graph_pb2.TrackableObjectGraph()
        graph.ParseFromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
        stored = [each for node in graph.nodes for each in node.attributes]
        if any(each.checkpoint_key.startswith("dk/") for each in stored):
            keys = {each.checkpoint_key.partition("/.")[0]: each.checkpoint_key for each in stored}
            values = {name: reader.get_tensor(key) for name, key in keys.items()}
            return _from_8_bits(values, _kernel_scales(path))
        named = {our_name(each.full_name): each.checkpoint_key for each in stored}
        return {name: reader.get_tensor(key) for name, key in named.items() if name}
    except (tf.errors.OpError, DecodeError, RuntimeError, ValueError, LookupError) as error:
        raise _unreadable(path, error) from None


def _kernel_scales(path: Path) -> list[float]:
    """Returns the factor of each 8-bit kernel: the graph multiplies by it after a cast."""
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


def _from_8_bits(values: Arrays, scales: list[float]) -> Arrays:
    """Returns kernels in which BatchNorm is folded; what remains of it is its offset."""
    found: dict[str, Array] = {}
    scale = iter(scales)
    for number, name in enumerate(_convolutions()):
        kernel, bias = values[f"k/{number}"], values[f"b/{number}"]
        if kernel.dtype == np.int8:
            kernel = kernel.astype(np.float32) * next(scale)
        found[f"{name}/kernel"] = kernel
        found[f"{name}_bn/beta"] = bias
        found[f"{name}_bn/moving_mean"] = np.zeros_like(bias)
        found[f"{name}_bn/moving_variance"] = np.full_like(bias, _IDENTITY_VARIANCE)
    found["logits/kernel"] = values["dk"].astype(np.float32) * next(scale)
    found["logits/bias"] = values["db"]
    return found


def _convolutions() -> list[str]:
    names = [f"layer{n}_{kind}wise_conv" for n in range(2, 15) for kind in ("depth", "point")]
    return ["layer1_conv", *names]
