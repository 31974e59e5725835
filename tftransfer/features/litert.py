"""A frozen graph in LiteRT with XNNPACK: one interpreter per core."""

from __future__ import annotations

import contextlib
import os
import queue
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import tensorflow as tf
from absl import logging

from tftransfer.core.typing import Array, TensorLike
from tftransfer.utils.console import quiet_stderr

# Examples per call of an interpreter, whose tensors have fixed shapes: shorter batches are padded,
# and so few leave work for every core.
_BATCH_ROWS = 8


class UnsupportedModelError(RuntimeError):
    """LiteRT has no operation for a part of the model."""


class ConcreteFunction(Protocol):
    """What the converter reads of a concrete function of TensorFlow."""

    graph: tf.Graph
    inputs: Sequence[tf.Tensor]
    outputs: Sequence[tf.Tensor]


def to_litert(
    function: ConcreteFunction, shapes: Sequence[tuple[int, ...]]
) -> Callable[..., list[Array]]:
    """Returns a function from arrays to the outputs, [n, ...] each, that runs in LiteRT.

    Args:
      function: Concrete function without variables.
      shapes: Shapes of its inputs, without the batch axis.

    Raises:
      UnsupportedModelError: LiteRT lacks an operation of the function.
    """
    content = _converted(function)
    workers = os.cpu_count() or 1
    free: queue.SimpleQueue[_Interpreter] = queue.SimpleQueue()
    for _ in range(workers):
        free.put(_Interpreter(content, shapes))
    pool = ThreadPoolExecutor(workers)

    def run(batch: list[Array]) -> list[Array]:
        interpreter = free.get()
        try:
            return interpreter(batch)
        finally:
            free.put(interpreter)

    def forward(*inputs: TensorLike) -> list[Array]:
        arrays = [np.asarray(x) for x in inputs]
        starts = range(0, len(arrays[0]), _BATCH_ROWS)
        batches = [[x[start : start + _BATCH_ROWS] for x in arrays] for start in starts]
        outputs = list(pool.map(run, batches))
        return [np.concatenate(each) for each in zip(*outputs)]

    return forward


def _converted(function: ConcreteFunction) -> bytes:
    from tensorflow.lite.python.convert_phase import ConverterError

    with _converter_silenced():
        # The converter of functions freezes the variables a second time, which doubles the time.
        converter = tf.compat.v1.lite.TFLiteConverter(
            function.graph.as_graph_def(), function.inputs, function.outputs
        )
        try:
            content: bytes = converter.convert()
            return content
        except ConverterError as error:
            raise UnsupportedModelError(str(error)) from error


@contextlib.contextmanager
def _converter_silenced() -> Iterator[None]:
    """Suppresses the converter's messages about its versions."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with quiet_stderr():
            yield
    finally:
        logging.set_verbosity(verbosity)


class _Interpreter:
    """A LiteRT interpreter on one thread, which pads short batches.

    Args:
      content: The LiteRT model.
      shapes: Shapes of its inputs, without the batch axis.
    """

    def __init__(self, content: bytes, shapes: Sequence[tuple[int, ...]]):
        with warnings.catch_warnings(), quiet_stderr():
            # Since TensorFlow 2.20, it warns that it will move to another package.
            warnings.filterwarnings("ignore", message=r"\s*Warning: tf.lite.Interpreter")
            self._interpreter = tf.lite.Interpreter(model_content=content, num_threads=1)
            # Details may come in another order than the function's; their names have its order.
            details = sorted(self._interpreter.get_input_details(), key=lambda each: each["name"])
            self._inputs = [(each["index"], each["dtype"]) for each in details]
            for (index, _), shape in zip(self._inputs, shapes, strict=True):
                self._interpreter.resize_tensor_input(index, (_BATCH_ROWS, *shape))
            self._allocate()
        outputs = sorted(self._interpreter.get_output_details(), key=lambda each: each["name"])
        self._outputs = [each["index"] for each in outputs]

    def _allocate(self) -> None:
        try:
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise UnsupportedModelError(str(error)) from error

    def __call__(self, inputs: Sequence[Array]) -> list[Array]:
        real = len(inputs[0])
        for (index, dtype), x in zip(self._inputs, inputs):
            whole = x if real == _BATCH_ROWS else _padded(x)
            self._interpreter.set_tensor(index, whole.astype(dtype, copy=False))
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index)[:real] for index in self._outputs]


def _padded(x: Array) -> Array:
    return np.concatenate([x, np.zeros((_BATCH_ROWS - len(x), *x.shape[1:]), x.dtype)])
