"""Where benchmarks leave their figures: JSON with the versions and the command."""

import json
import re
import sys
from pathlib import Path

import numpy as np
from scipy import stats

from tftransfer.runs.run import environment

_FOLDER = Path(__file__).parent / "results"


def interval(values):
    """Mean and half of the 95 % interval of the mean, by Student's t."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, float("nan")
    return mean, float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))


def said(mean, half):
    """Such as `0.734 ± 0.037`; the mean alone where there is one run."""
    return f"{mean:.3f}" + (f" ± {half:.3f}" if np.isfinite(half) else "")


def table_of_ways(runs):
    """Lines of Markdown: the accuracies of runs that are named `WAY, K-shot`."""
    lines = ["| way | 5-way 1-shot | 5-way 5-shot |", "| --- | ---: | ---: |"]
    for way in dict.fromkeys(figure.rpartition(", ")[0] for figure in runs[0]):
        cells = [said(*interval([run[f"{way}, {k}-shot"] for run in runs])) for k in (1, 5)]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return lines


def stored_results(name):
    """Lines of `results/NAME.json` so far."""
    path = _FOLDER / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def runs_of(name, line, one, flags, say, **about):
    """Runs the seeds that are missing of a line, writes each down, and prints the line.

    Args:
      name: of the benchmark.
      line: of the row.
      one: function of a seed to what was measured, a dictionary.
      flags: with `only`, a regular expression, `seeds` and `again`.
      say: function of all runs to words.
      about: more to write down of the line.
    """
    if not re.search(flags.only, line):
        return
    there = stored_results(name).get(line, {"measured": {"runs": []}})
    done = [] if flags.again else there["measured"]["runs"]
    if len(done) >= flags.seeds:
        return
    for seed in range(len(done), flags.seeds):
        done.append(one(seed))
        write_results(name, {line: {**about, "runs": done}}, sys.argv)
    print(f"{line:<80} {say(done)}", flush=True)


def write_results(name, figures, argv):
    """Adds `figures` to `results/NAME.json`; a line that is there is replaced.

    Args:
      name: of the benchmark.
      figures: name of a line to what was measured.
      argv: of the program; folders are shortened to their last part.
    """
    path = _FOLDER / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    stored = stored_results(name)
    command = " ".join(["python", f"benchmarks/{name}.py", *map(_short, argv[1:])])
    for line, measured in figures.items():
        stored[line] = {"command": command, "environment": environment(), "measured": measured}
    path.write_text(json.dumps(stored, indent=1) + "\n")


def _short(word):
    flag, equals, value = word.partition("=")
    return f"{flag}={Path(value).name}" if equals else word
