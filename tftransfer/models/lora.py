"""Low-rank updates of kernels (LoRA, Hu et al., 2022), by Keras's own, and their merging."""

from __future__ import annotations

from typing import Any

import keras

from tftransfer.utils.keras_internals import lora_variable, remove_variables


def adapt(layer: Any, rank: int, seed: int) -> None:
    """Trains a low-rank update in place of the kernel; layers that have none stay frozen.

    Args:
      layer: built; Dense, EinsumDense, Embedding or Conv2D take an update.
      rank: of the update.
      seed: of its random factor; the other begins at zero.
    """
    kernel = _kernel(layer)
    if kernel is None:
        layer.trainable = False
        return
    if not layer.lora_enabled:
        initializer = keras.initializers.HeUniform(seed=seed)
        layer.enable_lora(min(rank, *kernel.shape[-2:]), a_initializer=initializer)
    kernel.trainable = False
    if getattr(layer, "bias", None) is not None:
        layer.bias.trainable = False


def updated(layer: Any) -> tuple[Any, Any, tuple[Any, Any]] | None:
    """The kernel with its update as a tensor, the kernel, and the update's two factors."""
    if not getattr(layer, "lora_enabled", False):
        return None
    whole, suffix = _whole(layer)
    factors = (getattr(layer, f"lora_{suffix}_a"), getattr(layer, f"lora_{suffix}_b"))
    return whole, _kernel(layer), factors


def merge(layer: Any) -> None:
    """Adds the update to the kernel, and takes its variables away."""
    if not getattr(layer, "lora_enabled", False):
        return
    whole, suffix = _whole(layer)
    _kernel(layer).assign(whole)
    remove_variables(layer, (f"lora_{suffix}_a", f"lora_{suffix}_b"))
    layer.lora_enabled, layer.lora_rank = False, None
    for variable in layer.weights:  # `layer.trainable = True` does nothing where it is true
        variable.trainable = layer.trainable


def _whole(layer: Any) -> tuple[Any, str]:
    """The kernel with its update, and what Keras calls it."""
    if isinstance(layer, keras.layers.Embedding):
        return layer.embeddings, "embeddings"
    return layer.kernel, "kernel"


def _kernel(layer: Any) -> Any:
    """The variable that an update is for; None where there is none."""
    if not hasattr(layer, "enable_lora") or isinstance(layer, keras.layers.DepthwiseConv2D):
        return None
    return lora_variable(layer)
