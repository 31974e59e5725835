"""Evaluation of a network: metrics with intervals, calibration, and tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tftransfer.core.problem_types import ProblemType, Task
from tftransfer.core.typing import Array
from tftransfer.data.examples import Examples
from tftransfer.data.input_pipeline import InputPipeline
from tftransfer.evaluation.tables import confusion_matrix, per_class, prediction_table
from tftransfer.metrics.calibration import fit_temperature
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

    Args:
      predict: Function of indices, int [n], that returns logits, float32 [n, k].
      examples: Examples with splits.
      temperature: Divisor of the logits; None fits it on the validation split.
      seed: Seed of the bootstrap.

    Returns:
      `split`, the name of the evaluated split, and the number of its `examples`; `test`, the
      metrics and their intervals; `per_class`; `confusion_matrix` for single labels; `tasks`, for
      each task its `examples`, `test` and `confusion_matrix`; `temperature`; `validation`, the
      metrics of the split that the temperature was fitted on; `predictions`, a table with a header.
    """
    problem_type, tasks, targets = examples.problem_type, examples.tasks, examples.targets()
    validation: dict[str, float] = {}
    if temperature is None:
        val = examples.where("val")
        logits = predict(val)
        temperature = fit_temperature(logits, targets[val], problem_type, tasks)
        if len(val):
            scores = problem_type.probabilities(logits, temperature, tasks)
            validation = problem_type.metrics(scores, targets[val], tasks)
    common: dict[str, Any] = {"temperature": temperature, "validation": validation}
    split = "test" if len(examples.where("test")) else "val"
    indices = examples.where(split)
    if not len(indices):
        nothing = {"split": "none", "examples": 0, "test": {}, "per_class": [], "predictions": []}
        return {**nothing, **common}
    scores = problem_type.probabilities(predict(indices), temperature, tasks)
    truth = targets[indices]
    result: dict[str, Any] = {
        "split": split,
        "examples": len(indices),
        **common,
        "test": with_intervals(scores, truth, problem_type, tasks, seed=seed),
        "per_class": per_class(scores, truth, examples.classes, problem_type, tasks),
        "predictions": prediction_table(examples, indices, scores),
    }
    if problem_type is ProblemType.SINGLE_LABEL:
        result["confusion_matrix"] = confusion_matrix(scores, truth)
    if tasks:
        result["tasks"] = evaluate_tasks(scores, truth, tasks, seed)
    return result


def evaluate_tasks(
    scores: Array, targets: Array, tasks: Sequence[Task], seed: int
) -> dict[str, dict[str, Any]]:
    """Evaluates each task that has labels on its own, as a network for it alone is evaluated.

    Args:
      scores: Scores of all tasks, float [n, k].
      targets: One-hot labels of all tasks, [n, k].
      tasks: Tasks of the columns.
      seed: Seed of the bootstrap.

    Returns:
      For each task the number of `examples`, `test` metrics and the `confusion_matrix`.
    """
    return {
        task.name: {
            "examples": len(known),
            "test": with_intervals(some, truth, ProblemType.SINGLE_LABEL, seed=seed),
            "confusion_matrix": confusion_matrix(some, truth),
        }
        for task, known, some, truth in by_task(scores, targets, tasks)
    }
