"""Where benchmarks leave their figures: JSON with the versions and the command."""

import json
from pathlib import Path

import numpy as np
from scipy import stats

from tftransfer.using.run import environment

_FOLDER = Path(__file__).parent / "results"


def interval(values):
    """Mean and half of the 95 % interval of the mean, by Student's t."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, float("nan")
    return mean, float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))


def write_results(name, figures, argv):
    """Adds `figures` to `results/NAME.json`; a line that is there is replaced.

    Args:
      name: of the benchmark.
      figures: name of a line to what was measured.
      argv: of the program; folders are shortened to their last part.
    """
    path = _FOLDER / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    stored = json.loads(path.read_text()) if path.is_file() else {}
    command = " ".join(["python", f"benchmarks/{name}.py", *map(_short, argv[1:])])
    for line, measured in figures.items():
        stored[line] = {"command": command, "environment": environment(), "measured": measured}
    path.write_text(json.dumps(stored, indent=1) + "\n")


def _short(word):
    flag, equals, value = word.partition("=")
    return f"{flag}={Path(value).name}" if equals else word
