"""Where benchmarks leave their figures: JSON with the versions and the command."""

import json
from pathlib import Path

from tftransfer.using.run import environment

_FOLDER = Path(__file__).parent / "results"


def write_results(name, figures, argv):
    """Adds `figures` (by line) to `results/NAME.json`; a line that is there is replaced.

    Args:
      name: of the benchmark.
      figures: line to what was measured.
      argv: of the program; folders are shortened to their last part.
    """
    path = _FOLDER / f"{name}.json"
    stored = json.loads(path.read_text()) if path.is_file() else {"figures": {}}
    stored["environment"] = environment()
    stored["command"] = " ".join(["python", f"benchmarks/{name}.py", *map(_short, argv[1:])])
    stored["figures"] |= figures
    path.write_text(json.dumps(stored, indent=1) + "\n")


def _short(word):
    flag, equals, value = word.partition("=")
    return f"{flag}={Path(value).name}" if equals else word
