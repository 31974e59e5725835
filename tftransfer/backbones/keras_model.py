"""A `keras.Model` of the user as a backbone: its weights are what transfers."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace

import keras

from tftransfer.backbones.audio.load import on_spectrograms
from tftransfer.backbones.backbone import Backbone
from tftransfer.backbones.flat_copy import FlatCopy, flat_copy
from tftransfer.backbones.options import NO_WEIGHTS, PRETRAINED, LoadOptions
from tftransfer.backbones.stages import cut_into_stages
from tftransfer.checkpoints.architecture import architecture_json, build_from_json, input_shape
from tftransfer.checkpoints.weight_files import load_weights
from tftransfer.checkpoints.weights import digest, update_derived_values
from tftransfer.core.typing import Array, KerasModel
from tftransfer.data.download import local_path
from tftransfer.preprocessing.image.preprocessor import ImagePreprocessor
from tftransfer.utils.errors import UserError
from tftransfer.utils.keras_internals import call_nodes, unfoldable

# The architecture of a run whose backbone was a model in memory; its JSON is among the assets.
KERAS_MODEL = "keras_model"
_JSON_FILE = "keras_model.json"
_CHANNELS = 3
_DEFAULT_IMAGE_SIZE = {"image": 224, "audio": 160}
# Layers and operations that scale the input before the first layer with weights.
_SCALINGS = ("Rescaling", "Normalization", "TrueDivide", "Divide", "Multiply", "Subtract", "Add")


def load_keras_model(model: KerasModel, modality: str, options: LoadOptions) -> Backbone:
    """Makes a backbone of a model in memory, which is copied and not changed.

    Models inside of it are unfolded, and random augmentation and a classifier are removed.

    Args:
      model: A functional or sequential model from images, [n, size, size, 3], to one output.
      modality: `image`, or `audio` for spectrograms as images.
      options: `weights` is `pretrained` for the model's own weights, `none` for random ones, or a
        weights file; `image_size` is another size than the model's, where its layers allow that.

    Raises:
      UserError: The model is not one of Keras 3, not functional, has several inputs or outputs,
        or layers that cannot be stored.
    """
    check_keras_model(model, modality)
    flat = flat_copy(model)
    backbone = _assemble(architecture_json(flat.model), modality, options)
    weights, sha256 = _give_weights(backbone.model, flat, options)
    return replace(
        backbone,
        weights=weights,
        weights_sha256=sha256,
        remarks=(*_removal_remarks(flat), *backbone.remarks),
    )


def load_stored_model(modality: str, options: LoadOptions) -> Backbone:
    """Builds the backbone of a run that was given a model in memory, with random weights.

    Args:
      modality: Modality of the data.
      options: `assets` is the folder of the run's assets.

    Raises:
      UserError: The folder holds no model, or one with classes that are not registered.
    """
    folder = options.assets_folder
    if folder is None or not (folder / _JSON_FILE).is_file():
        raise UserError(
            f"--backbone={KERAS_MODEL} names a keras.Model that was in memory.",
            "Give the folder of its run, or the model itself from Python.",
        )
    return _assemble((folder / _JSON_FILE).read_bytes(), modality, options)


def check_keras_model(model: object, modality: str) -> None:
    """Checks that an object is a model that can be a backbone, without copying it.

    Raises:
      UserError: It is not; the message names what is expected.
    """
    if not isinstance(model, keras.Model):
        raise UserError(
            f"backbone: expected a name or a keras.Model of Keras 3, got {_class_name(model)}.",
            _remedy(model),
        )
    if modality == "text":
        raise UserError(
            "A keras.Model as a backbone takes images, but the data are texts.",
            "Give the name of a text backbone, such as word_vectors, or a transformer's folder.",
        )
    if unfoldable(model) is None:
        raise UserError(
            f"The keras.Model {model.name} is a {type(model).__name__}, not a functional or a "
            "built sequential model.",
            "Give keras.Model(inputs, outputs), or a Sequential that starts with keras.Input.",
        )
    for kind, tensors in (("inputs", model.inputs), ("outputs", model.outputs)):
        if len(tensors) != 1:
            raise UserError(
                f"The keras.Model {model.name} has {len(tensors)} {kind}.",
                "Give a model with one input and one output: keras.Model(model.inputs[0], tensor).",
            )
    shape = tuple(model.inputs[0].shape)
    if len(shape) != 4 or shape[3] != _CHANNELS or shape[1] != shape[2]:
        raise UserError(
            f"The keras.Model {model.name} takes inputs of the shape {shape}.",
            "Give a model that takes images of the shape (None, size, size, 3).",
        )


def _class_name(value: object) -> str:
    cls = type(value)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__name__}"


def _remedy(value: object) -> str:
    packages = {cls.__module__.partition(".")[0] for cls in type(value).__mro__}
    if "torch" in packages:
        return "PyTorch modules are not supported; build the network in Keras and load its weights."
    if packages & {"tf_keras", "tensorflow"}:
        return "Build the model with `import keras`, without TF_USE_LEGACY_KERAS=1."
    return "Give a backbone's name, a run's folder, or a functional keras.Model."


def _assemble(data: bytes, modality: str, options: LoadOptions) -> Backbone:
    """Builds the backbone of a stored architecture, with random weights."""
    size = options.image_size or input_shape(data)[1] or _DEFAULT_IMAGE_SIZE[modality]
    build = functools.partial(build_from_json, data, image_size=size)
    model = build()
    backbone = Backbone(
        name=f"keras.Model {model.name}",
        architecture=KERAS_MODEL,
        model=model,
        stages=cut_into_stages(model),
        preprocessor=ImagePreprocessor(size),
        weights=NO_WEIGHTS,
        build=build,
        remarks=(_pixel_remark(model, size),),
        assets={_JSON_FILE: data},
    )
    return on_spectrograms(backbone, options.length) if modality == "audio" else backbone


def _give_weights(model: KerasModel, flat: FlatCopy, options: LoadOptions) -> tuple[str, str]:
    """Assigns the weights that the options name; returns their name and their hash."""
    if options.weights == NO_WEIGHTS:
        return NO_WEIGHTS, ""
    if options.weights != PRETRAINED:
        path = local_path(options.weights, options.cache_folder)
        return options.weights, load_weights(model, path)
    _assign(model, {name: layer.get_weights() for name, layer in flat.sources.items()})
    return f"the given keras.Model {flat.model.name}", digest(model.weights)


def _assign(model: KerasModel, values: Mapping[str, list[Array]]) -> None:
    for name, arrays in values.items():
        layer = model.get_layer(name)
        shapes = [tuple(variable.shape) for variable in layer.weights]
        given = [array.shape for array in arrays]
        if shapes != given:
            raise UserError(
                f"The layer {name} of the keras.Model {model.name} depends on the size of the "
                f"images: its weights have the shapes {given}, at this size {shapes}.",
                "Omit image_size, so that the model's own size is used.",
            )
        layer.set_weights(arrays)
    update_derived_values(model.layers)


def _removal_remarks(flat: FlatCopy) -> tuple[str, ...]:
    remarks = []
    if flat.top:
        remarks.append(
            f"the model's top is removed ({', '.join(flat.top)}): the heads read the output of "
            f"{call_nodes(flat.model)[-1].operation.name}"
        )
    if flat.augmentations:
        remarks.append(
            f"the model's random layers are removed ({', '.join(flat.augmentations)}): the option "
            "augment of the recipe decides"
        )
    return tuple(remarks)


def _pixel_remark(model: KerasModel, size: int) -> str:
    scalings = []
    for node in call_nodes(model):
        operation = node.operation
        is_scaling = type(operation).__name__ in _SCALINGS
        if getattr(operation, "weights", ()) and not is_scaling:
            break
        scalings += [operation.name] * is_scaling
    if scalings:
        return (
            f"the model receives pixels in 0 to 255 and scales them itself ({', '.join(scalings)})"
        )
    return (
        "the model receives pixels in 0 to 255, since it has no Rescaling or Normalization layer; "
        f"if it expects -1 to 1, give keras.Sequential([keras.Input(({size}, {size}, 3)), "
        "keras.layers.Rescaling(1 / 127.5, offset=-1), model])"
    )
