"""Groups of examples that must not be parted, such as all clips of a speaker."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tftransfer.data.examples import Examples
from tftransfer.utils.errors import UserError, unknown_name


def with_groups(examples: Examples, group_by: str, *, required: bool = True) -> Examples:
    """The examples with their groups, by a pattern on their file names.

    Args:
      examples: from a source; groups that a table gave stay as they are.
      group_by: a regular expression with one group, such as `_([a-z]+)_`; "" for no groups.
      required: whether each name must match; elsewhere what does not is of no known group, "".

    Raises:
      UserError: no such pattern, or a name that must match and does not.
    """
    if not group_by or len(examples.groups):
        return examples
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise UserError(f"--group_by={group_by} is no pattern: {error}.", _REMEDY) from None
    if pattern.groups != 1:
        raise UserError(f"--group_by={group_by} has {pattern.groups} groups in it.", _REMEDY)
    names = [name.replace("\\", "/").rpartition("/")[2] for name in examples.names]
    matches = [pattern.search(name) for name in names]
    found = [(match[1] or "") if match else "" for match in matches]
    if required and "" in found:
        name = examples.names[found.index("")]
        raise UserError(f"--group_by={group_by} does not match {name}.", _REMEDY)
    return replace(examples, groups=found)


_REMEDY = (
    "Give a column of the manifest, or a regular expression on the file name whose one pair of "
    "parentheses holds the group, such as '_([a-z]+)_'."
)


def column_of_groups(header: Sequence[str], group_by: str, *, required: bool = True) -> str:
    """The column of a table that `group_by` names; "" where it is a pattern.

    Args:
      header: the table's.
      group_by: see `tftransfer.Experiment`.
      required: whether a table without that column is refused; "" for it elsewhere.

    Raises:
      UserError: a name, but of no column.
    """
    if group_by in header or not group_by:
        return group_by
    if required and "(" not in group_by:  # which every pattern has
        raise unknown_name("column", group_by, header)
    return ""


def units(examples: Examples) -> list[str]:
    """What must not be parted: each content, or each group with those that share a content.

    What is of no group, as other data than the training data may be, is a content for itself.
    Before the scan, names stand for contents.
    """
    if not len(examples.groups):
        return list(examples.sha256)
    contents = examples.sha256 if len(examples.sha256) else examples.names
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for group, sha in zip(examples.groups, contents, strict=True):
        if group:
            first, second = sorted((root(f"group {group}"), root(f"content {sha}")), reverse=True)
            parent[second] = first
    return [
        root(f"group {group}" if group else f"content {sha}")
        for group, sha in zip(examples.groups, contents, strict=True)
    ]


def chosen(
    names: Sequence[str], free: np.ndarray, fraction: float, seed: int, *, left: int
) -> set[str]:
    """Units that together hold about a fraction of the examples, in the order of a hash.

    Args:
      names: the unit of each example, [n].
      free: which examples may be chosen, bool [n].
      fraction: of the free examples.
      seed: of the order.
      left: how many units must stay.

    Raises:
      UserError: there are too few.
    """
    counts: dict[str, int] = defaultdict(int)
    for name, usable in zip(names, free):
        counts[name] += bool(usable)
    order = [name for name in sorted(counts, key=lambda n: _hashed(seed, n)) if counts[name]]
    if len(order) <= left:
        raise UserError(
            f"There are {len(order)} groups by --group_by, too few to part them.",
            "Give more groups, a --test_data of its own, or --validation_fraction=0.",
        )
    taken: set[str] = set()
    wanted, moved = fraction * int(free.sum()), 0
    for name in order:
        nearer = abs(moved + counts[name] - wanted) < wanted - moved
        if (nearer or not taken) and len(order) - len(taken) > left:
            taken.add(name)
            moved += counts[name]
    return taken


def _hashed(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed} {name}".encode()).digest()
