"""TF-Hub modules and SavedModels as a Keras 3 layer: trainable, freezable, saved, exported.

`tensorflow_hub.KerasLayer` does not work in Keras 3 models, and `TFSMLayer` cannot
train. Here every `tf.Variable` of the module is shared, not copied, with a Keras
variable, so that optimisers, weight files and exports see it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tftransfer.utils.errors import UserError, unknown_name
from tftransfer.utils.keras_internals import share_variable, track_variable

# Families of operations that only compute, and what a SavedModel needs to hold its own weights.
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
_SAVING = frozenset(("SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename"))
_READING = "InitializeTableFromTextFile"


@keras.saving.register_keras_serializable("tftransfer")
class TFHubLayer(keras.layers.Layer):
    """Calls a reusable TF2 SavedModel.

    Args:
      path: a local folder with `saved_model.pb`.
      output: which entry of a dictionary output to return; "" for `default` or the only one.

    Attributes:
      batch_norm: `frozen` calls the module in inference mode even while it trains, which keeps
        its moving statistics; `train` does not.

    Raises:
      UserError: the folder holds no SavedModel that can be called.
    """

    def __init__(self, path: str, output: str = "", **kwargs: Any):
        super().__init__(**kwargs)
        self.module_path = path
        self.output_name = output
        self.batch_norm = "train"
        module = _load(path)
        self.module = module
        floating = [v for v in _variables(module, "trainable_variables") if v.dtype.is_floating]
        trainable = {id(variable) for variable in floating}
        for variable in _variables(module, "variables"):
            track_variable(self, _shared(variable, trainable=id(variable) in trainable))
        self._takes_training = _takes_training(module)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The module's output; in training mode only while the layer is trainable."""
        for penalty in getattr(self.module, "regularization_losses", ()):
            self.add_loss(penalty())
        training = bool(training) and self.trainable and self.batch_norm == "train"
        return self._output(inputs, training=training)

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> Any:
        """A Keras tensor of the shape that one call returns; only the batch may be open."""
        probe = tf.zeros((1, *inputs.shape[1:]), inputs.dtype)
        output = self._output(probe, training=False)
        return keras.KerasTensor((None, *output.shape[1:]), dtype=output.dtype.name)

    def input_spec_of_module(self) -> tf.TensorSpec | None:
        """What the module's signature takes; None where it tells nothing."""
        return _input_spec(self.module)

    def _output(self, inputs: Any, *, training: bool) -> Any:
        arguments = {"training": training} if self._takes_training else {}
        result = self.module(inputs, **arguments)
        return result[self._name_in(result)] if isinstance(result, dict) else result

    def _name_in(self, outputs: dict[str, Any]) -> str:
        name = self.output_name or _main_output(outputs)
        if name not in outputs:
            raise unknown_name("output of the module", name, outputs)
        return name

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "path": self.module_path, "output": self.output_name}


