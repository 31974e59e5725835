"""Writes `docs/text_audio.md` from the figures that `text.py` and `audio.py` left.

    python benchmarks/text_audio.py

The words above the tables are in `text_audio_head.md`.
"""

from pathlib import Path

import exported
import numpy as np
from results import interval, said, stored_results

_CHOSEN, _DIGITS = "chosen layer", "digits of "


def table(rows):
    """Lines of Markdown.

    Args:
      rows: name to runs.
    """
    ended_early = any("layer" in run for runs in rows.values() for run in runs)
    heads = [
        "",
        "accuracy, 95 % interval",
        "macro F1",
        "seeds",
        *([_CHOSEN] if ended_early else []),
    ]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for name in sorted(rows, key=_labels_a_class):
        runs = rows[name]
        f1 = [run["macro_f1"] for run in runs if "macro_f1" in run]
        cells = [
            name,
            said(*interval([run["accuracy"] for run in runs])),
            said(*interval(f1)) if f1 else "",
            str(len(runs)),
        ]
        if ended_early:
            cells.append(", ".join(dict.fromkeys(run["layer"] for run in runs if "layer" in run)))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def table_of_speakers(found):
    """Lines of Markdown: ways by speakers, and their mean.

    Args:
      found: name of a speaker to the runs of each way, by name.
    """
    heads = ["", *found, "mean", "seeds", _CHOSEN]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for way in dict.fromkeys(way for ways in found.values() for way in ways):
        runs = [ways.get(way, []) for ways in found.values()]
        accuracies = [[run["accuracy"] for run in each] for each in runs]
        cells = [said(*interval(each)) if each else "" for each in accuracies]
        mean = f"{np.mean([np.mean(each) for each in accuracies]):.3f}" if all(runs) else ""
        seeds = ", ".join(dict.fromkeys(str(len(each)) for each in runs if each))
        layer_probes = dict.fromkeys(
            run["layer"] for each in runs for run in each if "layer" in run
        )
        lines.append(f"| {' | '.join([way, *cells, mean, seeds, ', '.join(layer_probes)])} |")
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
    speakers = {
        title.removeprefix(_DIGITS): found.pop(title)
        for title in list(found)
        if title.startswith(_DIGITS)
    }
    for title, rows in found.items():
        text += ["", f"## {title}", "", *table(rows)]
    text += ["", "## Spoken digits of a new speaker", "", "Accuracy, 95 % interval.", ""]
    text += table_of_speakers(speakers)
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
