"""The examples that a finished run is evaluated on: its own, split as in training, or others."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np

from tftransfer.data.examples import SPLIT_DTYPE, SPLITS, Examples, with_classes
from tftransfer.features.disk_cache import FeatureCache
from tftransfer.readers.load import read_all
from tftransfer.utils.errors import UserError
from tftransfer.workdir.run_folder import RunFolder
from tftransfer.workdir.trained_model import TrainedModel

LOGGER = logging.getLogger(__name__)


def read_examples_of(
    trained: TrainedModel,
    data: Any,
    cache: FeatureCache | None,
    *,
    columns: str | None = None,
    encoding: str = "auto",
    max_quarantine: float = 0.05,
) -> Examples:
    """Reads the examples to evaluate a run on.

    Args:
      trained: The network, whose classes the labels must be among.
      data: As `Experiment.data`, all of which becomes the test split; None or "" for the data of
        the run, with the splits and labels that the run stored.
      cache: Cache with the folder for what is unpacked; None uses the folder of the user.
      columns: Contents of table columns of `data`; None for those of the run.
      encoding: Encoding of the tables and text files of `data`, detected by `auto`.
      max_quarantine: Fraction of the files of `data` that may be unreadable.

    Raises:
      UserError: If the data cannot be read or do not match the classes of the run.
    """
    experiment, folder = trained.folder.experiment, cache.folder if cache else None
    modality = trained.network.backbone.preprocessor.modality
    if data is not None and not (isinstance(data, str) and not data):
        # Groups matter to splits only, and here there is none; their column is not a label.
        given = replace(
            experiment,
            data=data,
            test_data="",
            problem_type=trained.problem_type,
            columns=experiment.columns if columns is None else columns,
            encoding=encoding,
            max_quarantine=max_quarantine,
        )
        found = read_all(given, folder, to_train=False, modality=modality)
        found = with_classes(found, trained.classes, trained.problem_type)
        return replace(found, splits=np.full(len(found), "test", SPLIT_DTYPE))
    if experiment.data_is_in_memory:
        raise UserError(
            f"The run {trained.folder.workdir} was trained on data from memory.",
            "Give --data, or the argument data.",
        )
    return _with_stored_split(trained, read_all(experiment, folder, modality=modality))


def _with_stored_split(trained: TrainedModel, examples: Examples) -> Examples:
    """Returns the examples that the run knows by sha256, with their stored splits and labels."""
    column = {name: number for number, name in enumerate(trained.folder.split["columns"])}
    stored = _stored_rows(trained.folder, column)
    known = np.array([i for i, sha in enumerate(examples.sha256) if sha in stored], np.int64)
    added, missing = len(examples) - len(known), len(set(stored) - set(examples.sha256))
    if missing or (added and not trained.folder.experiment.labels_per_class):
        LOGGER.info(
            f"the data changed since the run: {added} examples were added, {missing} are missing"
        )
    if not len(known):
        raise UserError(
            f"None of the examples of the run {trained.folder.workdir} exists any more.",
            "Give --data.",
        )
    kept = examples.keep(known)
    rows = [stored[sha] for sha in kept.sha256]
    return replace(
        kept,
        classes=trained.classes,
        labels=np.array([row[column["label"]] for row in rows], examples.labels.dtype),
        splits=np.array([row[column["split"]] for row in rows], SPLIT_DTYPE),
    )


def _stored_rows(folder: RunFolder, column: dict[str, int]) -> dict[str, list[Any]]:
    """Returns the rows of `split.json` by sha256, without those of unlabelled examples."""
    rows = folder.split["examples"]
    return {row[column["sha256"]]: row for row in rows if row[column["split"]] in SPLITS}