def resolve_handle(handle: str) -> Path:
    """A local folder, or the local copy of a TF-Hub URL or Kaggle handle (downloaded once).

    Args:
      handle: `path/to/folder`, `https://tfhub.dev/...`,
        `https://www.kaggle.com/models/...`, or `google/name/tensorFlow2/variation`.
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
            f"The TF-Hub module {handle} could not be fetched: {_brief(error)}",
            "Without a network, download it elsewhere and give the local folder.",
        ) from None


def trusted(handle: str, trust_code: bool) -> tuple[Path, tuple[str, ...]]:
    """The local folder of a module that may run, and what is worth saying of it.

    Raises:
      UserError: it is not trusted, or not there.
    """
    if not trust_code:
        local = Path(handle).expanduser()
        touching = touching_operations(local) if (local / "saved_model.pb").is_file() else []
        more = f" (it uses {', '.join(touching)})" if touching else ""
        raise UserError(
            f"{handle} is a TF-Hub module, which is a program that runs with your rights{more}.",
            "If you trust where it comes from, add --trust_code.",
        )
    path = resolve_handle(handle)
    touching = touching_operations(path)
    said = (f"the module uses {', '.join(touching)}; it was trusted",) if touching else ()
    return path, said


def touching_operations(folder: Path) -> list[str]:
    """Operations of a SavedModel that are not known to only compute, or to save and restore it.

    Raises:
      UserError: `saved_model.pb` is no SavedModel.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString((folder / "saved_model.pb").read_bytes())
    except (OSError, DecodeError) as error:
        raise UserError(
            f"{folder / 'saved_model.pb'} cannot be loaded: {_brief(error)}", "Fetch it again."
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


def build_tfhub_model(layer: TFHubLayer, image_size: int) -> keras.Model:
    """A module of images as a functional model of one stage.

    The module's signature tells size and channels where it fixes them; TF-Hub's
    image modules take pixels in [0, 1], so 0 to 255 is scaled inside.

    Args:
      layer: computes in float32.
      image_size: side of the input, in pixels.

    Raises:
      UserError: the module takes no pictures of that size.
    """
    pixels = keras.Input((image_size, image_size, 3), name="pixels")
    scaled = keras.layers.Rescaling(1 / 255.0, name="to_unit_range")(pixels)
    check_input(
        layer,
        pixels,
        f"The module {layer.module_path} takes no pictures of {image_size} px in three colours",
        "Give an image module (feature-vector or classification), or another --image_size.",
    )
    return keras.Model(pixels, layer(scaled), name="hub_module")


def check_input(layer: TFHubLayer, inputs: Any, what: str, remedy: str) -> None:
    """Tries what a layer makes of a Keras tensor.

    Raises:
      UserError: `what`, with the reason, and `remedy`: it takes no such input.
    """
    try:
        layer.compute_output_spec(inputs)  # Keras would wrap the errors of a call
    except UserError:
        raise
    except (ValueError, TypeError, tf.errors.OpError) as error:
        raise UserError(f"{what}: {_brief(error)}", remedy) from None


def declared_image_size(layer: TFHubLayer) -> int:
    """The side that the module's signature asks for, in pixels; 0 where it takes any."""
    spec = layer.input_spec_of_module()
    return int(spec.shape[1] or 0) if spec is not None and spec.shape.rank == 4 else 0


def _load(path: str) -> Any:
    try:
        module = tf.saved_model.load(path)
    except Exception as error:  # of protobuf, the checkpoint reader and TensorFlow
        raise UserError(f"{path} cannot be loaded: {_brief(error)}", "Fetch it again.") from None
    if not callable(module):
        raise UserError(
            f"The SavedModel {path} cannot be called: it is no reusable TF2 module.",
            "Give a TF2 module (feature-vector or classification).",
        )
    return module


def _variables(module: Any, kind: str) -> list[tf.Variable]:
    """The list that TF-Hub's reusable form has; of a plain `tf.Module`, what hangs on it."""
    if hasattr(module, kind):
        return list(getattr(module, kind))
    tracked = tf.train.TrackableView(module).descendants()
    found = [each for each in tracked if isinstance(each, tf.Variable)]
    return [v for v in found if v.trainable] if kind == "trainable_variables" else found


def _shared(variable: Any, *, trainable: bool) -> keras.Variable:
    name = re.sub(r"[^\w.-]", "_", variable.name.split(":")[0])
    return share_variable(variable, trainable=trainable, name=name)


def _signatures(module: Any) -> list[Any]:
    call = getattr(module, "__call__", None)  # noqa: B004
    return list(getattr(call, "concrete_functions", ()))


def _input_spec(module: Any) -> Any:
    for function in _signatures(module):
        for spec in tf.nest.flatten(function.structured_input_signature):
            if isinstance(spec, tf.TensorSpec) and spec.shape.rank:
                return spec
    return None


def _takes_training(module: Any) -> bool:
    kind = getattr(getattr(module, "__call__", None), "function_type", None)  # noqa: B004
    return kind is not None and "training" in kind.parameters


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _main_output(outputs: dict[str, Any]) -> str:
    if "default" in outputs:
        return "default"
    if len(outputs) == 1:
        return next(iter(outputs))
    raise UserError(
        f"The module returns several outputs: {', '.join(sorted(outputs))}.",
        "Name one: --backbone=MODULE:output=NAME.",
    )
