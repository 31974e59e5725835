"""Draws `docs/speed.png` and `docs/views.png` from what the other benchmarks have stored.

python benchmarks/chart.py
"""

import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

_HERE = Path(__file__).parent
_DOCS = _HERE.parent / "docs"
_BLUE, _ORANGE, _GREY = "#2b6cb0", "#dd6b20", "#a0aec0"


def measured(name, line):
    """What a benchmark stored for a line."""
    return json.loads((_HERE / "results" / f"{name}.json").read_text())[line]["measured"]


def ratios():
    """Label and how many times as fast as the other side, which is named in the label."""
    speed = {
        line: measured("speed", line)["median"]
        for line in ("time to accuracy", "fine tuning", "features", "together")
    }
    decoding = measured("throughput", "decoding")
    guide = speed["time to accuracy"]
    rows = [
        (
            "the same again in a notebook, features stored\nagainst Keras's guide",
            guide["guide"] / guide["again"],
        ),
        (
            "the same again in a new process\nagainst Keras's guide",
            guide["guide"] / guide["new process"],
        ),
        ("a first run, files to report\nagainst Keras's guide", guide["guide"] / guide["first"]),
        (
            "fine-tuning two stages\nagainst the guide's second step",
            speed["fine tuning"]["guide"] / speed["fine tuning"]["fine_tune"],
        ),
        (
            "features of pictures in memory\nagainst model.predict",
            speed["features"]["model.predict"] / speed["features"]["xnnpack"],
        ),
    ]
    for size, shown in (("large", "1024×683"), ("small", "240×160")):
        row = decoding[size]["rows"]["tftransfer"]
        rows.append(
            (
                f"decoding {shown} to 160 px\nagainst image_dataset_from_directory",
                row["against image_dataset"],
            )
        )
    return rows


def speed_chart(path):
    """One bar a line, its ratio written beside it."""
    rows = ratios()[::-1]
    figure = Figure(figsize=(8, 0.62 * len(rows) + 0.9), layout="constrained")
    axis = figure.subplots()
    values = [value for _, value in rows]
    axis.barh(range(len(rows)), values, color=_BLUE, height=0.6)
    for place, value in enumerate(values):
        axis.annotate(
            f"{value:.1f}×",
            (value, place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=10,
        )
    axis.axvline(1, color=_ORANGE, linewidth=1, linestyle="--")
    axis.set_yticks(range(len(rows)), [label for label, _ in rows], fontsize=9)
    axis.set_xlim(0, max(values) * 1.12)
    axis.set_xlabel("times as fast, 2 CPU cores (medians; the dashed line is the other side)")
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def views_chart(path):
    """Validation log loss by the number of stored views, and that of fresh augmentation."""
    found = measured("views", "views")
    stored = sorted(int(views) for views in found if views != "-1")
    losses = [found[str(views)]["log_loss"] for views in stored]
    fresh = found["-1"]["log_loss"]
    figure = Figure(figsize=(6.5, 3.4), layout="constrained")
    axis = figure.subplots()
    for seed in range(len(losses[0])):
        axis.plot(range(len(stored)), [each[seed] for each in losses], color=_GREY, linewidth=0.8)
    axis.plot(
        range(len(stored)),
        np.mean(losses, axis=1),
        color=_BLUE,
        marker="o",
        label="stored views, mean (grey: each split)",
    )
    axis.axhline(np.mean(fresh), color=_ORANGE, linestyle="--", label="fresh crops in every epoch")
    axis.set_xticks(range(len(stored)), stored)
    axis.set_xlabel("stored views of each training picture")
    axis.set_ylabel("validation log loss")
    axis.legend(frameon=False, fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    speed_chart(_DOCS / "speed.png")
    views_chart(_DOCS / "views.png")
