"""The fastest way to run a frozen network on this machine, found by a short measured trial."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tftransfer.core.serialization import read_json, write_json
from tftransfer.data.length_bucketing import Sequences, run_by_length
from tftransfer.features.litert import in_litert
from tftransfer.models.inference import casting, input_specs, traced
from tftransfer.utils.keras_internals import call_nodes, functional_of, layers_inside

LOGGER = logging.getLogger(__name__)

Forward = Callable[..., list[np.ndarray]]

# Below so many multiplications in all, no trial is worth its time; nor is a second variant.
_WORTH_A_TRIAL, _WORTH_ANOTHER = 3e10, 3e11
_COMPARED = 4
_TRIAL_EXAMPLES = 32
_TRIAL_ROUNDS = 3
_ALIKE = "alike lengths"
# Lengths of the sequences that variants are compared on: cut off, and as long as they may be.
_SPREAD = np.array([1, 3, 1 << 20])


def fastest(
    model: keras.Model,
    count: int,
    *,
    cache_file: Path | None,
    run_file: Path | None = None,
    ready: Callable[[], Any] = lambda: None,
    sequences: Sequences | None = None,
) -> Forward:
    """A function from arrays to the model's outputs in inference, as fast as is known.

    `xnnpack` is LiteRT, one interpreter per core; `constants` is a graph with the weights folded
    into it, so that BatchNorm becomes part of the convolutions. Both compute in float32 and agree
    with Keras to rounding, else they are left out; where the first takes seconds for everything,
    the second is not tried. `alike lengths` are constants too, of sequences whose padding is left
    out. `graph`, with its weights as variables, is for what none of these can do, and for too few
    examples. The choice is kept in `cache_file` so that a later process makes the
    same one.

    Args:
      model: functional; its weights are read once, now.
      count: how many examples it will be run on.
      cache_file: a JSON file of earlier trials, of any run; None when there is none.
      run_file: the same of this run, which counts first: a resumed run must choose as it did.
      ready: called before anything is measured; it waits for other work to end.
      sequences: what is known of inputs that are such.
    """
    candidate = Candidate(model, sequences)
    if tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("TPU"):
        return _graph(candidate)
    work = _multiplications(model) * count
    if work < _WORTH_A_TRIAL:
        return _graph(candidate)
    thorough = work >= _WORTH_ANOTHER
    key = _signature(candidate, thorough)
    for file in filter(None, (run_file, cache_file)):
        trial = _trials(file).get(key)
        if trial:
            _remember(run_file, key, trial)
            return VARIANTS[trial["choice"]](candidate)
    made, rates = _trial(candidate, ready, thorough=thorough)
    if not rates:
        return _graph(candidate)
    choice = max(rates, key=rates.__getitem__)
    for place in (run_file, cache_file):
        _remember(place, key, {"choice": choice, "rates": rates})
    shown = ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items())
    why = "the fastest here of " if len(rates) > 1 else "the only one tried, "
    LOGGER.info(f"  forward by {choice}: {why}{shown} examples/s")
    return made[choice]


def _trials(file: Path) -> dict[str, Any]:
    return read_json(file) if file.is_file() else {}


def _remember(file: Path | None, key: str, trial: dict[str, Any]) -> None:
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, _trials(file) | {key: trial})


def _trial(
    candidate: Candidate, ready: Callable[[], Any], *, thorough: bool
) -> tuple[dict[str, Forward], dict[str, float]]:
    rng, model = np.random.default_rng(0), candidate.model
    inputs = [_trial_input(rng, t) for t in model.inputs]
    few, counts = [x[:_COMPARED] for x in inputs], None
    if candidate.sequences:
        few, counts = candidate.sequences.truncate(few, _SPREAD)
    expected = [np.asarray(x) for x in tf.nest.flatten(model(few, training=False))]
    made: dict[str, Forward] = {}
    for name, make in VARIANTS.items():
        if name == "graph" or (made and not thorough):
            continue  # the graph is never faster than one with constants
        if name == _ALIKE and not candidate.sequences:
            continue
        try:
            forward = make(candidate)
            outputs = forward(*few)
        except Exception:  # of the converter and the runtimes, whose classes are their own
            continue  # this network has operations that the variant does not know
        if all(_close(a, b, counts) for a, b in zip(outputs, expected, strict=True)):
            made[name] = forward
    ready()
    if candidate.sequences:
        inputs, _ = candidate.sequences.truncate(inputs, candidate.sequences.lengths())
    return made, {name: _rate(forward, inputs) for name, forward in made.items()}


def _trial_input(rng: np.random.Generator, tensor: Any) -> np.ndarray:
    shape = (_TRIAL_EXAMPLES, *tensor.shape[1:])
    if tensor.dtype == "string":
        return np.full(shape, b"word", object)
    if "int" in tensor.dtype:
        return rng.integers(0, 2, shape).astype(tensor.dtype)
    return rng.uniform(0, 255, shape).astype(np.float32)


def _close(a: np.ndarray, b: np.ndarray, there: np.ndarray | None = None) -> bool:
    """Whether outputs agree; of sequences, in the places that are `there`."""
    if there is not None and a.shape == b.shape and a.ndim > 2:
        a, b = a[there], b[there]
    return a.shape == b.shape and float(np.abs(a - b).max()) <= 1e-4 * (
        float(np.abs(b).max()) + 1e-6
    )


def _rate(forward: Forward, inputs: Sequence[np.ndarray]) -> float:
    seconds = []
    forward(*inputs)
    for _ in range(_TRIAL_ROUNDS):
        started = time.perf_counter()
        forward(*inputs)
        seconds.append(time.perf_counter() - started)
    return len(inputs[0]) / float(np.median(seconds))


def _multiplications(model: keras.Model) -> int:
    """Of one example, by the layers' kernels; layers of other kinds count nothing.

    What is inside a layer, such as a transformer's block, has as many places as its output; a
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
        places = [side or 1 for side in node.outputs[0].shape[1:-1]]  # open where made for any
        total += weights * int(np.prod(places, dtype=np.int64))
    return total


