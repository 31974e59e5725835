"""From an experiment's data to examples: read, scan, split, then add unlabelled data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tftransfer.core.experiment import Experiment
from tftransfer.core.typing import Array
from tftransfer.data.encodings import recoded
from tftransfer.data.examples import UNLABELLED, Examples, add_test_data, add_unlabelled
from tftransfer.data.groups import with_groups
from tftransfer.data.near_copies import with_near_copies
from tftransfer.data.scan import scan
from tftransfer.data.scan_cache import ScanCache
from tftransfer.data.split import split
from tftransfer.readers.sources import Data, read_source, read_unlabelled

Check = Callable[[Examples], None]


def _no_check(examples: Examples) -> None:
    pass


def read_examples(
    experiment: Experiment,
    cache: Path | None = None,
    check: Check = _no_check,
    *,
    modality: str = "",
) -> Examples:
    """Returns the examples of an experiment: scanned, split, and with its unlabelled data.

    Args:
      experiment: Experiment with the data and the settings of the split.
      cache: Folder for unpacked archives and the results of scans. None uses the user's cache for
        archives and does not store results of scans.
      check: Function that raises a `UserError` if the unscanned examples do not suit the recipe.
      modality: Modality of the backbone that was asked for, which folders with several modalities
        are read as; "" for that of most files.
    """
    examples = split(
        read_all(experiment, cache, check, modality=modality),
        seed=experiment.seed,
        validation_fraction=experiment.validation_fraction,
        test_fraction=experiment.test_fraction,
        labels_per_class=experiment.labels_per_class,
    )
    for name in UNLABELLED:
        data = getattr(experiment, f"{name}_data")
        if isinstance(data, str) and not data:
            continue
        found = read_unlabelled(
            data,
            cache=cache,
            columns=experiment.columns,
            modality=examples.modality,
            encoding=experiment.encoding,
        )
        examples = add_unlabelled(examples, _scanned(found, experiment, cache), name)
    return examples


def read_all(
    experiment: Experiment,
    cache: Path | None = None,
    check: Check = _no_check,
    *,
    to_train: bool = True,
    modality: str = "",
) -> Examples:
    """Returns the scanned examples of `data`, and of `test_data` as their test split.

    Args:
      experiment: Experiment with the data.
      cache: Folder of the cache, as in `read_examples`.
      check: Check of the unscanned examples, as in `read_examples`.
      to_train: Whether the data are for training. Only then must they have groups and all named
        columns.
      modality: Modality of the network, as in `read_examples`.
    """

    def read(data: Data, modality: str, problem_type: str, *, to_train: bool) -> Examples:
        return read_source(
            data,
            problem_type=problem_type,
            cache=cache,
            group_by=experiment.group_by,
            columns=experiment.columns,
            encoding=experiment.encoding,
            to_train=to_train,
            modality=modality,
        )

    signatures: dict[str, Array] | None = None
    if to_train and not experiment.split_near_copies:
        signatures = {}

    def scanned(examples: Examples) -> Examples:
        check(examples)
        return _scanned(examples, experiment, cache, signatures)

    def compared(examples: Examples) -> Examples:
        return examples if signatures is None else with_near_copies(examples, signatures, cache)

    examples = read(experiment.data, modality, experiment.problem_type, to_train=to_train)
    pattern = "" if len(examples.groups) else experiment.group_by  # it names no column
    examples = scanned(with_groups(examples, pattern) if to_train else examples)
    if isinstance(experiment.test_data, str) and not experiment.test_data:
        return compared(examples)
    # The test data may show less: one label in each row, for example.
    problem_type = str(examples.problem_type)
    test = read(experiment.test_data, examples.modality, problem_type, to_train=False)
    test = scanned(with_groups(test, pattern, required=False))
    return compared(add_test_data(examples, test))


def _scanned(
    examples: Examples,
    experiment: Experiment,
    cache: Path | None,
    signatures: dict[str, Array] | None = None,
) -> Examples:
    if len(examples.sha256):
        return examples
    if examples.modality == "text":
        items, warnings = recoded(examples.items, experiment.encoding)
        examples = replace(examples, items=items, warnings=(*examples.warnings, *warnings))
    readable = ScanCache(cache, examples.modality) if cache else None
    return scan(
        examples,
        max_quarantine=experiment.max_quarantine,
        readable=readable,
        signatures=signatures,
    )
