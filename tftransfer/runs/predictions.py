"""Predictions and embeddings of a trained network for files, folders, tables, bytes and arrays."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Array, ArrayLike, FloatArray
from tftransfer.data.encodings import recoded
from tftransfer.data.examples import SPLIT_DTYPE, Examples
from tftransfer.data.folders import files_below
from tftransfer.data.input_pipeline import InputPipeline
from tftransfer.data.manifest import TableItems, items_of, read_items
from tftransfer.data.scan import ScannedFile, scan_items, summarize_warnings
from tftransfer.data.tables import SUFFIXES, Table
from tftransfer.evaluation.evaluate import predict_outputs
from tftransfer.evaluation.tables import best_classes
from tftransfer.models.network import FEATURES
from tftransfer.preprocessing import get_modality
from tftransfer.readers.elements import Elements, has_elements
from tftransfer.readers.encode import encode_value
from tftransfer.readers.frames import is_tabular, plain, table_of
from tftransfer.readers.listed_files import text_warnings
from tftransfer.readers.pixels import Pixels
from tftransfer.utils.errors import UserError
from tftransfer.workdir.trained_model import TrainedModel

LOGGER = logging.getLogger(__name__)

# One example, or several; a path may also name a folder or a table.
Inputs: TypeAlias = (
    "str | bytes | os.PathLike[str] | Iterable[str | bytes | os.PathLike[str] | ArrayLike]"
)
# The name of an input and its path or bytes, or why there is none.
_NamedItem = tuple[str, str | bytes | ScannedFile]
_MULTI_LABEL_THRESHOLD = 0.5
_MAX_NAMED_ERRORS = 5
_BATCH_SIZE = 64


class Prediction(TypedDict, total=False):
    """The prediction for one example, a dictionary.

    Attributes:
      name: The path of the file, or `#k` for example k of those given as values.
      label: The class with the highest score, for `single_label`.
      labels: The classes with a score of 0.5 or more, for `multi_label`; the class of each task,
        for `multi_task`.
      scores: The calibrated probability of each class.
      values: The value of each column, for `regression`.
      warning: A note where the network does not use all of the example, such as a long clip.
      error: The reason why the example cannot be read; then only `name` is present next to it.

    Example:
      >>> import tftransfer
      >>> tftransfer.Prediction(name="a.jpg", label="cat", scores={"cat": 0.9, "dog": 0.1})
      {'name': 'a.jpg', 'label': 'cat', 'scores': {'cat': 0.9, 'dog': 0.1}}
    """

    name: str
    label: str
    labels: list[str] | dict[str, str]
    scores: dict[str, float]
    values: dict[str, float]
    warning: str
    error: str


@dataclass(frozen=True, kw_only=True)
class _Scanned:
    """Inputs after the scan: which can be read, and what the network does not use of them."""

    names: list[str]
    files: list[ScannedFile]
    pipeline: InputPipeline
    indices: Array


def predict(
    trained: TrainedModel,
    inputs: Inputs,
    *,
    columns: str | None = None,
    encoding: str | None = None,
) -> list[Prediction]:
    """Returns the prediction for each input, in order.

    Args:
      trained: The network, its classes and its temperature.
      inputs: See `Run.predict`.
      columns: Contents of the columns of tables; None for those of the run.
      encoding: Encoding of tables and text files; None for that of the run.
    """
    scanned = _scan(trained, inputs, columns=columns, encoding=encoding)
    logits = predict_outputs(trained.network, scanned.pipeline, scanned.indices)
    rows = iter(trained.problem_type.probabilities(logits, trained.temperature, trained.tasks))
    return [
        Prediction(name=name, error=file.reason)
        if file.reason
        else _prediction(trained, name, next(rows), file.warnings)
        for name, file in zip(scanned.names, scanned.files)
    ]


def embed(trained: TrainedModel, inputs: Inputs) -> FloatArray:
    """Returns the pooled features of each input, float32 [n, d].

    Args:
      trained: The network.
      inputs: See `Run.predict`.

    Raises:
      UserError: If an input cannot be read.
    """
    scanned = _scan(trained, inputs)
    _check_all_read(scanned)
    network = trained.network
    features = predict_outputs(network, scanned.pipeline, scanned.indices, output=FEATURES)
    return features.reshape(-1, network.tensor(FEATURES).shape[-1])  # [0, d] without inputs


def preprocess(trained: TrainedModel, inputs: Inputs) -> Array:
    """Returns what the network takes of each input, an array [n, ...].

    Args:
      trained: The network.
      inputs: See `Run.predict`.

    Raises:
      UserError: If an input cannot be read.
    """
    scanned = _scan(trained, inputs)
    _check_all_read(scanned)
    preprocessor = trained.network.backbone.preprocessor
    dtype = trained.network.model.inputs[0].dtype
    batches = scanned.pipeline.batches(scanned.indices, preprocessor.scaled_batch_size(_BATCH_SIZE))
    empty = np.zeros((0, *preprocessor.shape), dtype)
    return np.concatenate([empty, *(np.asarray(batch).astype(dtype) for batch in batches)])


def _check_all_read(scanned: _Scanned) -> None:
    errors = [
        f"{name} ({file.reason})" for name, file in zip(scanned.names, scanned.files) if file.reason
    ]
    if errors:
        raise UserError(
            f"{len(errors):,} of {len(scanned.names):,} inputs cannot be read: "
            f"{', '.join(errors[:_MAX_NAMED_ERRORS])}.",
            "Remove them; predict() returns the reason for each.",
        )


def _scan(
    trained: TrainedModel,
    inputs: Inputs,
    *,
    columns: str | None = None,
    encoding: str | None = None,
) -> _Scanned:
    preprocessor = trained.network.backbone.preprocessor
    modality, experiment = get_modality(preprocessor.modality), trained.folder.experiment
    columns = experiment.columns if columns is None else columns
    encoding = experiment.encoding if encoding is None else encoding
    named = list(_named_items(inputs, columns, modality.name, encoding))
    names = [name for name, _ in named]
    items: Sequence[str | bytes] = [item for _, item in named if not isinstance(item, ScannedFile)]
    if modality.name == "text":
        items, remarks = recoded(items, encoding)
        for line in remarks:
            LOGGER.info(line)
    scanned = iter(scan_items(items, modality))
    files = [
        item if isinstance(item, ScannedFile) else _with_truncation(trained, next(scanned))
        for _, item in named
    ]
    for line in summarize_warnings(names, files, modality):
        LOGGER.info(line)
    present = [each for each, (_, item) in zip(files, named) if not isinstance(item, ScannedFile)]
    readable = [item for item, each in zip(items, present) if not each.reason]
    examples = Examples(
        names=[],
        items=readable,
        labels=np.zeros((len(readable), len(trained.classes)), np.float32),
        problem_type=trained.problem_type,
        classes=trained.classes,
        splits=np.full(len(readable), "", SPLIT_DTYPE),
        modality=modality.name,
    )
    pipeline = InputPipeline(examples, preprocessor, keep=False)
    return _Scanned(names=names, files=files, pipeline=pipeline, indices=np.arange(len(readable)))


def _named_items(inputs: Any, columns: str, modality: str, encoding: str) -> Iterator[_NamedItem]:
    """Yields name and item of each example; strings are texts for a text run, else paths."""
    if is_tabular(inputs):
        inputs = table_of(inputs, labeled=False)
        if isinstance(inputs, Table):
            yield from _items_of_rows(items_of(inputs, columns))
            return
        inputs = inputs[0]
    if has_elements(inputs):
        elements = Elements(inputs)
        inputs = list(elements.inputs(labeled=False))
        for line in elements.warnings:
            LOGGER.info(line)
    several = [inputs] if _is_one(inputs, modality) else list(plain(inputs))
    if modality == "text":
        for line in text_warnings([each for each in several if isinstance(each, str)]):
            LOGGER.info(line)
    pixels = Pixels()
    images = {
        number: pixels.encode(value, number)
        for number, value in enumerate(several)
        if modality == "image" and not isinstance(value, (str, bytes, os.PathLike))
    }
    encoded = dict(zip(images, pixels.finish(list(images.values()))))
    for line in pixels.warnings:
        LOGGER.info(line)
    for number, value in enumerate(several):
        if number in encoded:
            yield f"#{number}", encoded[number]
        elif isinstance(value, bytes):
            yield f"#{number}", value
        elif modality == "text" and isinstance(value, str):
            yield f"#{number}", value.encode("utf-8", "replace")
        elif isinstance(value, (str, os.PathLike)):
            path = Path(value).expanduser()
            yield from _items_of_path(
                path, columns, modality, encoding=encoding, alone=len(several) == 1
            )
        else:
            yield f"#{number}", encode_value(value, number, modality)


def _is_one(inputs: Any, modality: str) -> bool:
    """Returns whether inputs are a single example and not several."""
    if isinstance(inputs, (str, bytes, os.PathLike)):
        return True
    shape: tuple[int, ...] = tuple(inputs.shape) if hasattr(inputs, "__array__") else ()
    if modality == "audio":
        return len(shape) == 1
    return modality == "image" and (len(shape) == 2 or (len(shape) == 3 and shape[-1] in (1, 3, 4)))


def _items_of_rows(rows: TableItems) -> Iterator[_NamedItem]:
    for line in rows.warnings:
        LOGGER.info(line)
    for number in sorted(rows.items.keys() | rows.quarantine.keys()):
        if entry := rows.quarantine.get(number):
            yield entry.name, ScannedFile(reason=entry.reason)
        else:
            yield rows.names[number], rows.items[number]


def _items_of_path(
    path: Path, columns: str, modality: str, *, encoding: str, alone: bool
) -> Iterator[_NamedItem]:
    """Yields a file, all examples below a folder, or the rows of a table.

    Args:
      path: Path of the file, folder or table.
      columns: Roles of the columns of a table, as in `tftransfer.Experiment`.
      modality: Modality of the network.
      encoding: Encoding of tables, as in `tftransfer.Experiment`.
      alone: Whether nothing else is given; only then is a path that does not exist an error.

    Raises:
      UserError: The path does not exist, or the table cannot be read.
    """
    if not path.exists():
        if alone:
            raise UserError(f"{path} does not exist.", "Give paths of files, folders or tables.")
        yield str(path), ScannedFile(reason="does not exist")
        return
    if path.suffix.lower() in SUFFIXES and path.is_file():
        yield from _items_of_rows(read_items(path, columns, encoding))
        return
    if not path.is_dir():
        yield str(path), str(path)
        return
    files, remarks = files_below(path, modality)
    for remark in remarks:
        LOGGER.info(remark)
    for file in files.paths:
        yield file, file


def _with_truncation(trained: TrainedModel, file: ScannedFile) -> ScannedFile:
    """Returns the scanned file with a single warning, if the network does not use all of it."""
    truncation = trained.network.backbone.preprocessor.truncation_warning
    warning = "" if file.reason else truncation(file.measure)
    return replace(file, warnings=(warning,) if warning else ())


def _prediction(
    trained: TrainedModel, name: str, scores: FloatArray, warnings: Sequence[str]
) -> Prediction:
    by_class = {each: float(score) for each, score in zip(trained.classes, scores)}
    prediction = Prediction(name=name)
    if trained.problem_type is ProblemType.REGRESSION:
        prediction["values"] = by_class
    elif trained.tasks:
        labels = best_classes(scores, trained.classes, trained.tasks)
        prediction["labels"] = {task.name: label for task, label in zip(trained.tasks, labels)}
        prediction["scores"] = by_class
    elif trained.problem_type is ProblemType.MULTI_LABEL:
        prediction["labels"] = [
            n for n, score in by_class.items() if score >= _MULTI_LABEL_THRESHOLD
        ]
        prediction["scores"] = by_class
    else:
        prediction["label"] = max(by_class, key=by_class.__getitem__)
        prediction["scores"] = by_class
    if warnings:
        prediction["warning"] = warnings[0]
    return prediction
