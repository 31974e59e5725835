"""Draws the plots of the pages again.

    python benchmarks/plots.py

`docs/speed.png` and `docs/views.png` show what the benchmarks stored in `benchmarks/results/`;
`docs/report.png` is the learning curves and blocks of a run on scikit-learn's digits, which takes
about a minute.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
from absl import app, flags
from matplotlib.figure import Figure
from matplotlib.image import imread

FLAGS = flags.FLAGS
flags.DEFINE_list("plots", ["speed", "views", "report"], "names of the plots to draw")

_HERE = Path(__file__).parent
DOCS = _HERE.parent / "docs"
_BLUE, _ORANGE, _GRAY = "#2b6cb0", "#dd6b20", "#a0aec0"
_DPI = 120


def measured(name, row):
    """What a benchmark stored for a row."""
    return json.loads((_HERE / "results" / f"{name}.json").read_text())[row]["measured"]


def speed_ratios():
    """Label and ratio of seconds; each label names what is compared with what."""
    guide = measured("speed", "time to accuracy")["median"]
    fine_tuning = measured("speed", "fine tuning")["median"]
    features = measured("speed", "features")["median"]
    decoding = measured("throughput", "decoding")
    rows = [
        (
            "run with cached features, same process\nvs. Keras guide",
            guide["Keras guide"] / guide["same process"],
        ),
        (
            "run with cached features, new process\nvs. Keras guide",
            guide["Keras guide"] / guide["new process"],
        ),
        ("first run, files to report\nvs. Keras guide", guide["Keras guide"] / guide["first"]),
        (
            "fine-tuning of two stages\nvs. second step of the Keras guide",
            fine_tuning["Keras guide"] / fine_tuning["fine_tune"],
        ),
        (
            "features of images in memory\nvs. model.predict",
            features["model.predict"] / features["litert"],
        ),
    ]
    for size, pixels in (("large", "1024×683"), ("small", "240×160")):
        row = decoding[size]["rows"]["tftransfer"]
        label = f"decoding of {pixels} to 160 px\nvs. image_dataset_from_directory"
        rows.append((label, row["against image_dataset"]))
    return rows


def speed_plot(path):
    """One bar per row, with its ratio."""
    rows = speed_ratios()[::-1]
    figure = Figure(figsize=(8, 0.62 * len(rows) + 0.9), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1)
    axes = figure.subplots()
    values = [value for _, value in rows]
    axes.barh(range(len(rows)), values, color=_BLUE, height=0.6)
    for position, value in enumerate(values):
        axes.annotate(
            f"{value:.1f}×",
            (value, position),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=10,
        )
    axes.axvline(1, color=_ORANGE, linewidth=1, linestyle="--")
    axes.set_yticks(range(len(rows)), [label for label, _ in rows], fontsize=9)
    axes.set_xlim(0, max(values) * 1.12)
    axes.set_xlabel("speed-up (ratio of median seconds, 2 CPU cores; dashed line: 1×)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=_DPI)


def views_plot(path):
    """Validation log loss by the number of cached views, and that of fresh augmentation."""
    rows = measured("views", "views")
    views = sorted(int(count) for count in rows if count != "fresh")
    losses = [rows[str(count)]["log_loss"] for count in views]
    figure = Figure(figsize=(6.5, 3.4), layout="constrained")
    axes = figure.subplots()
    for split in range(len(losses[0])):
        axes.plot(range(len(views)), [each[split] for each in losses], color=_GRAY, linewidth=0.8)
    axes.plot(
        range(len(views)),
        np.mean(losses, axis=1),
        color=_BLUE,
        marker="o",
        label="cached views, mean (gray: each split)",
    )
    fresh = np.mean(rows["fresh"]["log_loss"])
    axes.axhline(fresh, color=_ORANGE, linestyle="--", label="fresh augmentation in every epoch")
    axes.set_xticks(range(len(views)), views)
    axes.set_xlabel("cached views per training image")
    axes.set_ylabel("validation log loss")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=_DPI)


def train_on_digits(folder):
    """A run that transfers from the digits 0 to 4 to 5 to 9, one more stage in each phase."""
    import tftransfer
    from tftransfer.cli.demo import write_digits

    write_digits(folder / "digits")
    source = tftransfer.Experiment(
        data=str(folder / "digits" / "source"),
        backbone="small_cnn",
        weights="none",
        recipe="scratch:augment=shift",
        epochs=30,
    )
    tftransfer.train(source, folder / "source", export=False)
    target = tftransfer.Experiment(
        data=str(folder / "digits" / "target"),
        backbone=str(folder / "source"),
        recipe="gradual_unfreezing:augment=shift,learning_rate=3e-3,epochs=10",
        batch_size=16,
        labels_per_class=20,
        validation_fraction=0.3,
        test_fraction=0.5,
    )
    return tftransfer.train(target, folder / "target", export=False)


def report_plot(path):
    """The learning curves and the blocks of a run's report, one above the other."""
    with tempfile.TemporaryDirectory() as folder:
        run = train_on_digits(Path(folder))
        names = ("learning_curves", "trained_blocks")
        plots = [imread(run.workdir / "plots" / f"{name}.png") for name in names]
    heights = [image.shape[0] / image.shape[1] for image in plots]
    figure = Figure(figsize=(8, 8 * sum(heights)), layout="constrained")
    for axes, image in zip(figure.subplots(2, height_ratios=heights), plots):
        axes.imshow(image)
        axes.axis("off")
    figure.savefig(path, dpi=_DPI)


PLOTS = {"speed": speed_plot, "views": views_plot, "report": report_plot}


def main(argv):
    del argv
    for name in FLAGS.plots:
        PLOTS[name](DOCS / f"{name}.png")
        print(DOCS / f"{name}.png", flush=True)


if __name__ == "__main__":
    app.run(main)
