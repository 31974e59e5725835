"""Seeded, stratified splits that keep equal contents and groups in one split."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Array
from tftransfer.data.examples import SPLIT_WORDS, SPLITS, Examples
from tftransfer.data.groups import choose_units, units
from tftransfer.data.near_copies import near_copies_across
from tftransfer.data.number_checks import check_numbers
from tftransfer.preprocessing import get_modality
from tftransfer.utils.errors import UserError
from tftransfer.utils.wording import listed

# Smaller classes get a warning, since their metrics have wide intervals.
_SMALL_CLASS = 10
# Smaller strata hold out none for the test split, unless the fraction is large.
_FOR_TEST = 3


def split(
    examples: Examples,
    *,
    seed: int = 0,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
    labels_per_class: int = 0,
) -> Examples:
    """Assigns a split to each example; splits that the source gives stay as they are.

    Within each stratum, the contents are sorted by sha256(seed, content); the first ones form the
    test split, the next ones the validation split. Hence a content is in one split only, and added
    files move few of the others. A stratum is a class; for regression a quintile of the first
    column; for several labels per example the rarest of them.

    Args:
      examples: Scanned examples, with their hashes.
      seed: Seed of the order.
      validation_fraction: Fraction of the training examples held out for validation, 0 to 1.
      test_fraction: Fraction of all examples held out for the test split if the source gives none,
        0 to 1.
      labels_per_class: Number of training examples kept per stratum; 0 keeps all.

    Returns:
      The examples with `splits`; those that no split uses are dropped.

    Raises:
      UserError: No training example is left, or a task has fewer than two classes to train on.
    """
    splits = examples.splits.copy()
    strata, names = _strata(examples), units(examples)
    warnings = list(examples.warnings) + _drop_given(examples, splits)
    if not np.isin(splits, ("", "train")).any():
        reason = f": {warnings[-1]}" if len(warnings) > len(examples.warnings) else "."
        raise UserError(
            f"None of the {len(examples)} examples is left for training{reason}",
            "Add examples, or move some from the test and validation data to the training data.",
        )
    if (splits == "train").all():
        splits[:] = ""  # a single folder named `train` divides nothing
    grouped = bool(len(examples.groups))
    if not np.any(splits == "test") and test_fraction:
        _assign(splits, "test", test_fraction, names, strata, seed, grouped)
    if test_fraction and not np.any(splits == "test"):
        warnings.append(_no_test_split(examples, strata, names))
    splits[splits == ""] = "train"
    if labels_per_class:
        _assign(splits, "train-kept", labels_per_class, examples.sha256, strata, seed + 1)
        splits[splits == "train"] = "drop"
        splits[splits == "train-kept"] = "train"
    if not np.any(splits == "val") and validation_fraction:
        _assign(splits, "val", validation_fraction, names, strata, seed + 2, grouped)
    result = replace(examples, splits=splits, warnings=tuple(warnings))
    result = result.keep(np.flatnonzero(splits != "drop"))
    if not len(result.where("train")):
        raise UserError(
            f"None of the {len(examples)} examples is left for training.",
            "Add examples, or decrease --test_fraction and --validation_fraction.",
        )
    _check_tasks(result)
    found = (
        *_missing_classes(result),
        *_not_held_out(result, test_fraction),
        *_small_classes(result),
        *_conflicting_labels(result),
        *check_numbers(result),
        *_near_copies_apart(result),
    )
    return replace(result, warnings=(*warnings, *found))


def _assign(
    splits: Array,
    split_name: str,
    amount: float,
    names: Sequence[str],
    strata: Sequence[Hashable],
    seed: int,
    grouped: bool = False,
) -> None:
    """Moves a fraction (below 1) or a number of the free contents of each stratum to a split.

    Args:
      splits: Split of each example, str [n]; changed in place.
      split_name: Split to fill. `test` takes examples without a split, `val` also those of `train`.
      amount: Fraction of each stratum if below 1, else number of examples of each stratum.
      names: Content or unit of each example, [n].
      strata: Stratum of each example, [n].
      seed: Seed of the order.
      grouped: Whether whole units are chosen, stratified as far as they allow.
    """
    free = ("",) if split_name == "test" else ("", "train")
    if grouped:
        usable = np.isin(splits, free)
        chosen = choose_units(names, usable, amount, seed, min_left=1, strata=strata)
        splits[usable & np.isin(names, list(chosen))] = split_name
        return
    fixed = {name for name, each in zip(names, splits) if each not in free}
    by_stratum: dict[Hashable, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for name, stratum, each in zip(names, strata, splits):
        if each in free and name not in fixed:
            by_stratum[stratum][name] += 1
    chosen = set()
    for stratum in sorted(by_stratum, key=str):
        chosen |= _first_by_hash(by_stratum[stratum], amount, seed)
    for index, name in enumerate(names):
        if name in chosen and splits[index] in free:
            splits[index] = split_name


def _first_by_hash(counts: dict[str, int], amount: float, seed: int) -> set[str]:
    """Returns units that together have `amount` examples, in the order of a seeded hash.

    A fraction leaves at least one of several units, and skips units that would take it farther from
    the number than it was.
    """
    total = sum(counts.values())
    if amount < 1 < total and len(counts) == 1:
        return set()  # copies of the only content, without which nothing would be trained
    wanted = amount if amount >= 1 else round(amount * total)
    if amount < 1 and wanted == 0 and total >= _FOR_TEST:
        wanted = 1
    order = sorted(counts, key=lambda n: hashlib.sha256(f"{seed} {n}".encode()).digest())
    chosen: set[str] = set()
    moved = 0
    for name in order:
        if moved >= wanted or (amount < 1 < len(counts) == len(chosen) + 1):
            break
        # Of many copies, as many would be missing in training as are too many here.
        if amount >= 1 or abs(moved + counts[name] - wanted) <= wanted - moved:
            chosen.add(name)
            moved += counts[name]
    if not chosen and wanted and order:
        chosen.add(min(order, key=counts.__getitem__))
    return chosen


def _drop_given(examples: Examples, splits: Array) -> list[str]:
    """Drops training examples whose content or group is also in a given test or validation split.

    Near copies are left, since given splits are compared with the results of others.

    Returns:
      One warning per split.
    """
    names = units(replace(examples, near_copies=()))
    warnings = []
    for held_out, lower in (("test", ("", "train", "val")), ("val", ("", "train"))):
        held = {name for name, each in zip(names, splits) if each == held_out}
        same = [i for i, name in enumerate(names) if name in held and splits[i] in lower]
        splits[same] = "drop"
        if same:
            warnings.append(_dropped(examples, same, held_out))
    return warnings


def _dropped(examples: Examples, dropped: Sequence[int], held_out: str) -> str:
    modality = get_modality(examples.modality)
    singular = len(dropped) == 1
    noun = modality.singular if singular else modality.plural
    verb = ("is" if singular else "are") + " also in"
    if len(examples.groups):
        verb = ("has its" if singular else "have their") + " content or group in"
    return (
        f"Dropped {len(dropped):,} training {noun} that {verb} the given {SPLIT_WORDS[held_out]} "
        f"split. First: {examples.names[dropped[0]]}"
    )


def _strata(examples: Examples) -> Sequence[Hashable]:
    if examples.problem_type is ProblemType.SINGLE_LABEL:
        classes: list[int] = examples.labels.tolist()
        return classes
    if examples.problem_type.has_classes:
        labels = examples.targets()
        rarity = np.where(labels > 0, labels.sum(axis=0), np.inf)
        rarest: list[int] = np.where(labels.any(axis=1), rarity.argmin(axis=1), -1).tolist()
        return rarest
    edges = np.quantile(examples.labels[:, 0], [0.2, 0.4, 0.6, 0.8])
    fifths: list[int] = np.digitize(examples.labels[:, 0], edges).tolist()
    return fifths


def _check_tasks(examples: Examples) -> None:
    counts = examples.class_counts(examples.where("train")) if examples.tasks else np.zeros(0)
    for task in examples.tasks:
        if np.count_nonzero(counts[task.columns]) < 2:
            raise UserError(
                f"The training split has fewer than two classes of the task {task.name}.",
                "Label more examples for it, or remove the task.",
            )


def _no_test_split(examples: Examples, strata: Sequence[Hashable], names: Sequence[str]) -> str:
    if np.any(examples.splits == "train") and not (examples.splits == "train").all():
        return (
            "there is no test split next to the given training split: the final metrics are those "
            "of the validation split, on which the epoch is selected"
        )
    most = max(Counter(stratum for stratum, _ in set(zip(strata, names))).values())
    different = " different" if len(set(names)) < len(names) else ""
    remedy = "--test_fraction=0.5 tests one of two" if most > 1 else "label two of each or more"
    return (
        f"no class has {_FOR_TEST}{different} examples or more, so none is held out and the run is "
        f"not evaluated; {remedy}"
    )


def _not_held_out(examples: Examples, test_fraction: float) -> list[str]:
    """Returns a warning with the classes that are too small to be in all splits."""
    if not examples.problem_type.has_exclusive_classes or not len(examples.where("test")):
        return []
    counts, tested = examples.class_counts(), examples.class_counts(examples.where("test"))
    small = np.flatnonzero((counts < _FOR_TEST) & (tested == 0) & (counts > 0))
    if not len(small) or not test_fraction:
        return []
    remedy = "label more"
    if counts[small].max() > 1 and test_fraction < 0.5:
        remedy += ", or give --test_fraction=0.5, which tests one of two"
    return [
        f"a class needs {_FOR_TEST} examples for one in the test split, so the metrics of these "
        f"will be missing: {_with_counts(examples, small, counts)}; {remedy}"
    ]


def _small_classes(examples: Examples) -> list[str]:
    if not examples.problem_type.has_exclusive_classes:
        return []
    counts = examples.class_counts()
    small = np.flatnonzero(counts < _SMALL_CLASS)
    if not len(small):
        return []
    return [
        f"classes with fewer than {_SMALL_CLASS} examples: {_with_counts(examples, small, counts)}"
    ]


def _with_counts(examples: Examples, numbers: Array, counts: Array) -> str:
    return listed([f"{examples.classes[k]} ({counts[k]})" for k in numbers])


def _conflicting_labels(examples: Examples) -> list[str]:
    """Returns a warning if examples with the same content have different labels."""
    by_content: dict[str, list[int]] = defaultdict(list)
    for index, sha in enumerate(examples.sha256):
        by_content[sha].append(index)
    repeated = (indices for indices in by_content.values() if len(indices) > 1)
    conflicts = [indices for indices in repeated if _labels_differ(examples, indices)]
    if not conflicts:
        return []
    names = " and ".join(examples.names[index] for index in conflicts[0][:2])
    subject = "1 content has" if len(conflicts) == 1 else f"{len(conflicts):,} contents have"
    return [f"{subject} more than one label, for example {names}"]


def _near_copies_apart(examples: Examples) -> list[str]:
    """Returns a warning if given splits or groups leave near copies in different splits."""
    pairs = near_copies_across(examples)
    if not pairs:
        return []
    first = " and ".join(examples.names[index] for index in pairs[0])
    count = len(pairs)
    subject = "1 pair of near copies is" if count == 1 else f"{count:,} pairs of near copies are"
    return [f"{subject} in different splits, for example {first}"]


def _labels_differ(examples: Examples, indices: list[int]) -> bool:
    labels = examples.labels[indices]
    if examples.tasks:  # an unknown label contradicts nothing
        labels = np.where(labels < 0, labels.max(axis=0), labels)
    return bool((labels != labels[0]).any())


def _missing_classes(examples: Examples) -> list[str]:
    if not examples.problem_type.has_exclusive_classes:
        return []
    warnings = []
    for name in SPLITS:
        counts = examples.class_counts(examples.where(name))
        absent = [each for each, count in zip(examples.classes, counts) if not count]
        if absent and counts.any():
            warnings.append(f"the {SPLIT_WORDS[name]} split has no example of: {listed(absent)}")
    return warnings
