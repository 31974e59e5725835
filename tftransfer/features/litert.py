"""A frozen graph in LiteRT with XNNPACK: one interpreter per core."""

from __future__ import annotations

import contextlib
import os
import queue
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from tftransfer.utils.console import quiet_stderr

_BATCH = 8


def in_litert(function: Any, shapes: Sequence[tuple[int, ...]]) -> Callable[..., list[np.ndarray]]:
    """A function from arrays to the outputs, [n, ...] each.

    Args:
      function: concrete, without variables.
      shapes: of its inputs, without the batch axis.
    """
    with _converter_silenced():
        # That of a graph: the one of a function freezes it once more, for twice the time.
        converter = tf.compat.v1.lite.TFLiteConverter(
            function.graph.as_graph_def(), function.inputs, function.outputs
        )
        content = converter.convert()
    free: queue.SimpleQueue[_Interpreter] = queue.SimpleQueue()
    workers = os.cpu_count() or 1
    for _ in range(workers):
        free.put(_Interpreter(content, shapes))
    pool = ThreadPoolExecutor(workers)

    def run(piece: list[np.ndarray]) -> list[np.ndarray]:
        interpreter = free.get()
        try:
            return interpreter(piece)
        finally:
            free.put(interpreter)

    def forward(*inputs: Any) -> list[np.ndarray]:
        arrays = [np.asarray(x) for x in inputs]
        starts = range(0, len(arrays[0]), _BATCH)
        pieces = [[x[start : start + _BATCH] for x in arrays] for start in starts]
        done = list(pool.map(run, pieces))
        return [np.concatenate(parts) for parts in zip(*done)]

    return forward


@contextlib.contextmanager
def _converter_silenced() -> Iterator[None]:
    """The converter tells of its own versions, as information and as warnings."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with quiet_stderr():
            yield
    finally:
        logging.set_verbosity(verbosity)


class _Interpreter:
    """A LiteRT interpreter on one thread; short batches are filled up."""

    def __init__(self, content: bytes, shapes: Sequence[tuple[int, ...]]):
        with warnings.catch_warnings(), quiet_stderr():
            # It has been about to move to a package of its own since TensorFlow 2.20.
            warnings.filterwarnings("ignore", message=r"\s*Warning: tf.lite.Interpreter")
            self._inner = tf.lite.Interpreter(model_content=content, num_threads=1)
            details = sorted(self._inner.get_input_details(), key=lambda each: each["name"])
            self._inputs = [(each["index"], each["dtype"]) for each in details]
            for (index, _), shape in zip(self._inputs, shapes, strict=True):
                self._inner.resize_tensor_input(index, (_BATCH, *shape))
            self._inner.allocate_tensors()
        outputs = sorted(self._inner.get_output_details(), key=lambda each: each["name"])
        self._outputs = [each["index"] for each in outputs]

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        real = len(inputs[0])
        for (index, dtype), x in zip(self._inputs, inputs):
            whole = x if real == _BATCH else _filled(x)
            self._inner.set_tensor(index, whole.astype(dtype, copy=False))
        self._inner.invoke()
        return [self._inner.get_tensor(index)[:real] for index in self._outputs]


def _filled(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, np.zeros((_BATCH - len(x), *x.shape[1:]), x.dtype)])
