"""Near copies: examples of almost the same content, which a split keeps together."""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tftransfer.core.serialization import read_json, write_json
from tftransfer.core.typing import Array
from tftransfer.data.examples import SPLITS, Examples, NearCopy
from tftransfer.data.groups import connected
from tftransfer.data.scan import MAX_COMPARED_EXAMPLES, scan_items
from tftransfer.preprocessing import get_modality
from tftransfer.utils.errors import UserError
from tftransfer.utils.progress import waiting

# Increased when the search or a signature changes.
_FORMAT = 1
# A split of a class whose contents are nearly all similar is worth more than copies kept together.
_MAX_CLASS_SHARE = 0.5


def with_near_copies(
    examples: Examples, signatures: Mapping[str, Array], cache: Path | None = None
) -> Examples:
    """Returns the examples with pairs of near copies, which are looked for among the first 20,000.

    Near copies are texts with the same words, regardless of case and punctuation, and images of the
    same scene, also cropped by up to a tenth, moved, mirrored, lighter or compressed again. Those
    of one label stay in one split; a class most of which is similar, such as drawings on white, is
    split as usual.

    Args:
      examples: Scanned examples.
      signatures: Signature by sha256, as far as the scan has made them; see `Modality.decode`.
      cache: Folder where pairs are stored for later scans of the same data; None stores none.
    """
    label_of = _labels_by_content(examples)
    find = get_modality(examples.modality).near_copies
    if find is None or len(label_of) < 2:
        return examples
    stored = cache / f"near-copies-{_key(examples, label_of)}.json" if cache else None
    pairs = _read(stored)
    if pairs is None:
        signatures = {**signatures, **_missing_signatures(examples, label_of, signatures)}
        known = [sha for sha in label_of if sha in signatures]
        labels = np.array([label_of[sha] for sha in known])
        with waiting(f"comparing {get_modality(examples.modality).plural}"):
            found = find([signatures[sha] for sha in known], labels) if len(known) > 1 else ()
        pairs = [(known[a], known[b]) for a, b in found]
        if stored:
            with contextlib.suppress(OSError):
                write_json(stored, pairs)
    return _joined(examples, pairs, label_of)


def _labels_by_content(examples: Examples) -> dict[str, int]:
    """Returns a number for the label of each of the first contents; 0 for numbers."""
    numbers = np.zeros(len(examples), np.int64)
    if examples.problem_type.has_classes:
        numbers = np.unique(examples.labels, axis=0, return_inverse=True)[1].reshape(-1)
    found: dict[str, int] = {}
    for sha, number in zip(examples.sha256, numbers.tolist()):
        if len(found) < MAX_COMPARED_EXAMPLES or sha in found:
            found.setdefault(sha, number)
    return found


def _key(examples: Examples, label_of: Mapping[str, int]) -> str:
    lines = [f"{examples.modality} {_FORMAT}", *(f"{sha} {k}" for sha, k in label_of.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def _read(path: Path | None) -> list[tuple[str, str]] | None:
    if path is None or not path.is_file():
        return None
    with contextlib.suppress(OSError, UserError, TypeError, ValueError):
        return [(first, second) for first, second in read_json(path)]
    return None  # damaged: searched again


def _missing_signatures(
    examples: Examples, label_of: Mapping[str, int], signatures: Mapping[str, Array]
) -> dict[str, Array]:
    """Decodes the contents that an earlier scan had decoded, when it saw other data with them."""
    items = {
        sha: item
        for sha, item in zip(examples.sha256, examples.items)
        if sha in label_of and sha not in signatures
    }
    results = scan_items(list(items.values()), get_modality(examples.modality), compared=len(items))
    return {each.sha256: each.signature for each in results if each.signature is not None}


def _joined(
    examples: Examples, pairs: Sequence[tuple[str, str]], label_of: Mapping[str, int]
) -> Examples:
    """Returns the examples with the pairs, of which those of one label stay together."""
    same = [pair for pair in pairs if label_of[pair[0]] == label_of[pair[1]]]
    root_of = connected(same)
    sizes, totals = Counter(root_of.values()), Counter(label_of.values())
    large = {
        root for root, size in sizes.items() if size > _MAX_CLASS_SHARE * totals[label_of[root]]
    }
    together = {pair for pair in same if root_of[pair[0]] not in large}
    warnings = examples.warnings
    if large:
        count = sum(sizes[root] for root in large)
        plural = get_modality(examples.modality).plural
        warnings += (
            f"{count:,} {plural} look like most others of their class, and are split as usual; if "
            "some are copies of each other, name what they share by --group_by",
        )
    found = tuple(NearCopy(*pair, together=pair in together) for pair in pairs)
    return replace(examples, near_copies=found, warnings=warnings)


def describe_near_copies(examples: Examples) -> str:
    """Returns how many near copies there are and that they stay in one split, or "" if none do."""
    pairs = pairs_of_near_copies(examples, together=True)
    if not pairs:
        return ""
    copies = len({index for pair in pairs for index in pair})
    first, second = (examples.names[index] for index in pairs[0])
    kept = "stay in one split with them; --split_near_copies splits them like others"
    if len(examples.groups):
        apart = len(near_copies_across(examples))
        kept = f"are split by --group_by, {apart:,} pairs of them into different splits"
    return (
        f"{copies:,} {get_modality(examples.modality).plural} show the same as others, such as "
        f"{first} and {second}, and {kept}"
    )


def near_copies_across(examples: Examples) -> list[tuple[int, int]]:
    """Returns pairs of indices of near copies of one label that are in different splits."""
    splits = examples.splits
    return [
        (a, b)
        for a, b in pairs_of_near_copies(examples, together=True)
        if splits[a] != splits[b] and splits[a] in SPLITS and splits[b] in SPLITS
    ]


def pairs_of_near_copies(examples: Examples, *, together: bool = False) -> list[tuple[int, int]]:
    """Returns the indices of the pairs of near copies: of each content, the first example.

    Args:
      examples: Examples in which near copies were looked for.
      together: Whether to return only pairs that a split keeps together.
    """
    first: dict[str, int] = {}
    for index, sha in enumerate(examples.sha256):
        first.setdefault(sha, index)
    return [
        (first[each.first], first[each.second])
        for each in examples.near_copies
        if each.first in first and each.second in first and each.together >= together
    ]
