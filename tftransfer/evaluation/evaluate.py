"""Final figures: test metrics with intervals, calibration, per class, baselines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tftransfer.core.problem_types import ProblemType, Task
from tftransfer.data.examples import Examples
from tftransfer.data.input_pipeline import InputPipeline
from tftransfer.metrics.calibration import fit_temperature
from tftransfer.metrics.intervals import with_intervals
from tftransfer.metrics.probabilities import by_task
from tftransfer.models.network import Network
from tftransfer.probes.layer_probes import linear_probe
from tftransfer.utils import signals
from tftransfer.utils.progress import Progress

_BATCH = 64


def predict_outputs(
    network: Network, inputs: InputPipeline, indices: np.ndarray, *, output: str = "logits"
) -> np.ndarray:
    """Returns an output of the network in inference, float32 [n, k].

    Args:
      network: Backbone and heads.
      inputs: The pipeline that decodes the examples.
      indices: Indices of the examples, int64 [n].
      output: Name of the output: `logits`, `features`, or that of another head.
    """
    parts = []
    with Progress("predicting", len(indices)) as progress:
        for batch in inputs.batches(indices, inputs.preprocessor.scaled_batch_size(_BATCH)):
            parts.append(network.predict(batch)[output].numpy())
            progress.add(len(batch))
            signals.raise_if_stop_requested()
    return np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)


def evaluate_logits(
    predict: Callable[[np.ndarray], np.ndarray],
    examples: Examples,
    *,
    temperature: float | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Figures on the test split (or the validation split where there is no test split).

    Args:
      predict: indices to logits, float32 [n, k], of the network with its final weights.
      examples: split.
      temperature: divides the logits; None fits it on the validation split.
      seed: of the bootstrap.

    Returns:
      `test`: metrics and intervals; `per_class`; `confusion` [true][predicted]; with several
      tasks `tasks`, by name, with `test`, `confusion` and the number of `examples` of each;
      `temperature`; `validation`, the figures of the part it was fitted on;
      `split`, the name of the split that was evaluated; `predictions`, a table, its header first.
    """
    problem_type, tasks, labels = examples.problem_type, examples.tasks, examples.targets()
    validation: dict[str, float] = {}
    if temperature is None:
        val = examples.where("val")
        logits = predict(val)
        temperature = fit_temperature(logits, labels[val], problem_type, tasks)
        if len(val):
            values = problem_type.probabilities(logits, temperature, tasks)
            validation = problem_type.metrics(values, labels[val], tasks)
    part = "test" if len(examples.where("test")) else "val"
    indices = examples.where(part)
    if not len(indices):
        return {
            "split": "none",
            "examples": 0,
            "test": {},
            "per_class": [],
            "predictions": [],
            "validation": validation,
            "temperature": temperature,
        }
    values = problem_type.probabilities(predict(indices), temperature, tasks)
    result: dict[str, Any] = {
        "split": part,
        "examples": len(indices),
        "temperature": temperature,
        "validation": validation,
        "test": with_intervals(values, labels[indices], problem_type, tasks, seed=seed),
        "per_class": per_class(values, labels[indices], examples.classes, problem_type, tasks),
        "predictions": predictions(examples, indices, values),
    }
    if problem_type is ProblemType.SINGLE_LABEL:
        result["confusion"] = confusion(values, labels[indices]).tolist()
    if tasks:
        result["tasks"] = of_tasks(values, labels[indices], tasks, seed)
    return result


def of_tasks(
    values: np.ndarray, labels: np.ndarray, tasks: Sequence[Task], seed: int
) -> dict[str, dict[str, Any]]:
    """Of each task that has labels, its own figures, as a network for it alone would have them."""
    return {
        task.name: {
            "examples": len(known),
            "test": with_intervals(some, truth, ProblemType.SINGLE_LABEL, seed=seed),
            "confusion": confusion(some, truth).tolist(),
        }
        for task, known, some, truth in by_task(values, labels, tasks)
    }


def predictions(examples: Examples, indices: np.ndarray, values: np.ndarray) -> list[list[Any]]:
    """A table of name, true label, predicted label and every score; the header first.

    Several labels in a cell are parted by `|`; regression has a `true` and a `predicted`
    for its first column, and the values of all columns. Several tasks have a `true TASK` and a
    `predicted TASK` each; nothing is true where the label is unknown.
    """
    classes, labels, problem_type = (
        examples.classes,
        examples.targets()[indices],
        examples.problem_type,
    )
    if examples.tasks:
        return _predictions_of_tasks(examples, indices, values)

    def said(row: np.ndarray) -> Any:
        if problem_type is ProblemType.REGRESSION:
            return float(row[0])
        if problem_type is ProblemType.SINGLE_LABEL:
            return classes[int(row.argmax())]
        return "|".join(name for name, value in zip(classes, row) if value >= 0.5)

    table: list[list[Any]] = [["name", "true", "predicted", *classes]]
    for index, truth, row in zip(indices, labels, values):
        table.append([examples.names[index], said(truth), said(row), *map(float, row)])
    return table


