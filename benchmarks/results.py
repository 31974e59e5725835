"""Stores what benchmarks measure: JSON with the versions and the command."""

import json
import re
import sys
from pathlib import Path

import numpy as np
from scipy import stats

from tftransfer.workdir.environment import environment

_FOLDER = Path(__file__).parent / "results"


def interval(values):
    """Mean, and half the width of its 95 % confidence interval by Student's t."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, float("nan")
    return mean, float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))


def with_interval(mean, half_width):
    """Formats a mean as `0.734 ± 0.037`, or alone if there was one run."""
    return f"{mean:.3f}" + (f" ± {half_width:.3f}" if np.isfinite(half_width) else "")


def table_of_shots(runs):
    """Lines of Markdown: the accuracies of runs whose keys are `METHOD, K-shot`."""
    lines = ["| method | 5-way 1-shot | 5-way 5-shot |", "| --- | ---: | ---: |"]
    for method in dict.fromkeys(key.rpartition(", ")[0] for key in runs[0]):
        cells = [
            with_interval(*interval([run[f"{method}, {shots}-shot"] for run in runs]))
            for shots in (1, 5)
        ]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return lines


def stored_results(name):
    """The rows of `results/NAME.json`; empty if there is no such file."""
    path = _FOLDER / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def run_missing_seeds(name, row, run_seed, flags, describe, **metadata):
    """Runs the seeds of a row that are not stored yet, stores each, and prints the row.

    Args:
      name: Name of the benchmark.
      row: Name of the row.
      run_seed: Function from a seed to a dictionary of what was measured.
      flags: The benchmark's flags, with `only` (a regular expression), `seeds` and `again`.
      describe: Function from the list of all runs to a line of text.
      **metadata: More to store with the row.
    """
    if not re.search(flags.only, row):
        return
    stored = stored_results(name).get(row, {"measured": {"runs": []}})
    runs = [] if flags.again else stored["measured"]["runs"]
    if len(runs) >= flags.seeds:
        return
    for seed in range(len(runs), flags.seeds):
        runs.append(run_seed(seed))
        write_results(name, {row: {**metadata, "runs": runs}}, sys.argv)
    print(f"{row:<80} {describe(runs)}", flush=True)


def write_results(name, rows, argv):
    """Adds rows to `results/NAME.json`, or replaces those of the same name.

    Args:
      name: Name of the benchmark.
      rows: Name of a row to what was measured.
      argv: Arguments of the program; paths in them are shortened to their last component.
    """
    path = _FOLDER / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    stored = stored_results(name)
    command = " ".join(["python", f"benchmarks/{name}.py", *map(_short, argv[1:])])
    for row, measured in rows.items():
        stored[row] = {"command": command, "environment": environment(), "measured": measured}
    path.write_text(json.dumps(stored, indent=1) + "\n")


def _short(word):
    flag, equals, value = word.partition("=")
    return f"{flag}={Path(value).name}" if equals else word
