"""The SavedModel of a network: written, compared with the network on real examples, published."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

import numpy as np
import tensorflow as tf

from tftransfer.data.examples import Examples, read_item
from tftransfer.data.input_pipeline import InputPipeline
from tftransfer.evaluation.evaluate import predict_outputs
from tftransfer.models.network import Network
from tftransfer.preprocessing import Preprocessor, get_modality
from tftransfer.serving.signatures import ServedModel
from tftransfer.utils.errors import UserError
from tftransfer.utils.files import atomic_folder
from tftransfer.utils.glob_paths import is_pattern, literal_path
from tftransfer.utils.progress import waiting

LOGGER = logging.getLogger(__name__)

# Largest difference of a score between the SavedModel and the network that is published.
_MAX_SCORE_DIFFERENCE = 1e-5
_BATCH_SIZE = 64
_CHECKED_EXAMPLES = 64
# TensorFlow ignores this folder of a SavedModel, so other files may be kept there.
_EXTRA_ASSETS = "assets.extra"
_CLIENTS_FILE = "CLIENTS.txt"


class ExportReport(TypedDict):
    """What `export` returns, a dictionary.

    Attributes:
      folder: Folder of the SavedModel.
      max_difference: Largest difference of a score between the SavedModel and the network; for a
        regression, relative to values above 1.
      examples: Number of examples that both were compared on.

    Example:
      >>> import tftransfer
      >>> report = tftransfer.ExportReport(folder="served/1", max_difference=2e-7, examples=64)
      >>> report["max_difference"] < 1e-5
      True
    """

    folder: str
    max_difference: float
    examples: int


@waiting("exporting and comparing with the network")
def export_network(
    network: Network,
    examples: Examples,
    folder: Path,
    *,
    temperature: float,
    checks: int = _CHECKED_EXAMPLES,
) -> ExportReport:
    """Writes a SavedModel, and publishes it if it returns the same scores as the network.

    Args:
      network: Backbone and heads with their final weights.
      examples: Examples with class names, some of which are compared.
      folder: Folder of the SavedModel; an old one is replaced in one step.
      temperature: Divisor of the logits before softmax or sigmoid.
      checks: Number of examples to compare on, at most.

    Raises:
      UserError: If a score differs; nothing is published.
    """
    served = ServedModel(
        network, examples.classes, examples.problem_type, temperature, examples.tasks
    )
    checked = _indices_to_check(examples, checks)
    with atomic_folder(folder) as part:
        with _quiet_tensorflow():
            tf.saved_model.save(served, str(part), signatures=served.signatures())
        _write_extra_assets(network.backbone.preprocessor, part / _EXTRA_ASSETS)
        difference = _max_difference(network, examples, part, temperature, checked)
        if not difference <= _MAX_SCORE_DIFFERENCE:  # NaN too
            raise UserError(
                f"The export differs from the network by {difference:.2g} in a score.",
                "It was not published; please report this with the backbone's name.",
            )
    if is_pattern(folder.absolute()):
        LOGGER.info(
            f"TensorFlow takes the path {folder} for a pattern: copy the export to a path without "
            "[ ] * ? and \\ before you load it there."
        )
    if network.backbone.preprocessor.client_notes:
        LOGGER.info(network.backbone.preprocessor.client_notes)
    return ExportReport(folder=str(folder), max_difference=difference, examples=len(checked))


@contextlib.contextmanager
def _quiet_tensorflow() -> Iterator[None]:
    """Hides TensorFlow's message about the assets, which names a temporary folder."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _write_extra_assets(preprocessor: Preprocessor, folder: Path) -> None:
    """Writes the files of the preprocessor, such as a vocabulary, and the note for clients."""
    clients = preprocessor.client_notes
    notes = {_CLIENTS_FILE: f"{clients}\n".encode()} if clients else {}
    for name, content in {**preprocessor.files(), **notes}.items():
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


def _indices_to_check(examples: Examples, checks: int) -> np.ndarray:
    """Returns indices of test examples first, then of validation and training examples."""
    return np.concatenate([examples.where(split) for split in ("test", "val", "train")])[:checks]


def _max_difference(
    network: Network, examples: Examples, folder: Path, temperature: float, indices: np.ndarray
) -> float:
    """Returns the largest difference of a score between the SavedModel and the network."""
    preprocessor = network.backbone.preprocessor
    logits = predict_outputs(network, InputPipeline(examples, preprocessor, keep=False), indices)
    expected = examples.problem_type.probabilities(logits, temperature, examples.tasks)
    signature = tf.saved_model.load(literal_path(folder)).signatures["serving_default"]
    data = [preprocessor.convert(read_item(examples.items[i])) for i in indices]
    argument = get_modality(preprocessor.modality).signature_input
    key = "scores" if examples.problem_type.has_classes else "values"
    size = preprocessor.scaled_batch_size(_BATCH_SIZE)
    exported = np.concatenate(
        [
            signature(**{argument: tf.constant(data[start : start + size])})[key]
            for start in range(0, len(data), size)
        ]
    )
    difference = np.abs(expected - exported)
    if key == "values":
        difference = difference / np.maximum(1.0, np.abs(expected))
    return float(difference.max())
