"""Selects the fastest way to run a frozen network on this machine, by a short measurement."""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypedDict

import keras
import numpy as np
import tensorflow as tf

from tftransfer.core.serialization import read_json, write_json
from tftransfer.core.typing import Array, BoolArray
from tftransfer.data.length_bucketing import Sequences
from tftransfer.features.forward_variants import (
    BUILD_ERRORS,
    BY_LENGTH,
    GRAPH,
    VARIANTS,
    Candidate,
    Forward,
    graph_forward,
)
from tftransfer.utils.keras_internals import call_nodes, functional_of, layers_inside
from tftransfer.utils.progress import waiting

LOGGER = logging.getLogger(__name__)

# With fewer multiplications in all, no measurement saves more time than it takes; with fewer than
# the second number, neither does a second variant.
_MIN_MULTIPLICATIONS = 3e10
_MIN_MULTIPLICATIONS_OF_SECOND = 3e11
_COMPARED_EXAMPLES = 4
_TIMED_EXAMPLES = 32
_TIMED_ROUNDS = 3
# Largest difference of a variant's outputs from Keras's, relative to the largest output.
_TOLERANCE = 1e-4
# Lengths of the sequences on which variants are compared: cut short, and as long as the input.
_COMPARED_LENGTHS = np.array([1, 3, 1 << 20])


class Selection(TypedDict):
    """What a measurement selected, as the JSON files keep it.

    Attributes:
      variant: Name of the selected variant.
      examples_per_second: Measured speed of each variant.
    """

    variant: str
    examples_per_second: dict[str, float]


def fastest_forward(
    model: keras.Model,
    count: int,
    *,
    cache_file: Path | None,
    run_file: Path | None = None,
    ready: Callable[[], None] = lambda: None,
    sequences: Sequences | None = None,
) -> Forward:
    """Returns a function from arrays to the model's outputs in inference mode, the fastest known.

    `litert` runs LiteRT with one interpreter per core; `constants` is a graph whose weights are
    constants, so that BatchNorm becomes part of the convolutions; `constants by length` also runs
    sequences of similar length without their padding. All compute in float32. A variant whose
    outputs differ from Keras's by more than rounding is not used. `graph`, with the weights as
    variables, serves few examples, accelerators, and models that no other variant supports. Where
    the first variant needs only seconds for all examples, no other is measured.

    Args:
      model: Functional model; its weights are read once, now.
      count: Number of examples that it will run on.
      cache_file: JSON file of earlier selections of any run; None where there is no cache.
      run_file: JSON file of this run's own selections, which precedes the cache's: a resumed run
        must select the same variant.
      ready: Function that waits until other work has ended, called before anything is measured.
      sequences: Padding and lengths of the inputs, where these are sequences.
    """
    candidate = Candidate(model, sequences)
    if tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("TPU"):
        return graph_forward(candidate)
    work = _multiplications(model) * count
    if work < _MIN_MULTIPLICATIONS:
        return graph_forward(candidate)
    several = work >= _MIN_MULTIPLICATIONS_OF_SECOND
    key = _signature(candidate, several)
    for file in filter(None, (run_file, cache_file)):
        selection = _selections(file).get(key)
        if selection:
            _keep(run_file, key, selection)
            return VARIANTS[selection["variant"]](candidate)
    with waiting("measuring ways to run the frozen layers"):
        built, rates = _measured(candidate, ready, several=several)
    if not rates:
        return graph_forward(candidate)
    variant = max(rates, key=rates.__getitem__)
    for kept in (run_file, cache_file):
        _keep(kept, key, {"variant": variant, "examples_per_second": rates})
    LOGGER.info(f"  frozen layers run by {variant}: {_reason(rates)}")
    return built[variant]


def _reason(rates: dict[str, float]) -> str:
    shown = ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items())
    return f"the {'fastest' if len(rates) > 1 else 'only variant measured'} of {shown} examples/s"


def _selections(file: Path) -> dict[str, Selection]:
    return read_json(file) if file.is_file() else {}


def _keep(file: Path | None, key: str, selection: Selection) -> None:
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, _selections(file) | {key: selection})


