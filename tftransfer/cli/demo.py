"""The demo: transfer from handwritten digits 0 to 4 to digits 5 to 9, ten labels per class."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import tensorflow as tf

from tftransfer import api
from tftransfer.commands.comparison import Comparison
from tftransfer.core.experiment import Experiment
from tftransfer.readers.encode import encode_png
from tftransfer.runs.run import Run
from tftransfer.utils.errors import UserError

LOGGER = logging.getLogger(__name__)

DEFAULT_WORKDIR = "runs/demo"
_LARGEST_PIXEL = 16  # of scikit-learn's digits
_SERVED_EXAMPLES = 5
# Selected on the reverse transfer, from 5 to 9 to 0 to 4: a network this small is best trained as a
# whole, and the 90 steps of 30 epochs of ten images per class need a high learning rate.
_EPOCHS = 30
_WHOLE_NETWORK = (
    "augment=shift,unfreeze=3,decay=1,learning_rate=1e-3,head_learning_rate=1e-2,batch_norm=train"
)
_RECIPES = (
    "scratch:augment=shift",
    "feature_extraction:augment=shift,learning_rate=1e-2",
    f"fine_tune:{_WHOLE_NETWORK}",
    f"l2_sp:{_WHOLE_NETWORK}",
)


def run_demo(workdir: str) -> Comparison:
    """Trains on the digits 0 to 4, compares recipes on 5 to 9, and exports and calls the best one.

    Args:
      workdir: A new folder, or that of an earlier demo, which is replaced.

    Raises:
      UserError: If the folder holds other files.
    """
    root = Path(workdir)
    _delete_earlier_demo(root)
    LOGGER.info("writing scikit-learn's 1,797 handwritten digits as folders of images")
    write_digits(root / "digits")
    LOGGER.info("\n== source: a small network learns the digits 0 to 4 from random weights")
    api.train(_source(root), root / "source", export=False)
    LOGGER.info("\n== target: the digits 5 to 9, with ten labeled images per class")
    comparison = api.compare(_target(root), root / "target", _RECIPES, epochs=_EPOCHS, export=False)
    LOGGER.info(f"\n{comparison}\n")
    winner = comparison.runs[comparison.winner]
    report = api.export(winner.workdir)
    LOGGER.info(
        f"exported {comparison.winner} to {report['folder']}; the SavedModel predicts test images:"
    )
    for line in _predictions(root / "digits" / "target", winner):
        LOGGER.info(f"  {line}")
    reports = root / "target" / "comparison.md", winner.workdir / "report.md"
    LOGGER.info(f"\nreports: {reports[0]} and {reports[1]}")
    return comparison


def write_digits(folder: Path) -> None:
    """Writes the digits as PNG files: source/0 to source/4, and target/5 to target/9."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    for index, (image, label) in enumerate(zip(digits.images, digits.target)):
        class_folder = folder / ("source" if label < 5 else "target") / str(label)
        class_folder.mkdir(parents=True, exist_ok=True)
        pixels = np.round(image / _LARGEST_PIXEL * 255).astype(np.uint8)
        (class_folder / f"{index:04d}.png").write_bytes(encode_png(pixels, index))


def _source(root: Path) -> Experiment:
    return Experiment(
        data=str(root / "digits" / "source"),
        backbone="small_cnn",
        weights="none",
        recipe="scratch:augment=shift",
        epochs=_EPOCHS,
    )


def _target(root: Path) -> Experiment:
    return Experiment(
        data=str(root / "digits" / "target"),
        backbone=str(root / "source"),
        batch_size=16,
        labels_per_class=10,
        validation_fraction=0.3,
        test_fraction=0.8,
    )


def _delete_earlier_demo(root: Path) -> None:
    """Deletes the content of a demo's folder; raises an error if it holds anything else."""
    found = {path.name for path in root.iterdir()} if root.is_dir() else set()
    digits = {path.name for path in (root / "digits").glob("*")}
    if found and not (found <= {"digits", "source", "target"} and digits == {"source", "target"}):
        raise UserError(f"--workdir={root} holds other files.", "Give a new folder.")
    for name in found:
        shutil.rmtree(root / name)


def _predictions(data: Path, run: Run) -> list[str]:
    """Returns the label and score of some test images, by the SavedModel that was exported."""
    serve = tf.saved_model.load(str(run.export_dir)).signatures["serving_default"]
    examples = run.split["examples"]
    test = [name for name, split, *_ in examples if split == "test"]
    names = test[:: len(examples) // _SERVED_EXAMPLES][:_SERVED_EXAMPLES]
    output = serve(tf.constant([(data / name).read_bytes() for name in names]))
    rows = zip(names, output["label"].numpy(), output["scores"].numpy())
    return [f"{name}: {label.decode()} ({scores.max():.2f})" for name, label, scores in rows]
