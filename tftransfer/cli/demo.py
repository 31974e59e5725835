"""The main job on an embedded default: handwritten digits 0-4 teach 5-9, ten labels a class."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tftransfer import api
from tftransfer.core.experiment import Experiment
from tftransfer.data.encode import encode_png
from tftransfer.utils.errors import UserError

LOGGER = logging.getLogger(__name__)

DEFAULT_WORKDIR = "runs/demo"
# Chosen on the opposite task (5-9 teach 0-4): a network this small is best trained whole, and
# in the 90 steps that 30 epochs of ten pictures a class make, a head needs a high rate.
_EPOCHS = 30
_WHOLE = (
    "augment=shift,unfreeze=3,decay=1,learning_rate=1e-3,head_learning_rate=1e-2,batch_norm=train"
)
_RECIPES = (
    "scratch:augment=shift",
    "feature_extraction:augment=shift,learning_rate=1e-2",
    f"fine_tune:{_WHOLE}",
    f"l2_sp:{_WHOLE}",
)


def run_demo(workdir: str) -> Any:
    """Pre-trains on digits 0-4, compares recipes on 5-9, exports and serves the winner.

    Args:
      workdir: new, or that of an earlier demo, which is replaced.

    Returns:
      The `Comparison`.
    """
    root = Path(workdir)
    _clear(root)
    LOGGER.info("writing scikit-learn's 1,797 handwritten digits as folders of pictures")
    write_digits(root / "digits")
    LOGGER.info("\n== the source: a small network learns 0 to 4 from random weights")
    source = Experiment(
        data=str(root / "digits" / "source"),
        backbone="small_cnn",
        weights="none",
        recipe="scratch:augment=shift",
        epochs=_EPOCHS,
    )
    api.train(source, root / "source", export=False)
    LOGGER.info("\n== the target: 5 to 9, ten labelled digits a class")
    target = Experiment(
        data=str(root / "digits" / "target"),
        backbone=str(root / "source"),
        batch_size=16,
        labels_per_class=10,
        validation_fraction=0.3,
        test_fraction=0.8,
    )
    found = api.compare(target, root / "target", _RECIPES, epochs=_EPOCHS, export=False)
    LOGGER.info(f"\n{found}\n")
    winner = found.runs[found.winner]
    report = api.export(winner.workdir)
    LOGGER.info(
        f"exported {found.winner} to {report['folder']}; the SavedModel says of test pictures:"
    )
    _serve(root / "digits" / "target", winner)
    LOGGER.info(
        f"\nreports: {root / 'target' / 'comparison.md'} and {winner.workdir / 'report.md'}"
    )
    return found


def _clear(root: Path) -> None:
    """Removes what an earlier demo left; a folder with anything else in it is an error."""
    there = {path.name for path in root.iterdir()} if root.is_dir() else set()
    digits = {path.name for path in (root / "digits").glob("*")}
    if there and not (there <= {"digits", "source", "target"} and digits == {"source", "target"}):
        raise UserError(f"--workdir={root} holds other files.", "Give a new folder.")
    for name in there:
        shutil.rmtree(root / name)


def write_digits(folder: Path) -> None:
    """Writes the digits as PNG files: source/0 to source/4, and target/5 to target/9."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    for index, (image, label) in enumerate(zip(digits.images, digits.target)):
        place = folder / ("source" if label < 5 else "target") / str(label)
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.round(image / 16 * 255).astype(np.uint8)
        (place / f"{index:04d}.png").write_bytes(encode_png(pixels, index))


def _serve(data: Path, run: Any, count: int = 5) -> None:
    served = tf.saved_model.load(str(run.export_dir)).signatures["serving_default"]
    test = [row for row in run.split["examples"] if row[1] == "test"][
        :: len(run.split["examples"]) // count
    ]
    answer = served(tf.constant([(data / row[0]).read_bytes() for row in test[:count]]))
    for row, label, scores in zip(test, answer["label"].numpy(), answer["scores"].numpy()):
        LOGGER.info(f"  {row[0]}: {label.decode()} ({scores.max():.2f})")