def _measured(
    candidate: Candidate, ready: Callable[[], None], *, several: bool
) -> tuple[dict[str, Forward], dict[str, float]]:
    """Returns the variants that agree with Keras, and their speed in examples per second."""
    rng, model = np.random.default_rng(0), candidate.model
    inputs = [_random_input(rng, tensor) for tensor in model.inputs]
    compared, mask = [x[:_COMPARED_EXAMPLES] for x in inputs], None
    if candidate.sequences:
        compared, mask = candidate.sequences.truncate(compared, _COMPARED_LENGTHS)
    expected = [np.asarray(x) for x in tf.nest.flatten(model(compared, training=False))]
    built: dict[str, Forward] = {}
    for name in _tried(candidate):
        if built and not several:
            break
        forward = _agreeing(name, candidate, compared, expected, mask)
        if forward:
            built[name] = forward
    ready()
    if candidate.sequences:
        inputs, _ = candidate.sequences.truncate(inputs, candidate.sequences.lengths())
    return built, {name: _rate(forward, inputs) for name, forward in built.items()}


def _tried(candidate: Candidate) -> list[str]:
    """Returns the variants worth a measurement: `graph` is never faster than `constants`."""
    skipped = {GRAPH} if candidate.sequences else {GRAPH, BY_LENGTH}
    return [name for name in VARIANTS if name not in skipped]


def _agreeing(
    name: str,
    candidate: Candidate,
    inputs: list[Array],
    expected: list[Array],
    mask: BoolArray | None,
) -> Forward | None:
    """Returns a variant, or None where it cannot run the model or differs from Keras."""
    try:
        forward = VARIANTS[name](candidate)
        outputs = forward(*inputs)
    except BUILD_ERRORS as error:
        LOGGER.debug(f"  {name} cannot run the frozen layers: {error}")
        return None
    if all(_close(a, b, mask) for a, b in zip(outputs, expected, strict=True)):
        return forward
    LOGGER.debug(f"  {name} differs from Keras by more than {_TOLERANCE:g}")
    return None


def _random_input(rng: np.random.Generator, tensor: keras.KerasTensor) -> Array:
    shape = (_TIMED_EXAMPLES, *tensor.shape[1:])
    if tensor.dtype == "string":
        return np.full(shape, b"word", object)
    if "int" in tensor.dtype:
        return rng.integers(0, 2, shape).astype(tensor.dtype)
    return rng.uniform(0, 255, shape).astype(np.float32)


def _close(a: Array, b: Array, mask: BoolArray | None = None) -> bool:
    """Returns whether outputs agree; of sequences, where the mask is True."""
    if mask is not None and a.shape == b.shape and a.ndim > 2:
        a, b = a[mask], b[mask]
    return a.shape == b.shape and float(np.abs(a - b).max()) <= _TOLERANCE * (
        float(np.abs(b).max()) + 1e-6
    )


def _rate(forward: Forward, inputs: Sequence[Array]) -> float:
    """Returns the speed in examples per second, by the median of a few rounds."""
    seconds = []
    forward(*inputs)
    for _ in range(_TIMED_ROUNDS):
        started = time.perf_counter()
        forward(*inputs)
        seconds.append(time.perf_counter() - started)
    return len(inputs[0]) / float(np.median(seconds))


def _multiplications(model: keras.Model) -> int:
    """Returns the multiplications per example, by the layers' kernels; other layers count as 0.

    A layer with layers inside, such as a transformer block, has as many positions as its output. A
    network inside counts once.
    """
    total = 0
    for node in call_nodes(model):
        inner = functional_of(node.operation)
        if inner is not None:
            total += _multiplications(inner)
            continue
        kernels = [getattr(layer, "kernel", None) for layer in layers_inside(node.operation)]
        weights = sum(int(np.prod(kernel.shape)) for kernel in kernels if kernel is not None)
        positions = [side or 1 for side in node.outputs[0].shape[1:-1]]  # None for any length
        total += weights * int(np.prod(positions, dtype=np.int64))
    return total


def _signature(candidate: Candidate, several: bool) -> str:
    """Returns a key of what a selection depends on: architecture, machine, measured variants."""
    layers = [
        (
            type(layer).__name__,
            [str(x.shape) for x in tf.nest.flatten(layer.output)],
            [str(w.shape) for w in layer.weights],
        )
        for layer in candidate.model.layers
        if not isinstance(layer, keras.layers.InputLayer)
    ]
    machine = (platform.machine(), platform.processor(), os.cpu_count(), tf.__version__)
    measured = (several, *_tried(candidate))
    return hashlib.sha256(repr((machine, layers, measured)).encode()).hexdigest()[:16]
