"""Keras models as traced functions, in inference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tftransfer.core.typing import Array, ArrayLike, KerasModel, Tensor


def traced(model: KerasModel, select: Callable[[Any], Any]) -> Callable[..., Any]:
    """Returns a concrete function that runs a model in inference, for any batch size.

    Args:
      model: The model.
      select: Returns the function's result from the model's outputs.
    """
    forward = tf.function(
        lambda *inputs: select(model(list(inputs), training=False)), autograph=False
    )
    return forward.get_concrete_function(*input_specs(model))


def input_specs(model: KerasModel, *, any_length: bool = False) -> list[tf.TensorSpec]:
    """Returns the specs of a model's inputs for any batch size.

    Args:
      model: The model.
      any_length: Whether the axis of time is open too, as for sequences.
    """
    shapes = [(None, None, *t.shape[2:]) if any_length else t.shape for t in model.inputs]
    return [tf.TensorSpec((None, *s[1:]), t.dtype) for s, t in zip(shapes, model.inputs)]


def casting(function: Callable[..., Any], model: KerasModel) -> Callable[..., Any]:
    """Returns the function with its arguments cast to the dtypes of a model's inputs."""
    dtypes = [t.dtype for t in model.inputs]
    return lambda *inputs: function(*(tf.cast(x, dtype) for x, dtype in zip(inputs, dtypes)))


def compiled(model: KerasModel, output: str = "") -> Callable[..., Any]:
    """Returns a model in inference as a function, traced once for any batch size.

    Args:
      model: The model.
      output: Name of the only output that is computed; "" for all.
    """
    function = traced(model, lambda outputs: outputs[output] if output else outputs)
    return casting(function, model)


def predict_batches(
    forward: Callable[..., Tensor], batches: Iterable[Sequence[ArrayLike]]
) -> Array:
    """Computes the output of a network for batches of inputs, float32 [n, k].

    Args:
      forward: Function of the inputs of a batch that returns its output, [batch, k].
      batches: Inputs of each batch.

    Returns:
      The outputs of all batches in one array; float32 [0, 1] without batches.
    """
    outputs = [np.asarray(forward(*inputs)) for inputs in batches]
    return np.concatenate(outputs) if outputs else np.zeros((0, 1), np.float32)


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Makes the layers that are built inside compute in a precision.

    Args:
      name: Name of a dtype policy of Keras, such as `mixed_bfloat16`; the previous policy is
        restored at the end.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
