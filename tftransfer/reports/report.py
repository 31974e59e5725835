"""`report.md` and its plots, from what a run has written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Result
from tftransfer.reports import plots
from tftransfer.reports.commands import Commands
from tftransfer.reports.plot_text import undrawable
from tftransfer.reports.training_issues import backbone_until
from tftransfer.utils.markdown import code, escape, table
from tftransfer.utils.progress import waiting
from tftransfer.workdir.run_folder import RunFolder

PLOTS_FOLDER = "plots"
_MAX_CONFUSIONS = 20
# Larger tables show the classes with the lowest values only.
_MAX_CLASS_ROWS = 100
_CURVES = "learning_curves.png"
_BLOCKS = "trained_blocks.png"
_COMMAND = re.compile(r"tftransfer(?: \w+ --|\.\w+\().*?(?=$|, or |\.$)")


class _Confusion(NamedTuple):
    """A confusion matrix, the file of its plot, and the names of its classes."""

    file: str
    counts: Sequence[Sequence[int]]
    classes: list[str]


@waiting("writing the report and its plots")
def write_report(run: RunFolder, result: Result) -> None:
    """Writes `report.md` and the folder `plots` of a run.

    Args:
      run: Folder of the run, with its configuration and metrics.
      result: Content of `result.json`.
    """
    folder = run.workdir / PLOTS_FOLDER
    folder.mkdir(exist_ok=True)
    _write_plots(run, result, folder)
    lines = list(_lines(run, result))
    text = "\n".join(lines) + "\n"
    run.report.write_text(text, encoding="utf-8", errors="backslashreplace")


def _write_plots(run: RunFolder, result: Result, folder: Path) -> None:
    if run.metrics():
        plots.learning_curves(run.metrics(), folder / _CURVES)
    plots.trained_blocks(result["phases"], folder / _BLOCKS)
    for file, counts, classes in _confusions(result):
        plots.confusion_matrix(counts, classes, folder / file)


def _confusions(result: Result) -> list[_Confusion]:
    if result.get("confusion_matrix"):
        classes = list(result["classes"])
        return [_Confusion("confusion_matrix.png", result["confusion_matrix"], classes)]
    evaluated = result.get("tasks", {})
    tasks = ProblemType(result["problem_type"]).tasks(result["classes"])
    return [
        _Confusion(
            f"confusion_matrix-{number}.png",
            evaluated[task.name]["confusion_matrix"],
            [name.partition("=")[2] for name in result["classes"][task.columns]],
        )
        for number, task in enumerate(tasks, 1)
        if task.name in evaluated
    ]


def _confusion_section(confusion: _Confusion) -> Iterable[str]:
    yield from (f"![confusion matrix]({PLOTS_FOLDER}/{confusion.file})", "")
    numbered = undrawable(confusion.classes)
    if numbered:
        names = ", ".join(f"#{number} is {name}" for number, name in numbered.items())
        yield from (escape(f"No installed font has the characters of some names: {names}."), "")
    if len(confusion.classes) > plots.MAX_CLASSES_WITH_NAMES:
        yield from _most_frequent_confusions(confusion)


def _most_frequent_confusions(confusion: _Confusion) -> list[str]:
    """A table of the classes confused most often, where the plot is too small for names."""
    counts, classes = np.array(confusion.counts), confusion.classes
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")
    pairs = [divmod(int(place), len(classes)) for place in order[:_MAX_CONFUSIONS]]
    rows = [[classes[a], classes[b], f"{counts[a, b]:,}"] for a, b in pairs if counts[a, b]]
    shown, found = len(rows), int(np.count_nonzero(counts))
    if not rows:
        return []
    title = f"The {shown:,} most frequent of {found:,} confusions; all are in result.json."
    return [title, "", *table(["true", "predicted", "examples"], rows), ""]


def _lines(run: RunFolder, result: Result) -> Iterable[str]:
    experiment = run.experiment
    yield from (f"# {escape(result['recipe'])} of {escape(str(experiment.backbone))}", "")
    yield from (*(f"- {_with_code(line)}" for line in result["verdict"]), "")
    yield from _data_section(result)
    yield from _metrics_section(result)
    yield from _task_section(result)
    yield from ("## What was trained", "", f"![trained blocks]({PLOTS_FOLDER}/{_BLOCKS})", "")
    yield from (*map(_phase_line, result["phases"]), "")
    if run.metrics():
        yield from (f"![learning curves]({PLOTS_FOLDER}/{_CURVES})", "")
    yield from _adaptation_section(result["phases"])
    yield from _interpolation_section(result["phases"])
    commands = Commands(experiment=experiment, workdir=run.workdir)
    yield from _layer_probe_section(result, commands)
    yield from ("## Metrics of each class", "", *_class_table(result), "")
    for confusion in _confusions(result):
        yield from _confusion_section(confusion)
    seconds = [[name, f"{value:.1f}"] for name, value in result["seconds"].items()]
    yield from ("## Time", "", *table(["step", "seconds"], seconds))


def _with_code(line: str) -> str:
    """A line of the verdict, with its command as code, from which it can be copied."""
    found = _COMMAND.search(line)
    if not found:
        return escape(line)
    return f"{escape(line[: found.start()])}{code(found[0])}{escape(line[found.end() :])}"


def _data_section(result: Result) -> list[str]:
    """What was understood of the data, as a code block, in which names are literal."""
    lines = [f"    {topic:<10}{text}" for topic, text in result.get("data", ())]
    return ["## Data", "", *lines, ""] if lines else []


def _metrics_section(result: Result) -> list[str]:
    quarantined = result.get("quarantined", 0)
    skipped = f" {quarantined:,} files were skipped; see quarantine.csv." if quarantined else ""
    return [
        "## Metrics",
        "",
        f"{result.get('examples', 0):,} examples of the {result['split']} split"
        f"{_counted(result)}; temperature of the scores: {result['temperature']:.2f}, "
        f"{result.get('calibration', 'fitted')}.{skipped}",
        "",
        *table(
            ["metric", "value", "95 % interval"], [*_metric_rows(result), *_baseline_rows(result)]
        ),
        "",
    ]


def _counted(result: Result) -> str:
    """What intervals are over, where examples are not independent, and what is not counted."""
    examples, units, copies = (result.get(name, 0) for name in ("examples", "units", "copies"))
    over = f" in {units:,} groups, which the intervals are over" if 0 < units < examples else ""
    return over + (f" ({copies:,} copies are not counted)" if copies else "")


def _metric_rows(result: Result) -> list[list[str]]:
    intervals = result["test"].get("intervals", {})
    rows = []
    for name, value in result["test"].items():
        if name != "intervals":
            low, high = intervals.get(name, (None, None))
            interval = f"{low:.3f} to {high:.3f}" if low is not None else ""
            rows.append([name.replace("_", " "), f"{value:.3f}", interval])
    return rows


def _baseline_rows(result: Result) -> list[list[str]]:
    metric = ProblemType(result["problem_type"]).main_metric
    return [
        [f"{metric} of the {name.replace('_', ' ')} baseline", f"{values[metric]:.3f}", ""]
        for name, values in result["baselines"].items()
    ]


def _task_section(result: Result) -> list[str]:
    """A row for each task, for comparison with a network that is trained on that task only."""
    if not result.get("tasks"):
        return []
    rows = []
    for name, task in result["tasks"].items():
        test = task["test"]
        low, high = test["intervals"]["accuracy"]
        metrics = [f"{test[metric]:.3f}" for metric in ("macro_f1", "log_loss")]
        interval = f"{low:.3f} to {high:.3f}"
        rows.append([name, f"{task['examples']:,}", f"{test['accuracy']:.3f}", interval, *metrics])
    header = ["task", "labeled examples", "accuracy", "95 % interval", "macro f1", "log loss"]
    return ["## Metrics of each task", "", *table(header, rows), ""]


def _phase_line(phase: Result) -> str:
    frozen = escape(", ".join(phase["frozen_verified"]) or "none")
    if phase["epochs"]:
        best, stopped = phase["best_epoch"], phase["stopped"]
        steps = f"{phase['epochs']} epochs, the best was epoch {best} ({stopped})"
    else:
        steps = f"no training steps; {escape(phase['summary'])}"
    return (
        f"- **{escape(phase['name'])}**: {steps}; {phase['seconds']:.1f} s. Frozen blocks, "
        f"verified by their hash to be unchanged: {frozen}."
    )


def _adaptation_section(phases: Sequence[Result]) -> list[str]:
    """The quality of the adaptation to a target domain after each phase."""
    rows = []
    for phase in phases:
        if "adaptation" in phase:
            found = phase["adaptation"]
            final = "the run ends with these weights" if phase.get("kept") else ""
            gap, reverse = f"{found['domain_gap']:.2f}", f"{found['reverse_validation']:.3f}"
            rows.append([phase["name"], gap, reverse, final])
    if not rows:
        return []
    header = ["after the phase", "domain gap (0 to 2)", "reverse validation", ""]
    return ["## Adaptation to the target domain", "", *table(header, rows), ""]


def _interpolation_section(phases: Sequence[Result]) -> list[str]:
    """The validation loss of mixtures of the weights before and after the training."""
    curves = [phase["curve"] for phase in phases if "curve" in phase]
    if not curves:
        return []
    rows = [[f"{row['mix']:.1f}", f"{row['loss']:.4f}"] for row in curves[-1]]
    header = ["share of the tuned weights", "validation loss"]
    return ["## Interpolation of the weights", "", *table(header, rows), ""]


def _layer_probe_section(result: Result, commands: Commands) -> list[str]:
    """Accuracies of linear probes on the stages before training, if they were measured."""
    probes = result.get("layer_probes")
    if not probes:
        return []
    values = probes["accuracy"]
    best = max(values, key=values.__getitem__)
    rows = [[name, f"{value:.3f}{' (best)' * (name == best)}"] for name, value in values.items()]
    command = commands.train(best, backbone=backbone_until(result["backbone"], best))
    return [
        "## Features of each stage",
        "",
        "Accuracy of a linear probe on each stage before training, cross-validated on "
        f"{probes['examples']:,} examples outside the test split. To end the network at {best}:",
        "",
        f"    {command}",
        "",
        *table(["stage", "accuracy"], rows),
        "",
    ]


def _class_table(result: Result) -> list[str]:
    """The metrics of each class; of many classes those with the lowest F1, and how many more."""
    rows = result["per_class"]
    if not rows:
        return ["None."]
    header, more = list(rows[0]), len(rows) - _MAX_CLASS_ROWS
    if more > 0:
        tested = [row for row in rows if row.get("f1") is not None]
        rows = sorted(tested, key=lambda row: row["f1"])[:_MAX_CLASS_ROWS]
    lines = table(header, [list(map(_cell, row.values())) for row in rows])
    if more <= 0:
        return lines
    total = len(result["per_class"])
    note = f"The {len(rows):,} of {total:,} classes with the lowest F1; all are in result.json."
    return [note, "", *lines]


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
