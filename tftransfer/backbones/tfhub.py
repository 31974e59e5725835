"""TF-Hub modules and SavedModels as a Keras 3 layer: trainable, freezable, saved, exported.

`tensorflow_hub.KerasLayer` does not work in Keras 3 models, and `TFSMLayer` cannot train. Here
every `tf.Variable` of the module shares its storage with a Keras variable, so that optimizers,
weight files and exports include it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import keras
import tensorflow as tf

from tftransfer.core.typing import KerasModel, Tensor
from tftransfer.utils.errors import UserError, unknown_name
from tftransfer.utils.glob_paths import literal_path
from tftransfer.utils.keras_internals import share_variable, track_variable

# What `tf.saved_model.load` returns: its attributes are those of the saved object.
Module: TypeAlias = Any

# Families of operations that only compute.
_COMPUTING = frozenset(
    (
        "array",
        "bitwise",
        "control_flow",
        "data_flow",
        "functional",
        "image",
        "linalg",
        "list",
        "lookup",
        "math",
        "nn",
        "parsing",
        "ragged_array",
        "ragged_conversion",
        "ragged_math",
        "random",
        "resource_variable",
        "set",
        "sparse",
        "spectral",
        "state",
        "stateless_random",
        "stateless_random_v2",
        "string",
    )
)
# Every SavedModel has these to save and restore its own weights.
_SAVING = frozenset(("SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename"))
# In the family `lookup`, but it reads a file.
_READING = "InitializeTableFromTextFile"
_MESSAGE_CHARACTERS = 200


@keras.saving.register_keras_serializable("tftransfer")
class TFHubLayer(keras.layers.Layer):
    """Calls a reusable TF2 SavedModel.

    Args:
      path: Local folder with `saved_model.pb`.
      output: Key of a dictionary that the module returns; "" for `default` or the only one.

    Attributes:
      module: The loaded SavedModel.
      batch_norm: `frozen` calls the module in inference mode even while it trains, which preserves
        its moving statistics; `train` does not.

    Raises:
      UserError: The folder holds no SavedModel that can be called.
    """

    def __init__(self, path: str, output: str = "", **kwargs: Any):
        super().__init__(**kwargs)
        self.module_path = path
        self.output_name = output
        self.batch_norm = "train"
        self.module = module = _load(path)
        floating = [v for v in _variables(module, "trainable_variables") if v.dtype.is_floating]
        trainable = {id(variable) for variable in floating}
        for variable in _variables(module, "variables"):
            track_variable(self, _shared(variable, trainable=id(variable) in trainable))
        self._takes_training = _takes_training(module)
        self.built = True

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Returns the module's output; in training mode only while the layer is trainable."""
        for penalty in getattr(self.module, "regularization_losses", ()):
            self.add_loss(penalty())
        training = bool(training) and self.trainable and self.batch_norm == "train"
        return self._output(inputs, training=training)

    def compute_output_spec(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Returns a Keras tensor of the shape of one call's output; only the batch may be None."""
        probe = tf.zeros((1, *inputs.shape[1:]), inputs.dtype)
        output = self._output(probe, training=False)
        return keras.KerasTensor(
            (None, *output.shape[1:]), dtype=keras.backend.standardize_dtype(output.dtype)
        )

    def input_spec_of_module(self) -> tf.TensorSpec | None:
        """Returns the spec of the module's input; None where its signature has none."""
        return _input_spec(self.module)

    def _output(self, inputs: Tensor, *, training: bool) -> Tensor:
        arguments = {"training": training} if self._takes_training else {}
        outputs = self.module(inputs, **arguments)
        return outputs[self._output_key(outputs)] if isinstance(outputs, dict) else outputs

    def _output_key(self, outputs: Mapping[str, Tensor]) -> str:
        name = self.output_name or _main_output(outputs)
        if name not in outputs:
            raise unknown_name("output of the module", name, outputs)
        return name

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "path": self.module_path, "output": self.output_name}


def resolve_handle(handle: str) -> Path:
    """Returns a local folder, or the local copy of a TF-Hub URL or Kaggle handle.

    Args:
      handle: `path/to/folder`, `https://tfhub.dev/...`,
        `https://www.kaggle.com/models/...`, or `google/name/tensorFlow2/variation`.

    Raises:
      UserError: The module cannot be downloaded, or the folder is not a SavedModel.
    """
    folder = Path(handle).expanduser()
    if (folder / "saved_model.pb").is_file():
        return folder
    if folder.exists() or handle.startswith((".", "/", "~")):
        raise UserError(
            f"{handle} is not a SavedModel: it has no saved_model.pb.",
            "Give the folder of a TF-Hub module, its URL, or a Kaggle handle.",
        )
    url = handle if "://" in handle else f"https://www.kaggle.com/models/{handle}"
    import tensorflow_hub

    try:
        return Path(tensorflow_hub.resolve(url))
    except Exception as error:
        raise UserError(
            f"The TF-Hub module {handle} could not be downloaded: {_brief(error)}",
            "Without a network, download it elsewhere and give the local folder.",
        ) from None


