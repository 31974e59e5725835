"""`report.md` and its pictures, from what a run has written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tftransfer.core.problem_types import ProblemType
from tftransfer.reports import plots
from tftransfer.workdir.run_folder import RunFolder


def write_report(run: RunFolder, result: dict[str, Any]) -> None:
    """Writes `report.md` and `pictures/` of a run with this result."""
    folder = run.workdir / "pictures"
    folder.mkdir(exist_ok=True)
    if run.metrics():
        plots.curves(run.metrics(), folder / "curves.png")
    plots.block_strip(result["phases"], folder / "blocks.png")
    for name, counts, classes in _confusions(result):
        plots.confusion(counts, classes, folder / name)
    (run.workdir / "report.md").write_text("\n".join(_lines(run, result)) + "\n")


def _confusions(result: dict[str, Any]) -> list[tuple[str, Any, list[str]]]:
    """Name of the file, counts and classes of each confusion matrix."""
    if result.get("confusion_matrix"):
        return [("confusion.png", result["confusion_matrix"], list(result["classes"]))]
    done = result.get("tasks", {})
    return [
        (
            f"confusion-{number}.png",
            done[task.name]["confusion_matrix"],
            [name.partition("=")[2] for name in result["classes"][task.columns]],
        )
        for number, task in enumerate(
            ProblemType(result["problem_type"]).tasks(result["classes"]), 1
        )
        if task.name in done
    ]


def _lines(run: RunFolder, result: dict[str, Any]) -> list[str]:
    experiment = run.experiment
    lines = [
        f"# {result['recipe']} of {experiment.backbone}",
        "",
        *(f"- {line}" for line in result["verdict"]),
        "",
        "## Figures",
        "",
        f"On the {result['split']} split, {result.get('examples', 0):,} examples; scores "
        f"calibrated by temperature {result['temperature']:.2f}. {_left_out(result)}",
        "",
        "| figure | value | 95 % interval |",
        "|---|---|---|",
        *_figure_rows(result),
        *_baseline_rows(result),
        "",
        *_task_table(result),
        "## What trained",
        "",
        "![blocks](pictures/blocks.png)",
        "",
        *(_phase_line(phase) for phase in result["phases"]),
        "",
        *(["![curves](pictures/curves.png)", ""] if run.metrics() else []),
        *_adaptation(result["phases"]),
        *_mixes(result["phases"]),
        *_layer_probe_table(result.get("layer_probes")),
        "## By class",
        "",
        *_class_table(result),
        "",
    ]
    for name, _, _ in _confusions(result):
        lines += [f"![confusion matrix](pictures/{name})", ""]
    lines += ["## Time", "", "| part | seconds |", "|---|---|"]
    lines += [f"| {name} | {value:.1f} |" for name, value in result["seconds"].items()]
    return lines


def _left_out(result: dict[str, Any]) -> str:
    count = result.get("quarantined", 0)
    return f"{count} files could not be used: see quarantine.csv." if count else ""


def _figure_rows(result: dict[str, Any]) -> list[str]:
    intervals = result["test"].get("intervals", {})
    rows = []
    for name, value in result["test"].items():
        if name != "intervals":
            low, high = intervals.get(name, (None, None))
            interval = f"{low:.3f} to {high:.3f}" if low is not None else ""
            rows.append(f"| {name.replace('_', ' ')} | {value:.3f} | {interval} |")
    return rows


def _task_table(result: dict[str, Any]) -> list[str]:
    """A row per task: what a network for that task alone is to be compared with."""
    if not result.get("tasks"):
        return []
    rows = []
    for name, found in result["tasks"].items():
        low, high = found["test"]["intervals"]["accuracy"]
        cells = [f"{found['test'][figure]:.3f}" for figure in ("macro_f1", "log_loss")]
        rows.append(
            f"| {name} | {found['examples']:,} | {found['test']['accuracy']:.3f} | "
            f"{low:.3f} to {high:.3f} | {' | '.join(cells)} |"
        )
    return [
        "## By task",
        "",
        "| task | examples with a label | accuracy | 95 % interval | macro f1 | log loss |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
    ]


def _layer_probe_table(probes: dict[str, Any] | None) -> list[str]:
    """What a probe on each stage reached before training."""
    if not probes:
        return []
    best = max(probes["accuracy"].values())
    rows = [
        f"| {name} | {f'**{value:.3f}**' if value == best else f'{value:.3f}'} |"
        for name, value in probes["accuracy"].items()
    ]
    return [
        "## Which stage knows most",
        "",
        f"Accuracy of a linear probe on each stage before training, cross-validated on "
        f"{probes['examples']:,} examples that are not the test's. `--backbone=NAME:layer=STAGE` "
        "ends the network there.",
        "",
        "| stage | accuracy |",
        "|---|---|",
        *rows,
        "",
    ]


def _baseline_rows(result: dict[str, Any]) -> list[str]:
    figure = ProblemType(result["problem_type"]).main_metric
    return [
        f"| {figure} of the {name.replace('_', ' ')} | {values[figure]:.3f} | |"
        for name, values in result["baselines"].items()
    ]


def _phase_line(phase: dict[str, Any]) -> str:
    frozen = ", ".join(phase["frozen_verified"]) or "none"
    steps = (
        f"{phase['epochs']} epochs, the best was {phase['best_epoch']} ({phase['stopped']})"
        if phase["epochs"]
        else f"no steps; {phase['said']}"
    )
    return (
        f"- **{phase['name']}**: {steps}; {phase['seconds']:.1f} s. Frozen blocks, proved "
        f"unchanged by their hash: {frozen}."
    )


def _adaptation(phases: Sequence[dict[str, Any]]) -> list[str]:
    """What was seen of the target domain after each phase."""
    judged = [phase for phase in phases if "judged" in phase]
    if not judged:
        return []
    lines = [
        "## The target domain, judged without its labels",
        "",
        "| after phase | domain gap (0 alike, 2 apart) | reverse validation | |",
        "|---|---|---|---|",
    ]
    for phase in judged:
        found = phase["judged"]
        kept = "the run ends with these weights" if phase.get("kept") else ""
        lines.append(
            f"| {phase['name']} | {found['domain_gap']:.2f} | {found['reverse_validation']:.3f} "
            f"| {kept} |"
        )
    return [*lines, ""]


def _mixes(phases: Sequence[dict[str, Any]]) -> list[str]:
    """The curve of averaged weights, where a phase drew one."""
    curves = [phase["curve"] for phase in phases if "curve" in phase]
    if not curves:
        return []
    lines = [
        "## Weights before and after, averaged",
        "",
        "| share of the tuned weights | validation loss |",
        "|---|---|",
    ]
    lines += [f"| {row['mix']:.1f} | {row['loss']:.4f} |" for row in curves[-1]]
    return [*lines, ""]


def _class_table(result: dict[str, Any]) -> list[str]:
    rows = result["per_class"]
    if not rows:
        return ["None."]
    names = list(rows[0])
    table = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    for row in rows:
        cells = [f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()]
        table.append(f"| {' | '.join(cells)} |")
    return table
