"""Writes `docs/text_audio.md` from the figures that `text.py` and `audio.py` left.

    python benchmarks/text_audio.py

The words above the tables are in `text_audio_head.md`.
"""

from pathlib import Path

import exported
import numpy as np
from results import interval, said, stored_results

_TAPPED = "stages that were tapped"


def table(rows):
    """Lines of Markdown.

    Args:
      rows: name to runs.
    """
    tapped = any("tap" in run for runs in rows.values() for run in runs)
    heads = ["", "accuracy, 95 % interval", "macro F1", "seeds", *([_TAPPED] if tapped else [])]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for name in sorted(rows, key=_labels_a_class):
        runs = rows[name]
        f1 = [run["macro_f1"] for run in runs if "macro_f1" in run]
        cells = [
            name, said(*interval([run["accuracy"] for run in runs])),
            said(*interval(f1)) if f1 else "", str(len(runs)),
        ]  # fmt: skip
        if tapped:
            cells.append(", ".join(dict.fromkeys(run["tap"] for run in runs if "tap" in run)))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _labels_a_class(name):
    """Of a row whose name begins with their number; 0 for all labels."""
    first = name.partition(" ")[0]
    return int(first) if first.isdigit() else 0


def groups():
    """Title to the rows' runs by name, and what is said of speed and of exports."""
    found, faster, served = {}, [], []
    for kind in ("text", "audio"):
        for line, stored in stored_results(kind).items():
            runs = stored["measured"]["runs"]
            if "served" in runs[0]:
                served.append(f"- {line.partition(': ')[2]}: {exported.said(runs)}.")
                continue
            if "accuracy" not in runs[0]:
                times = np.median([run["ratio"] for run in runs])
                faster.append(f"- {line}: {times:.2g} times as fast.")
                continue
            title, parted, name = line.partition(": ")
            if not parted:
                title, name = "SST-2", line
            found.setdefault(title, {})[name] = runs
    return found, faster, served


def main():
    found, faster, served = groups()
    text = Path(__file__).with_name("text_audio_head.md").read_text().rstrip().splitlines()
    for title, rows in found.items():
        text += ["", f"## {title}", "", *table(rows)]
    text += [
        "",
        "## Exports",
        "",
        "Every test example, against `evaluate` and `predict`:",
        "",
        *served,
    ]
    text += ["", "## Speed", "", *faster]
    path = Path(__file__).parents[1] / "docs" / "text_audio.md"
    path.write_text("\n".join(text) + "\n")
    print(path)


if __name__ == "__main__":
    main()
