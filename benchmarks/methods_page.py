"""Writes `docs/benchmarks/methods.md` from what `methods.py` and `meta_learning.py` stored.

    python benchmarks/methods_page.py

The text above the tables is in `methods_head.md`.
"""

from pathlib import Path

import numpy as np
from results import interval, stored_results, table_of_shots, with_interval

from tftransfer.evaluation.adaptation_quality import best_run
from tftransfer.evaluation.few_shot_episodes import table as table_of_episodes

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks" / "methods.md"
_BASELINE = "source only"
# Validation examples of a run: a tenth of the 2,000 digits, or of the 958 images of amazon.
_VALIDATION_EXAMPLES = {"MNIST to USPS": 200, "USPS to MNIST": 200, "Office: amazon to webcam": 96}
_ADAPTATION_COLUMNS = {
    "domain gap": "domain_gap",
    "reverse validation": "reverse_validation",
    "class frequency distance": "class_frequency_distance",
}


def page():
    """The lines of the page."""
    stored = stored_results("methods")
    episodes = {
        k: v["measured"]["episodes"] for k, v in stored.items() if k.startswith("episodes:")
    }
    titles = dict.fromkeys(name.rpartition(": ")[0] for name in stored if name not in episodes)
    lines = Path(__file__).with_name("methods_head.md").read_text().rstrip().splitlines()
    for title in titles:
        rows = {
            name.rpartition(": ")[2]: row["measured"]
            for name, row in stored.items()
            if name.rpartition(": ")[0] == title
        }
        lines += ["", f"## {title}", "", *table(rows), *selection_without_labels(title, rows)]
    for name, rows in episodes.items():
        title = f"## Few labels: {name.partition(': ')[2]}"
        lines += ["", title, "", *table_of_episodes(rows)]
    for name, row in stored_results("meta_learning").items():
        lines += ["", f"## Few labels: {name}", "", *table_of_shots(row["measured"]["runs"])]
    return lines


def selection_without_labels(title, rows):
    """What `compare` would have selected for the target domain, seed by seed; [] elsewhere."""
    if title not in _VALIDATION_EXAMPLES:
        return []
    baseline = rows[_BASELINE]["runs"]
    selected, by_errors, best = [], [], []
    for seed in range(len(baseline)):
        runs = {name: row["runs"][seed] for name, row in rows.items()}
        # The metrics of an adaptation that was undone are not those of the network that was kept.
        runs = {
            name: run
            for name, run in runs.items()
            if name == _BASELINE or run["accuracy"] != baseline[seed]["accuracy"]
        }
        adaptation = {name: run["adaptation"] for name, run in runs.items()}
        validation = {name: run["validation"] for name, run in runs.items()}
        name = best_run(adaptation, validation, _VALIDATION_EXAMPLES[title])
        selected.append(runs[name]["accuracy"])
        both = {name: validation[name] + adaptation[name]["reverse_validation"] for name in runs}
        by_errors.append(runs[max(both, key=both.get)]["accuracy"])
        best.append(max(run["accuracy"] for run in runs.values()))
    return [
        "",
        "Selecting one of these rows for each seed without a label of the target, as `compare` "
        f"does, gives {with_interval(*interval(selected))}; by the errors on the source and in "
        f"reverse validation alone, {with_interval(*interval(by_errors))}; with the labels of the "
        f"target, {with_interval(*interval(best))}.",
    ]


def table(rows):
    """Lines of Markdown."""
    adapts = any("adaptation" in run for row in rows.values() for run in row["runs"])
    tasks = max(len(row["runs"][0].get("tasks", ())) for row in rows.values())
    columns = ["method", "accuracy, 95 % interval", "seeds", "seconds"]
    columns += [*_ADAPTATION_COLUMNS] if adapts else []
    columns += [f"task {number + 1}" for number in range(tasks)] + ["recipe"]
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    return [*lines, *(_line(name, row, adapts) for name, row in rows.items())]


def _line(name, row, adapts):
    runs = row["runs"]
    accuracy = with_interval(*interval([run["accuracy"] for run in runs]))
    seconds = f"{np.mean([run['seconds'] for run in runs]):.0f}"
    cells = [name, accuracy, str(len(runs)), seconds]
    for key in _ADAPTATION_COLUMNS.values() if adapts else ():
        cells.append(f"{np.mean([run['adaptation'][key] for run in runs]):.2f}")
    cells += [f"{mean:.3f}" for mean in np.mean([run.get("tasks", []) for run in runs], axis=0)]
    return f"| {' | '.join(cells)} | `{row['recipe'].replace('FIRST', 'RUN')}` |"


if __name__ == "__main__":
    PAGE.write_text("\n".join(page()) + "\n")
    print(PAGE)
