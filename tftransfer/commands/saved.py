"""What can be done with a finished run: evaluate, predict, export, load."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.data.encode import encoded_value
from tftransfer.data.examples import SPLIT_DTYPE, SPLITS, Examples, with_classes
from tftransfer.data.folders import list_files
from tftransfer.data.input_pipeline import InputPipeline
from tftransfer.data.load import read_all
from tftransfer.data.manifest import read_items
from tftransfer.data.scan import ScannedFile, scan_items, summarize_warnings
from tftransfer.data.tables import SUFFIXES
from tftransfer.evaluation.evaluate import best, evaluate_logits, predict_logits
from tftransfer.features.disk_cache import DEFAULT_BYTES, FeatureCache
from tftransfer.preprocessing import get_modality
from tftransfer.runs.load import TrainedModel, load
from tftransfer.serving.saved_model import export_network
from tftransfer.utils.errors import UserError

LOGGER = logging.getLogger(__name__)


def evaluate(
    workdir: str | Path, data: Any = None, *, cache_dir: str = "", cache_bytes: int = DEFAULT_BYTES
) -> dict[str, Any]:
    """Figures of a run on its own test split, or on all of `data`.

    Args:
      workdir: of a finished run.
      data: as `Experiment.data`; None for the run's own.
      cache_dir: as of `train`.
      cache_bytes: as of `train`.

    Returns:
      As `result.json`: `test`, `per_class`, `confusion`, `predictions`, ...
    """
    restored = load(workdir)
    examples = _examples(restored, data, FeatureCache.of_user(cache_dir, cache_bytes))
    inputs = InputPipeline(examples, restored.network.backbone.preprocessor, keep=False)
    return evaluate_logits(
        lambda some: predict_logits(restored.network, inputs, some),
        examples,
        temperature=restored.temperature,
        seed=restored.run.experiment.seed,
    )


def predict(workdir: str | Path, pictures: Iterable[Any]) -> list[dict[str, Any]]:
    """Names and calibrated scores of pictures.

    Args:
      workdir: of a finished run.
      pictures: paths of files, folders or tables, of which each row is one; encoded bytes; or
        arrays as in `from_arrays`, of sound waveforms at 16 kHz. For a run of texts: strings, which
        are the texts, encoded bytes, or `pathlib.Path`s.

    Returns:
      A dictionary per picture: `name`, `scores` by class, and `label` (the best), or
      `labels` (multi-label; by task where there are several) or `values` (regression);
      `name` and `error` where it cannot be read. Beside the scores stands a `remark` where the
      network does not take all of it, as of a clip that is longer than what it hears.
    """
    restored = load(workdir)
    modality, columns = (
        get_modality(restored.network.backbone.preprocessor.modality),
        restored.run.experiment.columns,
    )
    named = list(
        (_named_texts if modality.name == "text" else _named_items)(
            pictures, columns, modality.name
        )
    )
    scanned = scan_items([item for _, item in named], modality)
    reasons = [found.reason for found in scanned]
    good = [item for (_, item), reason in zip(named, reasons) if not reason]
    cut = [_shortened(restored, found) for found in scanned]
    for line in summarize_warnings([name for name, _ in named], cut, modality):
        LOGGER.info(line)
    empty = np.zeros((len(good), len(restored.classes)), np.float32)
    examples = Examples(
        names=[],
        items=good,
        labels=empty,
        problem_type=restored.problem_type,
        classes=restored.classes,
        splits=np.full(len(good), "", SPLIT_DTYPE),
        modality=modality.name,
    )
    inputs = InputPipeline(examples, restored.network.backbone.preprocessor, keep=False)
    logits = predict_logits(restored.network, inputs, np.arange(len(good)))
    values = iter(restored.problem_type.probabilities(logits, restored.temperature, restored.tasks))
    return [
        {"name": name, "error": reason}
        if reason
        else {"name": name, **_said(restored, next(values)), **_remarked(found)}
        for (name, _), reason, found in zip(named, reasons, cut)
    ]


def export(
    workdir: str | Path,
    folder: str | Path | None = None,
    data: Any = None,
    *,
    cache_dir: str = "",
    cache_bytes: int = DEFAULT_BYTES,
) -> dict[str, Any]:
    """Writes the run's network as a SavedModel, after comparing both on real pictures.

    Args:
      workdir: of a finished run.
      folder: where to; None for `export` in the run's folder.
      data: pictures to compare on; None for the run's own.
      cache_dir: as of `train`.
      cache_bytes: as of `train`.

    Returns:
      `folder`, `max_difference` of the scores and `examples` compared.
    """
    restored = load(workdir)
    examples = _examples(restored, data, FeatureCache.of_user(cache_dir, cache_bytes))
    target = Path(folder).expanduser() if folder else restored.run.export
    if folder and target.exists() and not (target / "saved_model.pb").is_file():
        raise UserError(f"{target} exists and is no SavedModel.", "Give a new folder.")
    target.parent.mkdir(parents=True, exist_ok=True)
    report = export_network(restored.network, examples, target, temperature=restored.temperature)
    return {"folder": str(target), **report}


def _examples(restored: TrainedModel, data: Any, cache: FeatureCache | None) -> Examples:
    experiment = restored.run.experiment
    if data is not None and data != "":
        # Groups matter to splits alone, and here there is none; a column of them is no label.
        given = replace(experiment, data=data, test_data="", problem_type=restored.problem_type)
        found = read_all(given, cache.folder if cache else None, to_train=False)
        found = with_classes(found, restored.classes, restored.problem_type)
        return replace(found, splits=np.full(len(found), "test", SPLIT_DTYPE))
    if experiment.data_is_in_memory:
        raise UserError(
            f"The run {restored.run.workdir} was trained on data from memory.",
            "Give --data, or the argument data.",
        )
    return _as_split(restored, read_all(experiment, cache.folder if cache else None))


def _as_split(restored: TrainedModel, examples: Examples) -> Examples:
    """The pictures that the run knows, with the parts, labels and classes that it stored."""
    split = restored.run.split
    place = {name: number for number, name in enumerate(split["columns"])}
    rows = [row for row in split["examples"] if row[place["split"]] in SPLITS]
    stored = {row[place["sha256"]]: row for row in rows}
    known = np.array([i for i, sha in enumerate(examples.sha256) if sha in stored], np.int64)
    new, gone = len(examples) - len(known), len(set(stored) - set(examples.sha256))
    if gone or (new and not restored.run.experiment.labels_per_class):
        LOGGER.info(
            f"the data changed since the run: {new} examples are not its own, {gone} are gone"
        )
    if not len(known):
        raise UserError(
            f"None of the examples of the run {restored.run.workdir} is there.", "Give --data."
        )
    kept = examples.keep(known)
    rows = [stored[sha] for sha in kept.sha256]
    return replace(
        kept,
        classes=restored.classes,
        labels=np.array([row[place["label"]] for row in rows], examples.labels.dtype),
        splits=np.array([row[place["split"]] for row in rows], SPLIT_DTYPE),
    )


def _named_items(
    pictures: Iterable[Any], columns: str, modality: str
) -> Iterable[tuple[str, str | bytes]]:
    for number, picture in enumerate(pictures):
        if isinstance(picture, bytes):
            yield f"#{number}", picture
        elif isinstance(picture, (str, os.PathLike)):
            yield from _from_path(Path(picture).expanduser(), columns)
        else:
            yield f"#{number}", encoded_value(picture, number, modality)


def _named_texts(
    given: Iterable[Any], columns: str, modality: str
) -> Iterable[tuple[str, str | bytes]]:
    for number, text in enumerate(given):
        if isinstance(text, str):
            yield f"#{number}", text.encode("utf-8", "replace")
        elif isinstance(text, bytes):
            yield f"#{number}", text
        elif not isinstance(text, os.PathLike):
            yield f"#{number}", encoded_value(text, number, modality)
        else:
            yield from _from_path(Path(text).expanduser(), columns)


def _from_path(path: Path, columns: str) -> Iterable[tuple[str, str | bytes]]:
    """Of a file, all files below a folder, or the rows of a table."""
    if not path.exists():
        raise UserError(f"{path} does not exist.", "Give paths of files, folders or tables.")
    if path.suffix.lower() in SUFFIXES and path.is_file():
        yield from zip(*read_items(path, columns)[:2])
        return
    files: Sequence[Path] = list_files(path) if path.is_dir() else [path]
    for file in files:
        yield str(file), str(file)


def _shortened(restored: TrainedModel, found: ScannedFile) -> ScannedFile:
    """What was found, with nothing noted but that the network does not take all of it."""
    note = (
        ""
        if found.reason
        else restored.network.backbone.preprocessor.truncation_warning(found.measure)
    )
    return replace(found, warnings=(note,) if note else ())


def _remarked(found: ScannedFile) -> dict[str, str]:
    return {"warning": found.warnings[0]} if found.warnings else {}


def _said(restored: TrainedModel, values: np.ndarray) -> dict[str, Any]:
    by_class = {name: float(value) for name, value in zip(restored.classes, values)}
    if restored.problem_type is ProblemType.REGRESSION:
        return {"values": by_class}
    if restored.tasks:
        names = [task.name for task in restored.tasks]
        said = best(values, restored.classes, restored.tasks)
        return {"labels": dict(zip(names, said)), "scores": by_class}
    if restored.problem_type is ProblemType.MULTI_LABEL:
        return {"labels": [n for n, v in by_class.items() if v >= 0.5], "scores": by_class}
    return {"label": max(by_class, key=by_class.__getitem__), "scores": by_class}
