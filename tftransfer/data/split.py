"""A stratified, seeded split that never parts two copies of one content."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tftransfer.data.examples import Examples
from tftransfer.data.groups import chosen, units
from tftransfer.preprocessing import get_modality
from tftransfer.utils.errors import UserError

_FEW = 10


def split(
    examples: Examples,
    *,
    seed: int = 0,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
    labels_per_class: int = 0,
) -> Examples:
    """Fills in `splits`; parts that the source gave stay as they are.

    Within each class the contents are ordered by sha256(seed, content), and the
    first ones become the test part, the next the validation part. So a content is
    in one part only, and adding files hardly moves the others. Regression is
    stratified by quintiles, several labels by the rarest of each example.

    Args:
      examples: scanned, so that the hashes are there.
      seed: of the order.
      validation_fraction: of the examples left for training.
      test_fraction: of all examples, when the source has no test part.
      labels_per_class: keep only so many training examples per stratum; 0 keeps all.

    Raises:
      UserError: training would be left without examples.
    """
    splits = examples.splits.copy()
    strata, names = _strata(examples), units(examples)
    remarks = list(examples.remarks) + _separate_given(examples, splits, names)
    if not np.isin(splits, ("", "train")).any():
        why = f": {remarks[-1]}" if len(remarks) > len(examples.remarks) else ""
        raise UserError(
            f"No example is left for training, of {len(examples)}{why}.",
            "Give more data, or take out of the test and validation data what is to train.",
        )
    if (splits == "train").all():
        splits[:] = ""  # one folder called train is no division
    if not np.any(splits == "test") and test_fraction:
        _assign(splits, "test", test_fraction, names, strata, seed, bool(len(examples.groups)))
    if test_fraction and not np.any(splits == "test"):
        remarks.append(
            "no test part was given beside the training part: the final figures will be of the "
            "validation part, on which the epoch is chosen"
        )
    splits[splits == ""] = "train"
    if labels_per_class:
        _assign(splits, "train-kept", labels_per_class, examples.sha256, strata, seed + 1)
        splits[splits == "train"] = "drop"
        splits[splits == "train-kept"] = "train"
    if not np.any(splits == "val") and validation_fraction:
        grouped = bool(len(examples.groups))
        _assign(splits, "val", validation_fraction, names, strata, seed + 2, grouped)
    result = replace(examples, splits=splits, remarks=tuple(remarks))
    result = result.keep(np.flatnonzero(splits != "drop"))
    if not len(result.where("train")):
        raise UserError(
            f"No example is left for training, of {len(examples)}.",
            "Give more data, or smaller --test_fraction and --validation_fraction.",
        )
    _check_tasks(result)
    found = (*remarks, *_missing_classes(result), *_few(result), *_torn(result))
    return replace(result, remarks=found)


def _assign(
    splits: np.ndarray,
    part: str,
    amount: float,
    sha256: Sequence[str],
    strata: list,
    seed: int,
    grouped: bool = False,
) -> None:
    """Moves a fraction (below 1) or a count of the free contents of each stratum to `part`."""
    free = ("",) if part == "test" else ("", "train")
    if grouped:
        usable = np.isin(splits, free)
        taken = chosen(sha256, usable, amount, seed, left=1)
        splits[usable & np.isin(sha256, list(taken))] = part
        return
    elsewhere = {sha for sha, p in zip(sha256, splits) if p not in free}
    groups: dict[object, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, (sha, stratum) in enumerate(zip(sha256, strata)):
        if splits[index] in free and sha not in elsewhere:
            groups[stratum][sha].append(index)
    taken = set()
    for stratum in sorted(groups, key=str):
        contents = groups[stratum]
        order = sorted(contents, key=lambda sha: hashlib.sha256(f"{seed} {sha}".encode()).digest())
        total = sum(len(contents[sha]) for sha in order)
        wanted = amount if amount >= 1 else round(amount * total)
        if amount < 1 and wanted == 0 and total >= 3:
            wanted = 1
        moved = 0
        for sha in order:
            if moved >= wanted:
                break
            taken.add(sha)
            moved += len(contents[sha])
    for index, sha in enumerate(sha256):
        if sha in taken and splits[index] in free:
            splits[index] = part


def _separate_given(examples: Examples, splits: np.ndarray, names: Sequence[str]) -> list[str]:
    """Drops from training what also stands, or whose group does, in a given other part."""
    remarks, many = [], get_modality(examples.modality).many
    many += " or their groups" * bool(len(examples.groups))
    for part in ("test", "val"):
        held = {name for name, p in zip(names, splits) if p == part}
        lower = ("", "train", "val") if part == "test" else ("", "train")
        same = [i for i, name in enumerate(names) if name in held and splits[i] in lower]
        splits[same] = "drop"
        if same:
            remarks.append(
                f"{len(same)} training {many} also stand in the given {part} part and were "
                f"dropped from training, the first {examples.names[same[0]]}"
            )
    return remarks


def _strata(examples: Examples) -> list:
    if examples.problem_type == "single_label":
        return examples.labels.tolist()
    if examples.problem_type in ("multi_label", "multi_task"):
        labels = examples.targets()
        rarity = np.where(labels > 0, labels.sum(axis=0), np.inf)
        return np.where(labels.any(axis=1), rarity.argmin(axis=1), -1).tolist()
    edges = np.quantile(examples.labels[:, 0], [0.2, 0.4, 0.6, 0.8])
    return np.digitize(examples.labels[:, 0], edges).tolist()


def _check_tasks(examples: Examples) -> None:
    counts = examples.targets()[examples.where("train")].sum(axis=0)
    for task in examples.tasks:
        if np.count_nonzero(counts[task.columns]) < 2:
            raise UserError(
                f"The training part has fewer than two classes of the task {task.name}.",
                "Label more examples for it, or leave the task out.",
            )


def _few(examples: Examples) -> list[str]:
    """Classes so small that their figures mean little."""
    if examples.problem_type not in ("single_label", "multi_task"):
        return []
    counts = examples.targets().sum(axis=0)
    few = [f"{examples.classes[k]} ({counts[k]:.0f})" for k in np.flatnonzero(counts < _FEW)]
    return [f"classes of fewer than {_FEW} examples: {', '.join(few[:5])}"] if few else []


def _torn(examples: Examples) -> list[str]:
    """One content under several labels: which of them should be learnt?"""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, sha in enumerate(examples.sha256):
        groups[sha].append(index)
    torn = [group for group in groups.values() if len(group) > 1 and _differ(examples, group)]
    if not torn:
        return []
    names = " and ".join(examples.names[index] for index in torn[0][:2])
    return [f"{len(torn):,} examples stand under different labels: {names}"]


def _differ(examples: Examples, group: list[int]) -> bool:
    labels = examples.labels[group]
    if examples.tasks:  # what one of them does not say is no contradiction
        labels = np.where(labels < 0, labels.max(axis=0), labels)
    return bool((labels != labels[0]).any())


def _missing_classes(examples: Examples) -> list[str]:
    if examples.problem_type not in ("single_label", "multi_task"):
        return []
    remarks = []
    for part in ("train", "val", "test"):
        counts = examples.targets()[examples.where(part)].sum(axis=0)
        absent = [name for name, count in zip(examples.classes, counts) if not count]
        if absent and counts.any():
            remarks.append(f"the {part} part has no example of: {', '.join(absent[:5])}")
    return remarks
