"""Keras models as traced functions, in inference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tftransfer.core.typing import Array, ArrayLike, Tensor


def traced(model: keras.Model, pick: Callable[[Any], Any]) -> Any:
    """A concrete function, for any batch size, to what `pick` takes of the outputs in inference."""
    forward = tf.function(
        lambda *inputs: pick(model(list(inputs), training=False)), autograph=False
    )
    return forward.get_concrete_function(*input_specs(model))


def input_specs(model: keras.Model, *, any_length: bool = False) -> list[tf.TensorSpec]:
    """Of any batch size; of sequences, of any length too."""
    shapes = [(None, None, *t.shape[2:]) if any_length else t.shape for t in model.inputs]
    return [tf.TensorSpec((None, *s[1:]), t.dtype) for s, t in zip(shapes, model.inputs)]


def casting(function: Any, model: keras.Model) -> Callable[..., Any]:
    """The function, its arguments cast to the dtypes of the model's inputs."""
    dtypes = [t.dtype for t in model.inputs]
    return lambda *inputs: function(*(tf.cast(x, dtype) for x, dtype in zip(inputs, dtypes)))


def compiled(model: keras.Model, output: str = "") -> Callable[..., Any]:
    """The model in inference, traced once for any batch size; with `output`, that entry alone."""
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
    """Layers made inside compute in this precision; the global policy is put back after."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
