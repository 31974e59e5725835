"""From what the user names to examples: source, scan, split, and pictures without labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tftransfer.core.experiment import Experiment
from tftransfer.data.examples import UNLABELLED, Examples, add_test_data, add_unlabelled
from tftransfer.data.groups import with_groups
from tftransfer.data.scan import scan
from tftransfer.data.scan_cache import ScanCache
from tftransfer.data.sources import read_source, read_unlabelled
from tftransfer.data.split import split


def read_examples(
    experiment: Experiment,
    cache: Path | None = None,
    check: Callable[[Examples], None] = lambda found: None,
) -> Examples:
    """Source → check → scan → split; then the pictures without labels.

    Args:
      experiment: names them.
      cache: Folder for what is unpacked and for what a scan found; None uses the user's folder for
        the former and does not keep the latter.
      check: raises what can be known of the examples before their files are looked at.
    """
    examples = split(
        read_all(experiment, cache, check),
        seed=experiment.seed,
        validation_fraction=experiment.validation_fraction,
        test_fraction=experiment.test_fraction,
        labels_per_class=experiment.labels_per_class,
    )
    for part in UNLABELLED:
        data = getattr(experiment, f"{part}_data")
        if isinstance(data, str) and not data:
            continue
        found = read_unlabelled(data, cache=cache, columns=experiment.columns)
        examples = add_unlabelled(examples, _scanned(found, experiment, cache), part)
    return examples


def read_all(
    experiment: Experiment,
    cache: Path | None = None,
    check: Callable[[Examples], None] = lambda found: None,
    *,
    to_train: bool = True,
) -> Examples:
    """Source → check → scan, with the test data joined where they come apart.

    Only data to train on must have groups, and columns that are named.
    """

    def found(data: object, *, to_train: bool) -> Examples:
        return read_source(
            data,
            problem_type=experiment.problem_type,
            cache=cache,
            group_by=experiment.group_by,
            columns=experiment.columns,
            to_train=to_train,
        )

    def scanned(found: Examples) -> Examples:
        check(found)
        return _scanned(found, experiment, cache)

    examples = found(experiment.data, to_train=to_train)
    pattern = "" if len(examples.groups) else experiment.group_by  # no column of the table
    examples = scanned(with_groups(examples, pattern) if to_train else examples)
    if isinstance(experiment.test_data, str) and not experiment.test_data:
        return examples
    test = found(experiment.test_data, to_train=False)
    return add_test_data(examples, scanned(with_groups(test, pattern, required=False)))


def _scanned(found: Examples, experiment: Experiment, cache: Path | None) -> Examples:
    if len(found.sha256):
        return found
    readable = ScanCache(cache, found.modality) if cache else None
    return scan(found, max_quarantine=experiment.max_quarantine, readable=readable)