def trusted(handle: str, trust_code: bool) -> tuple[Path, tuple[str, ...]]:
    """Returns the local folder of a module that may run, and remarks for the plan.

    Raises:
      UserError: The module is not trusted, or does not exist.
    """
    if not trust_code:
        local = Path(handle).expanduser()
        unsafe = unsafe_operations(local) if (local / "saved_model.pb").is_file() else []
        more = f" (it uses {', '.join(unsafe)})" if unsafe else ""
        raise UserError(
            f"{handle} is a TF-Hub module: a program that runs with your permissions{more}.",
            "If you trust where it comes from, add --trust_code.",
        )
    path = resolve_handle(handle)
    unsafe = unsafe_operations(path)
    remarks = (f"the module uses {', '.join(unsafe)}; it was trusted",) if unsafe else ()
    return path, remarks


def unsafe_operations(folder: Path) -> list[str]:
    """Returns the operations of a SavedModel that may do more than compute, save and restore it.

    Raises:
      UserError: `saved_model.pb` is not a SavedModel.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString((folder / "saved_model.pb").read_bytes())
    except (OSError, DecodeError) as error:
        raise UserError(
            f"{folder / 'saved_model.pb'} cannot be loaded: {_brief(error)}", "Download it again."
        ) from None
    used = {
        node.op
        for graph in (meta.graph_def for meta in model.meta_graphs)
        for nodes in (graph.node, *(function.node_def for function in graph.library.function))
        for node in nodes
    }
    return sorted(op for op in used if not _only_computes(op))


def _only_computes(operation: str) -> bool:
    if operation in _SAVING:
        return True
    module = getattr(getattr(tf.raw_ops, operation, None), "__module__", "")
    family = module.rpartition(".gen_")[2].removesuffix("_ops")
    return family in _COMPUTING and not operation.startswith(_READING)


def build_tfhub_model(layer: TFHubLayer, image_size: int) -> KerasModel:
    """Builds a functional model of one stage from a module of images.

    TF-Hub's image modules expect pixels in [0, 1], so 0 to 255 is scaled inside.

    Args:
      layer: The module; it computes in float32.
      image_size: Side of the input, in pixels.

    Raises:
      UserError: The module does not take images of that size.
    """
    pixels = keras.Input((image_size, image_size, 3), name="pixels")
    scaled = keras.layers.Rescaling(1 / 255.0, name="to_unit_range")(pixels)
    check_input(
        layer,
        pixels,
        f"The module {layer.module_path} does not take images of {image_size} px with 3 channels",
        "Give an image module (feature-vector or classification), or another --image_size.",
    )
    return keras.Model(pixels, layer(scaled), name="hub_module")


def check_input(layer: TFHubLayer, inputs: Tensor, what: str, remedy: str) -> None:
    """Checks that a module can be called on a Keras tensor.

    Args:
      layer: The module.
      inputs: The Keras tensor.
      what: First line of the error, without its reason.
      remedy: Second line of the error.

    Raises:
      UserError: The module does not take such an input.
    """
    try:
        layer.compute_output_spec(inputs)  # Keras would wrap the errors of a call
    except UserError:
        raise
    except (ValueError, TypeError, tf.errors.OpError) as error:
        raise UserError(f"{what}: {_brief(error)}", remedy) from None


def declared_image_size(layer: TFHubLayer) -> int:
    """Returns the side that the module's signature requires, in pixels; 0 for any size."""
    spec = layer.input_spec_of_module()
    return int(spec.shape[1] or 0) if spec is not None and spec.shape.rank == 4 else 0


def _load(path: str) -> Module:
    try:
        module = tf.saved_model.load(literal_path(Path(path)))
    except Exception as error:  # of protobuf, the checkpoint reader and TensorFlow
        raise UserError(f"{path} cannot be loaded: {_brief(error)}", "Download it again.") from None
    if not callable(module):
        raise UserError(
            f"The SavedModel {path} cannot be called: it is not a reusable TF2 module.",
            "Give a TF2 module (feature-vector or classification).",
        )
    return module


def _variables(module: Module, attribute: str) -> list[tf.Variable]:
    """Returns a list that TF-Hub's modules have; of a plain `tf.Module`, its tracked variables."""
    if hasattr(module, attribute):
        return list(getattr(module, attribute))
    tracked = tf.train.TrackableView(module).descendants()
    found = [each for each in tracked if isinstance(each, tf.Variable)]
    return [v for v in found if v.trainable] if attribute == "trainable_variables" else found


def _shared(variable: tf.Variable, *, trainable: bool) -> keras.Variable:
    name = re.sub(r"[^\w.-]", "_", variable.name.split(":")[0])
    return share_variable(variable, trainable=trainable, name=name)


def _signatures(module: Module) -> list[Any]:
    call = getattr(module, "__call__", None)  # noqa: B004
    return list(getattr(call, "concrete_functions", ()))


def _input_spec(module: Module) -> tf.TensorSpec | None:
    for function in _signatures(module):
        for spec in tf.nest.flatten(function.structured_input_signature):
            if isinstance(spec, tf.TensorSpec) and spec.shape.rank:
                return spec
    return None


def _takes_training(module: Module) -> bool:
    function = getattr(module, "__call__", None)  # noqa: B004
    function_type = getattr(function, "function_type", None)
    return function_type is not None and "training" in function_type.parameters


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:_MESSAGE_CHARACTERS] or type(error).__name__


def _main_output(outputs: Mapping[str, Tensor]) -> str:
    if "default" in outputs:
        return "default"
    if len(outputs) == 1:
        return next(iter(outputs))
    raise UserError(
        f"The module returns several outputs: {', '.join(sorted(outputs))}.",
        "Name one: --backbone=MODULE:output=NAME.",
    )
