"""Phases without steps: heads solved on frozen features, statistics measured, weights averaged."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tftransfer.checkpoints import weights
from tftransfer.core.problem_types import ProblemType
from tftransfer.data.examples import Examples
from tftransfer.data.groups import units
from tftransfer.data.input_pipeline import InputPipeline
from tftransfer.models.adabn import measure_statistics
from tftransfer.models.inference import predict_batches
from tftransfer.planning.phase_plan import PhasePlan
from tftransfer.probes.closed_form import SOLVERS
from tftransfer.utils import signals

_MIXES = np.linspace(0.0, 1.0, 11)
_BATCH = 64


def without_steps(planned: PhasePlan, trainer: Any, reference: Any) -> dict[str, Any]:
    """Does what the phase is for; a record of it for `result.json`."""
    began = time.monotonic()
    if planned.phase.batch_norm == "adapt":
        said = _adapt_statistics(planned, trainer)
    elif planned.phase.solve == "interpolate":
        said = _interpolate(planned, trainer, reference)
    else:
        said = _solve(planned, trainer)
    return {"epochs": 0, "best_epoch": 0, "seconds": time.monotonic() - began, **said}


def _solve(planned: PhasePlan, trainer: Any) -> dict[str, Any]:
    """The head `head` as the solution of a linear problem."""
    examples, solve = trainer.plan.examples, planned.phase.solve
    train = examples.where("train")
    features, targets = trainer.extractor.features(train), trainer.targets[train]
    layers = trainer.network.blocks["head"]
    for layer in layers:
        if isinstance(layer, keras.layers.UnitNormalization):
            features = layer(features).numpy()
        if isinstance(layer, keras.layers.Normalization):  # the head's own unit comes after
            targets = (targets - layer.mean.numpy()) / np.sqrt(layer.variance.numpy())
    kernel, bias = _solution(solve, features, targets, examples, np.asarray(units(examples))[train])
    linear = next(layer for layer in layers if isinstance(layer, keras.layers.Dense))
    linear.set_weights([kernel, bias])
    return {"stopped": "solved", "said": f"{solve} on {len(train):,} frozen features"}


def _solution(
    solve: str, features: np.ndarray, targets: np.ndarray, examples: Examples, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    def solved(
        rows: np.ndarray, labels: np.ndarray, problem_type: ProblemType
    ) -> tuple[np.ndarray, np.ndarray]:
        return SOLVERS[solve](
            features[rows], labels[rows], problem_type=problem_type, units=own[rows]
        )

    if not examples.tasks:
        return solved(np.arange(len(targets)), targets, examples.problem_type)
    each = []
    for task in examples.tasks:
        labels = targets[:, task.columns]
        each.append(solved(np.flatnonzero(labels.any(axis=1)), labels, ProblemType.SINGLE_LABEL))
    kernels, biases = zip(*each)
    return np.concatenate(kernels, axis=1), np.concatenate(biases)


def _adapt_statistics(planned: PhasePlan, trainer: Any) -> dict[str, Any]:
    """BatchNorm's statistics of the target stream, in place of the source's."""
    target = trainer.plan.examples.where("target")
    trained = [block for block, rate in planned.rates.items() if rate]
    layers = [layer for block in trained for layer in trainer.network.blocks[block]]
    count = measure_statistics(
        trainer.network.backbone.model,
        layers,
        _checked(_batches(trainer.extractor.decoded, target)),
    )
    said = f"statistics of {count} BatchNorm layers measured on {len(target):,} target examples"
    return {"stopped": "measured", "said": said}


def _batches(decoded: InputPipeline, indices: np.ndarray) -> Iterator[np.ndarray]:
    return decoded.batches(indices, decoded.preprocessor.scaled_batch_size(_BATCH))


def _checked(batches: Any) -> Any:
    for batch in batches:
        signals.raise_if_stop_requested()
        yield batch


def _interpolate(planned: PhasePlan, trainer: Any, reference: Any) -> dict[str, Any]:
    """Between the weights of the reference and those of now (WiSE-FT, Wortsman et al., 2022)."""
    network, val = trainer.network, trainer.plan.examples.where("val")
    blocks = [block for block, rate in planned.rates.items() if rate]
    ends = [
        (variable, reference.values[id(variable)].numpy(), variable.numpy())
        for block in blocks
        for variable in network.variables(block)
    ]
    layers = [layer for block in blocks for layer in network.blocks[block]]
    curve = []
    for mix in _MIXES:
        _mix(ends, layers, mix)
        trainer.extractor.weights_changed()
        curve.append({"mix": float(mix), **_validated(trainer, val)})
    best = min(curve, key=lambda row: row["loss"])
    _mix(ends, layers, best["mix"])
    said = f"{best['mix']:.1f} of the tuned weights and {1 - best['mix']:.1f} of those before"
    return {"stopped": "interpolated", "said": said, "curve": curve}


def _mix(ends: list[tuple[Any, np.ndarray, np.ndarray]], layers: list[Any], mix: float) -> None:
    for variable, then, now in ends:
        variable.assign((1 - mix) * then + mix * now)
    weights.settle(layers)


def _validated(trainer: Any, val: np.ndarray) -> dict[str, float]:
    problem_type, tasks = trainer.plan.examples.problem_type, trainer.plan.examples.tasks
    inputs = ((batch,) for batch in _batches(trainer.extractor.decoded, val))
    logits = predict_batches(lambda batch: trainer.network.predict(batch)["logits"], inputs)
    values = problem_type.probabilities(logits, tasks=tasks)
    figures = problem_type.metrics(values, trainer.targets[val], tasks)
    return {"loss": figures.get("log_loss", figures.get("mean_absolute_error", np.inf)), **figures}
