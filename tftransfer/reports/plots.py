"""The pictures of a report: curves, confusion matrix, block strip."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

_BLUE, _ORANGE, _GREY = "#2b6cb0", "#dd6b20", "#cbd5e0"
_SHOWN = (
    ("accuracy", _BLUE),
    ("val_accuracy", _ORANGE),
    ("val_macro_f1", _ORANGE),
    ("val_r2", _ORANGE),
    ("val_mean_absolute_error", _BLUE),
)
_EDGE = 0.12
_LONGEST = 28
_STATES = (("frozen", "#e2e8f0"), ("warm (below ×1)", "#f6ad55"), ("trained (×1)", "#9c4221"))


def curves(records: Sequence[dict[str, Any]], path: Path) -> None:
    """Loss over all epochs, and beside it the main figure if there is one; phases are marked."""
    there = set().union(*records)
    shown = [(name, colour) for name, colour in _SHOWN if name in there][:2]
    figure, axes = _figure(4.3, 3, left=0.5, bottom=0.5, top=0.25, columns=2 if shown else 1)
    plot = functools.partial(_plot_by_phase, records)
    plot(axes[0], "loss", _BLUE, "training loss")
    if "val_log_loss" in there:
        plot(axes[0], "val_log_loss", _ORANGE, "validation log loss")
    for name, colour in shown:
        label = name.replace("val_", "validation ").replace("_", " ")
        plot(axes[1], name, colour, "training accuracy" if name == "accuracy" else label)
    for axis in axes:
        _mark_phases(axis, records)
        axis.set_xlabel("epoch, all phases")
        axis.spines[["top", "right"]].set_visible(False)
        axis.xaxis.get_major_locator().set_params(integer=True)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(frameon=False, fontsize=8)
    _save(figure, path)


def _plot_by_phase(
    records: Sequence[dict[str, Any]], axis: Any, name: str, colour: str, label: str
) -> None:
    """A line that is broken between phases, whose losses are not of one kind."""
    x, values = list[float](), list[float]()
    for position, record in enumerate(records, 1):
        if position > 1 and record["phase"] != records[position - 2]["phase"]:
            x.append(position - 0.5)
            values.append(np.nan)
        x.append(position)
        values.append(record.get(name, np.nan))
    axis.plot(x, values, color=colour, marker=".", label=label)


def _mark_phases(axis: Any, records: Sequence[dict[str, Any]]) -> None:
    previous = None
    for position, record in enumerate(records, 1):
        if record["phase"] != previous:
            axis.axvline(position - 0.5, color=_GREY, linewidth=1, linestyle="--")
            axis.text(
                position - 0.4,
                1.01,
                record["phase"],
                transform=axis.get_xaxis_transform(),
                fontsize=8,
                color="#4a5568",
            )
            previous = record["phase"]


def confusion(counts: Sequence[Sequence[int]], classes: Sequence[str], path: Path) -> None:
    """Rows are the truth, columns what was predicted; shares of each row, with counts."""
    matrix = np.asarray(counts)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    classes = [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…" for name in classes]
    side = min(11.0, max(1.6, 0.5 * len(classes)))
    room = _width(classes) if len(classes) <= 40 else 0.3
    figure, (axis,) = _figure(side, side, left=0.3 + room, bottom=0.45 + 0.6 * room, right=1.1)
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(classes) <= 40:
        axis.set_xticks(range(len(classes)), classes, rotation=45, ha="right", fontsize=8)
        axis.set_yticks(range(len(classes)), classes, fontsize=8)
    if len(classes) <= 20:
        for (row, column), count in np.ndenumerate(matrix):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axis.text(column, row, count, ha="center", va="center", color=colour, fontsize=8)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    width, height = figure.get_size_inches()
    bar = figure.add_axes(
        (1 - 0.95 / width, 1 - (_EDGE + side) / height, 0.15 / width, side / height)
    )
    figure.colorbar(image, bar, label="share of the true class")
    _save(figure, path)


def block_strip(phases: Sequence[dict[str, Any]], path: Path) -> None:
    """One row per phase, one cell per block: grey is frozen, the colour tells the rate."""
    if not phases:
        return
    blocks = list(phases[0]["rates"])
    figure, (axis,) = _figure(
        max(5.5, 1.1 * len(blocks)),
        0.55 * len(phases),
        bottom=0.25,
        top=0.55,
        left=0.1 + _width([phase["name"] for phase in phases]),
    )
    for row, phase in enumerate(phases):
        for column, block in enumerate(blocks):
            rate = phase["rates"][block]
            colour = _colour_of(rate)
            text = f"×{rate:.2g}" if rate else "frozen"
            axis.add_patch(_box(column, row, colour))
            dark = rate >= 1
            axis.text(
                column + 0.5,
                row + 0.5,
                text,
                ha="center",
                va="center",
                fontsize=8,
                color="white" if dark else "#2d3748",
            )
    axis.set_xlim(0, len(blocks))
    axis.set_ylim(len(phases), 0)
    axis.set_xticks(np.arange(len(blocks)) + 0.5, blocks, fontsize=8)
    axis.set_yticks(np.arange(len(phases)) + 0.5, [p["name"] for p in phases], fontsize=8)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set_title("learning-rate multiplier of each block", fontsize=9, loc="left", pad=22)
    axis.legend(
        handles=[_box(0, 0, colour, label=name) for name, colour in _STATES],
        ncols=3,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        frameon=False,
        fontsize=8,
    )
    _save(figure, path)


def _colour_of(rate: float) -> str:
    return _STATES[0 if not rate else 1 if rate < 1 else 2][1]


def _box(column: int, row: int, colour: str, **options: Any) -> Any:
    from matplotlib.patches import Rectangle

    place = (column + 0.03, row + 0.06)
    return Rectangle(place, 0.94, 0.88, facecolor=colour, edgecolor="none", **options)


def _figure(
    width: float,
    height: float,
    *,
    left: float,
    bottom: float,
    right: float = _EDGE,
    top: float = _EDGE,
    columns: int = 1,
) -> tuple[Any, Any]:
    """A figure and its axes, each of this size, beside each other; margins, all in inches.

    Matplotlib can find the margins by itself, which takes longer than all the drawing.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    whole = columns * width + (columns - 1) * left + left + right, height + bottom + top
    figure = Figure(figsize=whole)
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    figure.subplots_adjust(
        left=left / whole[0],
        right=1 - right / whole[0],
        bottom=bottom / whole[1],
        top=1 - top / whole[1],
        wspace=left / width,
    )
    return figure, axes


def _width(texts: Sequence[str]) -> float:
    """Inches that the longest takes, at 9 points."""
    return 0.08 * max(len(text) for text in texts) + 0.1


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=120)


def intervals(rows: Sequence[Mapping[str, Any]], name: str, path: Path) -> None:
    """One line per recipe: the figure as a dot, its 95 % interval as a bar."""
    names = [row["recipe"] for row in rows]
    figure, (axis,) = _figure(5, 0.5 * len(rows) + 0.4, left=0.1 + _width(names), bottom=0.5)
    for place, row in enumerate(rows):
        axis.plot([row["low"], row["high"]], [place, place], color=_BLUE, linewidth=3, alpha=0.4)
        axis.plot(row["value"], place, "o", color=_BLUE)
        axis.annotate(
            f"{row['value']:.3f}",
            (row["value"], place),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    axis.set_yticks(range(len(rows)), names, fontsize=9)
    axis.set_ylim(len(rows) - 0.5, -0.6)
    axis.set_xlabel(f"{name} on the test split, with its 95 % interval")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="x", color=_GREY, linewidth=0.5)
    _save(figure, path)
