"""Phases without steps: heads solved in closed form, statistics measured, weights averaged."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from tftransfer.checkpoints import weights
from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Array, IntArray, KerasLayer, Variable
from tftransfer.data.examples import Examples
from tftransfer.data.groups import units
from tftransfer.data.input_pipeline import InputPipeline
from tftransfer.models.adabn import measure_statistics
from tftransfer.models.inference import predict_batches
from tftransfer.planning.phase_plan import PhasePlan
from tftransfer.probes.closed_form import SOLVERS
from tftransfer.training.context import TrainingContext
from tftransfer.training.reference_weights import Reference
from tftransfer.utils import signals

_MIXES = np.linspace(0.0, 1.0, 11)
_BATCH_SIZE = 64


def run_stepless_phase(
    context: TrainingContext, planned: PhasePlan, reference: Reference
) -> dict[str, Any]:
    """Runs a phase that solves a head, measures statistics or averages weights.

    Args:
      context: What the training reads.
      planned: The phase.
      reference: The weights to interpolate with.

    Returns:
      A record of the phase for `result.json`.
    """
    began = time.monotonic()
    if planned.phase.batch_norm == "adapt":
        record = _adapt_statistics(context, planned)
    elif planned.phase.solve == "interpolate":
        record = _interpolate(context, planned, reference)
    else:
        record = _solve(context, planned.phase.solve)
    return {"epochs": 0, "best_epoch": 0, "seconds": time.monotonic() - began, **record}


def _solve(context: TrainingContext, solver: str) -> dict[str, Any]:
    """Sets the head named `head` to the solution of a linear problem."""
    examples = context.examples
    train = examples.where("train")
    features, targets = context.extractor.features(train), context.targets[train]
    layers = context.network.blocks["head"]
    for layer in layers:
        if isinstance(layer, keras.layers.UnitNormalization):
            features = np.asarray(layer(features))
        if isinstance(layer, keras.layers.Normalization):  # the head's last layer adds the unit
            targets = (targets - layer.mean.numpy()) / np.sqrt(layer.variance.numpy())
    unit_of_row = np.asarray(units(examples))[train]
    kernel, bias = _solution(solver, features, targets, examples, unit_of_row)
    linear = next(layer for layer in layers if isinstance(layer, keras.layers.Dense))
    linear.set_weights([kernel, bias])
    return {"stopped": "solved", "summary": f"{solver} on {len(train):,} frozen features"}


def _solution(
    solver: str, features: Array, targets: Array, examples: Examples, unit_of_row: Array
) -> tuple[Array, Array]:
    def solved(rows: IntArray, labels: Array, problem_type: ProblemType) -> tuple[Array, Array]:
        return SOLVERS[solver](
            features[rows], labels[rows], problem_type=problem_type, units=unit_of_row[rows]
        )

    if not examples.tasks:
        return solved(np.arange(len(targets)), targets, examples.problem_type)
    each = []
    for task in examples.tasks:
        labels = targets[:, task.columns]
        each.append(solved(np.flatnonzero(labels.any(axis=1)), labels, ProblemType.SINGLE_LABEL))
    kernels, biases = zip(*each)
    return np.concatenate(kernels, axis=1), np.concatenate(biases)


def _adapt_statistics(context: TrainingContext, planned: PhasePlan) -> dict[str, Any]:
    """Measures BatchNorm statistics on the target domain (AdaBN, Li et al., 2017)."""
    target = context.examples.where("target")
    count = measure_statistics(
        context.network.backbone.model,
        _trained_layers(context, planned),
        _interruptible(_batches(context.extractor.decoded, target)),
    )
    summary = f"statistics of {count} BatchNorm layers measured on {len(target):,} target examples"
    return {"stopped": "measured", "summary": summary}


def _interpolate(
    context: TrainingContext, planned: PhasePlan, reference: Reference
) -> dict[str, Any]:
    """Averages the present weights and those of the reference (WiSE-FT, Wortsman et al., 2022)."""
    pairs = [
        (variable, np.asarray(reference.values[id(variable)]), variable.numpy())
        for block in _trained_blocks(planned)
        for variable in context.network.variables(block)
    ]
    layers = _trained_layers(context, planned)
    curve = []
    for mix in _MIXES:
        _assign_mix(pairs, layers, mix)
        context.extractor.weights_changed()
        curve.append({"mix": float(mix), **_validate(context)})
    best = min(curve, key=lambda row: row["loss"])
    _assign_mix(pairs, layers, best["mix"])
    summary = f"{best['mix']:.1f} of the tuned weights and {1 - best['mix']:.1f} of those before"
    return {"stopped": "interpolated", "summary": summary, "curve": curve}


def _assign_mix(
    pairs: Iterable[tuple[Variable, Array, Array]], layers: Iterable[KerasLayer], mix: float
) -> None:
    for variable, before, tuned in pairs:
        variable.assign((1 - mix) * before + mix * tuned)
    weights.update_derived_values(layers)


def _validate(context: TrainingContext) -> dict[str, float]:
    examples, val = context.examples, context.examples.where("val")
    inputs = ((batch,) for batch in _batches(context.extractor.decoded, val))
    logits = predict_batches(lambda batch: context.network.predict(batch)["logits"], inputs)
    problem_type, tasks = examples.problem_type, examples.tasks
    scores = problem_type.probabilities(logits, tasks=tasks)
    values = problem_type.metrics(scores, context.targets[val], tasks)
    loss = values.get("log_loss", values.get("mean_absolute_error", np.inf))
    if "r2" in values and len(examples.classes) > 1:  # columns may have different units
        loss = 1 - values["r2"]
    return {"loss": loss, **values}


def _trained_blocks(planned: PhasePlan) -> list[str]:
    return [block for block, rate in planned.rates.items() if rate]


def _trained_layers(context: TrainingContext, planned: PhasePlan) -> Sequence[KerasLayer]:
    blocks = context.network.blocks
    return [layer for block in _trained_blocks(planned) for layer in blocks[block]]


def _batches(decoded: InputPipeline, indices: IntArray) -> Iterator[Array]:
    return decoded.batches(indices, decoded.preprocessor.scaled_batch_size(_BATCH_SIZE))


def _interruptible(batches: Iterable[Array]) -> Iterator[Array]:
    for batch in batches:
        signals.raise_if_stop_requested()
        yield batch
