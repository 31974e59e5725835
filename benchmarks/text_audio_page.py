"""Writes `docs/benchmarks/text_audio.md` from what `text.py` and `audio.py` stored.

    python benchmarks/text_audio_page.py

The text above the tables is in `text_audio_head.md`.
"""

from pathlib import Path

import exported
import numpy as np
from results import interval, stored_results, with_interval

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks" / "text_audio.md"
_LAYER, _SPEAKER = "selected layer", "digits of "


def page():
    """The lines of the page."""
    groups, ratios, exports = read_rows()
    lines = Path(__file__).with_name("text_audio_head.md").read_text().rstrip().splitlines()
    speakers = {
        title.removeprefix(_SPEAKER): groups.pop(title)
        for title in list(groups)
        if title.startswith(_SPEAKER)
    }
    for title, rows in groups.items():
        lines += ["", f"## {title}", "", *table(rows)]
    lines += ["", "## Spoken digits of a new speaker", "", "Accuracy, 95 % interval.", ""]
    lines += table_of_speakers(speakers)
    lines += ["", "## Exports", "", "On every test example, against `evaluate` and `predict`:", ""]
    return [*lines, *exports, "", "## Speed", "", *ratios]


def read_rows():
    """Title of a table to the runs of its rows; lines about speed; lines about exports."""
    groups, ratios, exports = {}, [], []
    for name in ("text", "audio"):
        for row, stored in stored_results(name).items():
            runs = stored["measured"]["runs"]
            if "served" in runs[0]:
                exports.append(f"- {row.partition(': ')[2]}: {exported.describe(runs)}.")
            elif "accuracy" not in runs[0]:
                ratio = np.median([run["ratio"] for run in runs])
                ratios.append(f"- {row}: {ratio:.2g} times as fast.")
            else:
                title, colon, rest = row.partition(": ")
                groups.setdefault(title if colon else "SST-2", {})[rest if colon else row] = runs
    return groups, ratios, exports


def table(rows):
    """Lines of Markdown.

    Args:
      rows: Name of a row to its runs.
    """
    has_layers = any("layer" in run for runs in rows.values() for run in runs)
    columns = ["", "accuracy, 95 % interval", "macro F1", "seeds"] + [_LAYER] * has_layers
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for name in sorted(rows, key=_labels_per_class):
        runs = rows[name]
        f1 = [run["macro_f1"] for run in runs if "macro_f1" in run]
        cells = [
            name,
            with_interval(*interval([run["accuracy"] for run in runs])),
            with_interval(*interval(f1)) if f1 else "",
            str(len(runs)),
            *([_layers([runs])] if has_layers else []),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def table_of_speakers(speakers):
    """Lines of Markdown: one row per method, one column per test speaker, and the mean.

    Args:
      speakers: Name of a speaker to the runs of each method, by the method's name.
    """
    columns = ["", *speakers, "mean", "seeds", _LAYER]
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for method in dict.fromkeys(method for rows in speakers.values() for method in rows):
        runs = [rows.get(method, []) for rows in speakers.values()]
        accuracies = [[run["accuracy"] for run in each] for each in runs]
        cells = [with_interval(*interval(each)) if each else "" for each in accuracies]
        mean = f"{np.mean([np.mean(each) for each in accuracies]):.3f}" if all(runs) else ""
        seeds = ", ".join(dict.fromkeys(str(len(each)) for each in runs if each))
        lines.append(f"| {' | '.join([method, *cells, mean, seeds, _layers(runs)])} |")
    return lines


def _layers(groups):
    return ", ".join(
        dict.fromkeys(run["layer"] for runs in groups for run in runs if "layer" in run)
    )


def _labels_per_class(name):
    """The number that a row's name begins with; 0 if all labels are used."""
    first = name.partition(" ")[0]
    return int(first) if first.isdigit() else 0


if __name__ == "__main__":
    PAGE.write_text("\n".join(page()) + "\n")
    print(PAGE)