def _predictions_of_tasks(
    examples: Examples, indices: np.ndarray, values: np.ndarray
) -> list[list[Any]]:
    labels, tasks = examples.targets()[indices], examples.tasks
    heads = [f"{what} {task.name}" for task in tasks for what in ("true", "predicted")]
    table: list[list[Any]] = [["name", *heads, *examples.classes]]
    for index, truth, row in zip(indices, labels, values):
        pairs = zip(*(best(of, examples.classes, tasks) for of in (truth, row)))
        said = [name for pair in pairs for name in pair]
        table.append([examples.names[index], *said, *map(float, row)])
    return table


def best(row: np.ndarray, classes: Sequence[str], tasks: Sequence[Task]) -> list[str]:
    """The class of the highest score of each task; "" where no score is above 0."""
    names = [name.partition("=")[2] for name in classes]
    return [
        names[task.start + int(row[task.columns].argmax())] if row[task.columns].any() else ""
        for task in tasks
    ]


def confusion(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts [true, predicted] over all classes, int64 [k, k]."""
    from sklearn.metrics import confusion_matrix

    k = labels.shape[1]
    return confusion_matrix(labels.argmax(1), values.argmax(1), labels=np.arange(k))


def per_class(
    values: np.ndarray,
    labels: np.ndarray,
    classes: tuple[str, ...],
    problem_type: ProblemType,
    tasks: Sequence[Task] = (),
) -> list[dict[str, Any]]:
    """Precision, recall, F1 and support of every class; error of every column in regression."""
    if tasks:
        return [
            row
            for task, _, some, truth in by_task(values, labels, tasks)
            for row in per_class(some, truth, classes[task.columns], ProblemType.SINGLE_LABEL)
        ]
    if problem_type is ProblemType.REGRESSION:
        errors = np.abs(values - labels).mean(axis=0)
        return [{"class": c, "mean_absolute_error": float(e)} for c, e in zip(classes, errors)]
    from sklearn.metrics import precision_recall_fscore_support

    if problem_type is ProblemType.SINGLE_LABEL:
        guess = np.eye(values.shape[1])[values.argmax(1)]
    else:
        guess = values >= 0.5
    rows = precision_recall_fscore_support(labels, guess, average=None, zero_division=0)
    return [
        {
            "class": name,
            "precision": float(p),
            "recall": float(r),
            "f1": float(f),
            "support": int(s),
        }
        for name, p, r, f, s in zip(classes, *rows)
    ]


def baselines(
    features: Callable[[np.ndarray], np.ndarray], examples: Examples, *, probe: bool
) -> dict[str, Any]:
    """What a guess and a linear probe on the source's features reach on the test split.

    Args:
      features: indices to pooled features of the network before training.
      examples: split.
      probe: whether to fit the probe (it needs one forward pass over the data).
    """
    part = "test" if len(examples.where("test")) else "val"
    train, test = examples.where("train"), examples.where(part)
    labels, problem_type, tasks = examples.targets(), examples.problem_type, examples.tasks
    if not len(test):
        return {}
    constant = np.repeat(labels[train].mean(axis=0, keepdims=True), len(test), axis=0)
    figure = problem_type.main_metric
    found = {"majority": {figure: problem_type.metrics(constant, labels[test], tasks)[figure]}}
    if probe:
        model = _probe(features(train), labels[train], problem_type, tasks)
        for name, indices in {figure: test, "validation": examples.where("val")}.items():
            if len(indices):
                values = _probed(model, features(indices), labels.shape[1], problem_type, tasks)
                reached = problem_type.metrics(values, labels[indices], tasks)[figure]
                found.setdefault("linear_probe", {})[name] = reached
    return found


def _probe(
    features: np.ndarray, labels: np.ndarray, problem_type: ProblemType, tasks: Sequence[Task] = ()
) -> Any:
    from threadpoolctl import threadpool_limits

    if tasks:
        each = by_task(labels, labels, tasks)
        return [
            _probe(features[known], some, ProblemType.SINGLE_LABEL) for _, known, some, _ in each
        ]
    if problem_type is ProblemType.MULTI_LABEL:
        labels = labels.astype(int)
    elif problem_type is ProblemType.SINGLE_LABEL:
        labels = labels.argmax(1)
    # Threads of NumPy's own wait for TensorFlow's, ten times as long as one of them computes.
    with threadpool_limits(1):
        return linear_probe(problem_type).fit(features, labels)


def _probed(
    model: Any, features: np.ndarray, k: int, problem_type: ProblemType, tasks: Sequence[Task] = ()
) -> np.ndarray:
    if tasks:
        pairs = zip(model, tasks, strict=True)
        each = [_probed(one, features, task.count, ProblemType.SINGLE_LABEL) for one, task in pairs]
        return np.concatenate(each, axis=1)
    if problem_type is ProblemType.REGRESSION:
        return model.predict(features).reshape(len(features), -1)
    if problem_type is ProblemType.MULTI_LABEL:
        return model.predict_proba(features)
    values = np.zeros((len(features), k))
    values[:, model.classes_] = model.predict_proba(features)
    return values
