"""Evaluation of a network: metrics with intervals, calibration, and tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tftransfer.core.problem_types import ProblemType, Task
from tftransfer.core.typing import Array
from tftransfer.data.examples import Examples
from tftransfer.data.groups import units
from tftransfer.data.input_pipeline import InputPipeline
from tftransfer.evaluation.tables import confusion_matrix, per_class, prediction_table
from tftransfer.metrics.calibration import Calibration, calibrate
from tftransfer.metrics.intervals import with_intervals
from tftransfer.metrics.probabilities import by_task
from tftransfer.models.inference import predict_batches
from tftransfer.models.network import Network
from tftransfer.utils import signals
from tftransfer.utils.progress import Progress

_BATCH_EXAMPLES = 64


def predict_outputs(
    network: Network, inputs: InputPipeline, indices: Array, *, output: str = "logits"
) -> Array:
    """Computes an output of a network in inference, with a progress bar.

    Args:
      network: Backbone and heads.
      inputs: Decoded examples.
      indices: Indices of the examples, int64 [n].
      output: Name of the output: `logits`, `features`, or that of another head.

    Returns:
      float32 [n, k].
    """
    with Progress("predicting", len(indices)) as progress:

        def output_of(batch: Array) -> Array:
            values: Array = network.predict(batch)[output].numpy()
            progress.add(len(batch))
            signals.raise_if_stop_requested()
            return values

        size = inputs.preprocessor.scaled_batch_size(_BATCH_EXAMPLES)
        return predict_batches(output_of, ((batch,) for batch in inputs.batches(indices, size)))


def evaluate_logits(
    predict: Callable[[Array], Array],
    examples: Examples,
    *,
    temperature: float | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Evaluates a network on the test split, or on the validation split where there is no other.

    Copies of a content with the same label count once. Intervals are over contents, or over groups
    where the examples have some.

    Args:
      predict: Function of indices, int [n], that returns logits, float32 [n, k].
      examples: Examples with splits.
      temperature: Divisor of the logits; None fits it on the validation split.
      seed: Seed of the bootstrap.

    Returns:
      `split`, the name of the evaluated split, the number of its `examples` without `copies`, and
      of their independent `units`; `test`, the metrics and their intervals; `per_class`;
      `confusion_matrix` for single labels; `tasks`, for each task its `examples`, `test` and
      `confusion_matrix`; `temperature` and `calibration`, its reason; `validation`, the metrics of
      the split that the temperature was fitted on; `predictions`, a table with a header.
    """
    problem_type, tasks, targets = examples.problem_type, examples.tasks, examples.targets()
    unit_of = _units(examples)
    validation: dict[str, float] = {}
    calibration = Calibration(temperature or 1.0, "as in training")
    if temperature is None:
        val = examples.where("val")
        val = val[_first_copies(examples, val)]
        logits = predict(val)
        calibration = calibrate(logits, targets[val], problem_type, tasks, units=unit_of[val])
        if len(val):
            scores = problem_type.probabilities(logits, calibration.temperature, tasks)
            validation = problem_type.metrics(scores, targets[val], tasks)
    common: dict[str, Any] = {
        "temperature": calibration.temperature,
        "calibration": calibration.reason,
        "validation": validation,
    }
    split = "test" if len(examples.where("test")) else "val"
    all_indices = examples.where(split)
    if not len(all_indices):
        nothing = {"split": "none", "examples": 0, "test": {}, "per_class": [], "predictions": []}
        return {**nothing, **common}
    all_scores = problem_type.probabilities(predict(all_indices), calibration.temperature, tasks)
    first = _first_copies(examples, all_indices)
    indices, scores = all_indices[first], all_scores[first]
    truth, unit = targets[indices], unit_of[indices]
    result: dict[str, Any] = {
        "split": split,
        "examples": len(indices),
        "copies": len(all_indices) - len(indices),
        "units": len(np.unique(unit)),
        **common,
        "test": with_intervals(scores, truth, problem_type, tasks, units=unit, seed=seed),
        "per_class": per_class(scores, truth, examples.classes, problem_type, tasks),
        "predictions": prediction_table(examples, all_indices, all_scores),
    }
    if problem_type is ProblemType.SINGLE_LABEL:
        result["confusion_matrix"] = confusion_matrix(scores, truth)
    if tasks:
        result["tasks"] = evaluate_tasks(scores, truth, tasks, seed, unit)
    return result


def _units(examples: Examples) -> Array:
    """Number of the unit of each example, int [n]; without hashes each one is a unit."""
    if not len(examples.sha256):
        return np.arange(len(examples))
    numbers: Array = np.unique(units(examples), return_inverse=True)[1]
    return numbers


def _first_copies(examples: Examples, indices: Array) -> Array:
    """Places in `indices` of the first example of each content and label."""
    if not len(examples.sha256):
        return np.arange(len(indices))
    first: dict[tuple[str, str], int] = {}
    for place, index in enumerate(indices):
        first.setdefault((examples.sha256[index], str(examples.labels[index].tolist())), place)
    return np.fromiter(first.values(), np.int64, len(first))


def evaluate_tasks(
    scores: Array,
    targets: Array,
    tasks: Sequence[Task],
    seed: int,
    units: Array | None = None,
) -> dict[str, dict[str, Any]]:
    """Evaluates each task that has labels on its own, as a network for it alone is evaluated.

    Args:
      scores: Scores of all tasks, float [n, k].
      targets: One-hot labels of all tasks, [n, k].
      tasks: Tasks of the columns.
      seed: Seed of the bootstrap.
      units: Unit of each example, [n]; None if all are independent.

    Returns:
      For each task the number of `examples`, `test` metrics and the `confusion_matrix`.
    """
    return {
        task.name: {
            "examples": len(known),
            "test": with_intervals(
                some,
                truth,
                ProblemType.SINGLE_LABEL,
                units=None if units is None else units[known],
                seed=seed,
            ),
            "confusion_matrix": confusion_matrix(some, truth),
        }
        for task, known, some, truth in by_task(scores, targets, tasks)
    }
