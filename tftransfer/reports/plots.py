"""The plots of reports: learning curves, confusion matrix, trained blocks, intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tftransfer.core.typing import Result
from tftransfer.reports.plot_text import labels, literal_text, width_inches

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

_BLUE = "#2b6cb0"
_ORANGE = "#dd6b20"
_LIGHT_GRAY = "#cbd5e0"
_GRAY = "#4a5568"
_DARK_GRAY = "#2d3748"
# Metrics of the right plot of the learning curves; the first two that were recorded are shown.
_METRIC_COLORS = {
    "accuracy": _BLUE,
    "val_accuracy": _ORANGE,
    "val_macro_f1": _ORANGE,
    "val_r2": _ORANGE,
    "val_mean_absolute_error": _BLUE,
}
FROZEN_COLOR = "#e2e8f0"
LOW_RATE_COLOR = "#f6ad55"
TRAINED_COLOR = "#9c4221"
_RATE_LEGEND = {
    "frozen": FROZEN_COLOR,
    "multiplier below 1": LOW_RATE_COLOR,
    "multiplier 1 or above": TRAINED_COLOR,
}
_DOTS_PER_INCH = 120
_MARGIN_INCHES = 0.12
_SMALL_POINTS = 8
_TEXT_POINTS = 9
_CURVE_WIDTH_INCHES = 4.3
_CURVE_HEIGHT_INCHES = 3.0
_CELL_INCHES = 0.5
_MIN_MATRIX_INCHES = 1.6
_MAX_MATRIX_INCHES = 11.0
_COLOR_BAR_INCHES = 1.1
_MAX_RECIPE_CHARACTERS = 70
# Numbers of classes up to which a confusion matrix has counts, and names.
_MAX_CLASSES_WITH_COUNTS = 20
MAX_CLASSES_WITH_NAMES = 40


@literal_text
def learning_curves(records: Sequence[Result], path: Path) -> None:
    """Plots the loss of all epochs and, in a second plot, the main metric.

    Args:
      records: Records of the epochs of all phases, as in `metrics.jsonl`.
      path: PNG file to write.
    """
    recorded = set().union(*records)
    metrics = [name for name in _METRIC_COLORS if name in recorded][:2]
    figure, axes = _figure(
        _CURVE_WIDTH_INCHES,
        _CURVE_HEIGHT_INCHES,
        left=0.5,
        bottom=0.5,
        top=0.25,
        columns=2 if metrics else 1,
    )
    _plot_curve(axes[0], records, "loss", _BLUE, "training loss")
    if "val_log_loss" in recorded:
        _plot_curve(axes[0], records, "val_log_loss", _ORANGE, "validation log loss")
    for name in metrics:
        label = name.replace("val_", "validation ").replace("_", " ")
        label = "training accuracy" if name == "accuracy" else label
        _plot_curve(axes[1], records, name, _METRIC_COLORS[name], label)
    for axis in axes:
        _mark_phases(axis, records)
        axis.set_xlim(0.5, len(records) + 0.5)
        axis.set_xlabel("epoch, all phases")
        axis.spines[["top", "right"]].set_visible(False)
        axis.locator_params(axis="x", integer=True, min_n_ticks=1)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(frameon=False, fontsize=_SMALL_POINTS)
    _save(figure, path)


def _plot_curve(axis: Axes, records: Sequence[Result], name: str, color: str, label: str) -> None:
    """A line with a gap between phases, whose losses cannot be compared."""
    x: list[float] = []
    values: list[float] = []
    for position, record in enumerate(records, 1):
        if position > 1 and record["phase"] != records[position - 2]["phase"]:
            x.append(position - 0.5)
            values.append(np.nan)
        x.append(position)
        values.append(record.get(name, np.nan))
    axis.plot(x, values, color=color, marker=".", label=label)


def _mark_phases(axis: Axes, records: Sequence[Result]) -> None:
    previous = None
    names = labels([record["phase"] for record in records])
    for position, record in enumerate(records, 1):
        if record["phase"] != previous:
            axis.axvline(position - 0.5, color=_LIGHT_GRAY, linewidth=1, linestyle="--")
            axis.text(
                position - 0.4,
                1.01,
                names[position - 1],
                transform=axis.get_xaxis_transform(),
                fontsize=_SMALL_POINTS,
                color=_GRAY,
            )
            previous = record["phase"]


@literal_text
def confusion_matrix(counts: Sequence[Sequence[int]], classes: Sequence[str], path: Path) -> None:
    """Plots the share of each true class (rows) by predicted class (columns), with the counts.

    Args:
      counts: Number of examples by true and predicted class, [k][k].
      classes: Names of the k classes.
      path: PNG file to write.
    """
    matrix = np.asarray(counts)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(_MAX_MATRIX_INCHES, max(_MIN_MATRIX_INCHES, _CELL_INCHES * len(classes)))
    named = len(classes) <= MAX_CLASSES_WITH_NAMES
    names = labels(classes) if named else []
    margin = width_inches(names) if named else 0.3
    figure, (axis,) = _figure(
        side, side, left=0.3 + margin, bottom=0.45 + 0.6 * margin, right=_COLOR_BAR_INCHES
    )
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if named:
        ticks = range(len(classes))
        axis.set_xticks(ticks, names, rotation=45, ha="right", fontsize=_SMALL_POINTS)
        axis.set_yticks(ticks, names, fontsize=_SMALL_POINTS)
    if len(classes) <= _MAX_CLASSES_WITH_COUNTS:
        for (row, column), count in np.ndenumerate(matrix):
            if count:
                _write(axis, column, row, str(count), shares[row, column] > 0.5, "black")
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    width, height = figure.get_size_inches()
    bar = figure.add_axes(
        (1 - 0.95 / width, 1 - (_MARGIN_INCHES + side) / height, 0.15 / width, side / height)
    )
    figure.colorbar(image, bar, label="share of the true class")
    _save(figure, path)


@literal_text
def trained_blocks(phases: Sequence[Result], path: Path) -> None:
    """Plots a row for each phase and a cell for each block, colored by its rate multiplier.

    Args:
      phases: Phases of a result: `name` and `rates`, the multiplier of each block.
      path: PNG file to write.
    """
    if not phases:
        return
    blocks = list(phases[0]["rates"])
    shown = labels([*(phase["name"] for phase in phases), *blocks])
    names, block_names = shown[: len(phases)], shown[len(phases) :]
    figure, (axis,) = _figure(
        max(5.5, 1.1 * len(blocks)),
        0.55 * len(phases),
        bottom=0.25,
        top=0.55,
        left=0.1 + width_inches(names),
    )
    for row, phase in enumerate(phases):
        for column, block in enumerate(blocks):
            rate = phase["rates"][block]
            axis.add_patch(_cell(column, row, _rate_color(rate)))
            text = f"×{rate:.2g}" if rate else "frozen"
            _write(axis, column + 0.5, row + 0.5, text, rate >= 1, _DARK_GRAY)
    axis.set_xlim(0, len(blocks))
    axis.set_ylim(len(phases), 0)
    axis.set_xticks(np.arange(len(blocks)) + 0.5, block_names, fontsize=_SMALL_POINTS)
    axis.set_yticks(np.arange(len(phases)) + 0.5, names, fontsize=_SMALL_POINTS)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set_title(
        "learning-rate multiplier of each block", fontsize=_TEXT_POINTS, loc="left", pad=22
    )
    axis.legend(
        handles=[_cell(0, 0, color, name) for name, color in _RATE_LEGEND.items()],
        ncols=3,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        frameon=False,
        fontsize=_SMALL_POINTS,
    )
    _save(figure, path)


@literal_text
def intervals(rows: Sequence[Result], name: str, path: Path) -> None:
    """Plots a metric of each recipe as a dot on its 95 % interval.

    Args:
      rows: Rows of a comparison: `recipe`, `value`, `low` and `high`.
      name: Name of the metric.
      path: PNG file to write.
    """
    names = labels([row["recipe"] for row in rows], max_characters=_MAX_RECIPE_CHARACTERS)
    figure, (axis,) = _figure(
        5.0, 0.5 * len(rows) + 0.4, left=0.1 + width_inches(names), bottom=0.5
    )
    for place, row in enumerate(rows):
        axis.plot([row["low"], row["high"]], [place, place], color=_BLUE, linewidth=3, alpha=0.4)
        axis.plot(row["value"], place, "o", color=_BLUE)
        axis.annotate(
            f"{row['value']:.3f}",
            (row["value"], place),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=_SMALL_POINTS,
        )
    axis.set_yticks(range(len(rows)), names, fontsize=_TEXT_POINTS)
    axis.set_ylim(len(rows) - 0.5, -0.6)
    axis.set_xlabel(f"{name} on the test split, with its 95 % interval")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="x", color=_LIGHT_GRAY, linewidth=0.5)
    _save(figure, path)


def _rate_color(rate: float) -> str:
    if not rate:
        return FROZEN_COLOR
    return LOW_RATE_COLOR if rate < 1 else TRAINED_COLOR


def _write(axis: Axes, x: float, y: float, text: str, on_dark: bool, color: str) -> None:
    """Centered text, white on dark cells."""
    color = "white" if on_dark else color
    axis.text(x, y, text, ha="center", va="center", fontsize=_SMALL_POINTS, color=color)


def _cell(column: int, row: int, color: str, label: str = "") -> Rectangle:
    from matplotlib.patches import Rectangle

    corner = (column + 0.03, row + 0.06)
    return Rectangle(corner, 0.94, 0.88, facecolor=color, edgecolor="none", label=label)


def _figure(
    width: float,
    height: float,
    *,
    left: float,
    bottom: float,
    right: float = _MARGIN_INCHES,
    top: float = _MARGIN_INCHES,
    columns: int = 1,
) -> tuple[Figure, Sequence[Axes]]:
    """Makes a `Figure` with a row of axes, all of one size; sizes and margins are in inches.

    Matplotlib can find the margins itself, which takes longer than to draw everything.
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


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=_DOTS_PER_INCH)