def _signature(candidate: Candidate, thorough: bool) -> str:
    """What the choice depends on: the network's form, the machine, and what was tried."""
    model = candidate.model
    layers = [
        (
            type(layer).__name__,
            [str(x.shape) for x in tf.nest.flatten(layer.output)],
            [str(w.shape) for w in layer.weights],
        )
        for layer in model.layers
        if not isinstance(layer, keras.layers.InputLayer)
    ]
    machine = (platform.machine(), platform.processor(), os.cpu_count(), tf.__version__)
    tried = (thorough, *([_ALIKE] if candidate.sequences else []))
    return hashlib.sha256(repr((machine, layers, tried)).encode()).hexdigest()[:16]


def _without_variables(function: Any) -> Any:
    """For what Keras cannot call with other weights, such as a module from TF-Hub."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    return convert_variables_to_constants_v2(function)


class Candidate:
    """A model whose graph is traced once for each use, whatever is made of it.

    Args:
      model: functional.
      sequences: what is known of its inputs, where they are such.
    """

    def __init__(self, model: keras.Model, sequences: Sequences | None = None):
        self.model, self.sequences = model, sequences

    @functools.cached_property
    def traced(self) -> Any:
        """A concrete function from the inputs to a flat list of outputs."""
        return traced(self.model, tf.nest.flatten)

    @functools.cached_property
    def frozen(self) -> Any:
        """The same with the weights as constants."""
        found = self.with_constants()
        return found if not found.captured_inputs else _without_variables(self.traced)

    def with_constants(self, *, any_length: bool = False) -> Any:
        """A concrete function as `traced`, the weights among its constants."""
        model = self.model
        weights = [
            [variable.numpy() for variable in variables]
            for variables in (model.trainable_variables, model.non_trainable_variables)
        ]

        def forward(*inputs: Any) -> Any:
            values = [[tf.constant(array) for array in arrays] for arrays in weights]
            outputs, _ = model.stateless_call(*values, list(inputs), training=False)
            return tf.nest.flatten(outputs)

        specs = input_specs(model, any_length=any_length)
        return tf.function(forward, autograph=False).get_concrete_function(*specs)


def _graph(candidate: Candidate) -> Forward:
    return _in_tensorflow(candidate.traced, candidate.model)


def _constants(candidate: Candidate) -> Forward:
    return _in_tensorflow(candidate.frozen, candidate.model)


def _alike_lengths(candidate: Candidate) -> Forward:
    assert candidate.sequences
    length = candidate.model.inputs[0].shape[1]
    whole = _in_tensorflow(candidate.with_constants(any_length=True), candidate.model)
    return run_by_length(whole, length, candidate.sequences.padding)


def _in_tensorflow(function: Any, model: keras.Model) -> Forward:
    call = casting(function, model)
    return lambda *inputs: [np.asarray(output) for output in tf.nest.flatten(call(*inputs))]


def _xnnpack(candidate: Candidate) -> Forward:
    return in_litert(candidate.frozen, [tuple(t.shape[1:]) for t in candidate.model.inputs])


VARIANTS: dict[str, Callable[[Candidate], Forward]] = {
    "xnnpack": _xnnpack,
    "constants": _constants,
    _ALIKE: _alike_lengths,
    "graph": _graph,
}
