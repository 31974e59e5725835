"""Low-rank updates of kernels (LoRA, Hu et al., 2022) by Keras, and their merging."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from tftransfer.core.typing import KerasLayer, Tensor, Variable
from tftransfer.utils.keras_internals import lora_variable, remove_variables


@dataclass(frozen=True, kw_only=True)
class LoraKernel:
    """A kernel with its low-rank update.

    Attributes:
      whole: The kernel with its update, a tensor.
      kernel: The kernel without it.
      factors: The two factors whose product is the update.
    """

    whole: Tensor
    kernel: Variable
    factors: tuple[Variable, Variable]


def add_lora(layer: KerasLayer, rank: int, seed: int) -> None:
    """Trains a low-rank update in place of the kernel; a layer without a kernel is frozen.

    Args:
      layer: A built layer; Dense, EinsumDense, Embedding and Conv2D can have an update.
      rank: Rank of the update.
      seed: Seed of the random factor; the other factor is zero at the start.
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


def lora_kernel(layer: KerasLayer) -> LoraKernel | None:
    """Returns the kernel of a layer with its low-rank update; None if it has none."""
    kernel = _kernel(layer)
    if kernel is None or not layer.lora_enabled:
        return None
    name = _attribute(layer)
    return LoraKernel(
        whole=getattr(layer, name),
        kernel=kernel,
        factors=(getattr(layer, f"lora_{name}_a"), getattr(layer, f"lora_{name}_b")),
    )


def merge_lora(layer: KerasLayer) -> None:
    """Adds the low-rank update of a layer to its kernel, and removes the update's variables."""
    found = lora_kernel(layer)
    if found is None:
        return
    found.kernel.assign(found.whole)
    name = _attribute(layer)
    remove_variables(layer, (f"lora_{name}_a", f"lora_{name}_b"))
    layer.lora_enabled, layer.lora_rank = False, None
    # `layer.trainable = True` would change nothing where it is True already.
    for variable in layer.weights:
        variable.trainable = layer.trainable


def _attribute(layer: KerasLayer) -> str:
    """Returns Keras's name of the kernel."""
    return "embeddings" if isinstance(layer, keras.layers.Embedding) else "kernel"


def _kernel(layer: KerasLayer) -> Variable | None:
    """Returns the variable that an update is for; None for layers that cannot have one."""
    if not hasattr(layer, "enable_lora") or isinstance(layer, keras.layers.DepthwiseConv2D):
        return None
    return lora_variable(layer)
