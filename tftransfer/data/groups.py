"""Groups of examples that a split keeps together, such as all clips of a speaker."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace

from tftransfer.core.typing import Array
from tftransfer.data.examples import Examples
from tftransfer.utils.errors import UserError, unknown_name

_REMEDY = (
    "Give a column of the table, or a regular expression on the file name whose one pair of "
    "parentheses encloses the group, such as '_([a-z]+)_'."
)


def with_groups(examples: Examples, group_by: str, *, required: bool = True) -> Examples:
    """Returns the examples with groups that a pattern extracts from their file names.

    Args:
      examples: Examples of a source; groups that a table gave stay as they are.
      group_by: Regular expression with one group, such as `_([a-z]+)_`; "" for no groups.
      required: Whether each name must match. Otherwise, examples that do not match have the group
        "", which means unknown.

    Raises:
      UserError: The pattern is invalid, or a name that must match does not.
    """
    if not group_by or len(examples.groups):
        return examples
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise UserError(
            f"--group_by={group_by} is not a regular expression: {error}.", _REMEDY
        ) from None
    if pattern.groups != 1:
        raise UserError(
            f"--group_by={group_by} has {pattern.groups} pairs of parentheses, not one.", _REMEDY
        )
    names = [name.replace("\\", "/").rpartition("/")[2] for name in examples.names]
    matches = [pattern.search(name) for name in names]
    found = [(match[1] or "") if match else "" for match in matches]
    if required and "" in found:
        name = examples.names[found.index("")]
        raise UserError(f"--group_by={group_by} does not match {name}.", _REMEDY)
    return replace(examples, groups=found)


def column_of_groups(header: Sequence[str], group_by: str, *, required: bool = True) -> str:
    """Returns the column of a table that `group_by` names, or "" if it is a pattern.

    Args:
      header: Names of the table's columns.
      group_by: Name of a column or a pattern; see `tftransfer.Experiment`.
      required: Whether a name that no column has is an error; otherwise "" is returned.

    Raises:
      UserError: No column has the name.
    """
    if group_by in header or not group_by:
        return group_by
    if required and "(" not in group_by:  # a pattern must have parentheses
        raise unknown_name("column", group_by, header)
    return ""


def units(examples: Examples) -> list[str]:
    """Returns the unit of each example: examples of one unit stay in one split.

    A unit is a content and its near copies; or, if there are groups, a group together with all
    groups that share a content with it. An example of an unknown group (validation, test or
    unlabelled data may have some) belongs to the unit of its content. Before the scan, names take
    the place of contents.

    Args:
      examples: Examples, usually scanned.
    """
    if not len(examples.groups):
        near = ((each.first, each.second) for each in examples.near_copies if each.together)
        root_of = connected(near)
        return [root_of.get(sha, sha) for sha in examples.sha256]
    contents = examples.sha256 if len(examples.sha256) else examples.names
    pairs = list(zip(examples.groups, contents, strict=True))
    root_of = connected((f"group {group}", f"content {sha}") for group, sha in pairs if group)
    names = [f"group {group}" if group else f"content {sha}" for group, sha in pairs]
    return [root_of.get(name, name) for name in names]


def connected(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Returns the connected component of each name in some pairs: its last name in the alphabet.

    Example:
      >>> connected([("a", "b"), ("b", "c"), ("x", "y")])
      {'a': 'c', 'b': 'c', 'c': 'c', 'x': 'y', 'y': 'y'}
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for pair in pairs:
        first, second = sorted(map(root, pair), reverse=True)
        parent[second] = first
    return {name: root(name) for name in sorted(parent)}


def choose_units(
    names: Sequence[str],
    free: Array,
    fraction: float,
    seed: int,
    *,
    min_left: int,
    strata: Sequence[Hashable] = (),
) -> set[str]:
    """Chooses units that together have about a fraction of the examples of each stratum.

    In the order of a hash, a unit is chosen if that brings the numbers of examples nearer to the
    fractions. A stratum that has none then gets its smallest unit, if others of it remain.

    Args:
      names: Unit of each example, [n].
      free: Which examples may be chosen, bool [n].
      fraction: Fraction of the free examples to choose, 0 to 1.
      seed: Seed of the order.
      min_left: Number of units that must remain.
      strata: Stratum of each example, such as its class, [n]; () for one stratum.

    Raises:
      UserError: There are too few units.
    """
    counts: dict[str, Counter[Hashable]] = defaultdict(Counter)
    for name, usable, stratum in zip(names, free, strata or [""] * len(names)):
        if usable:
            counts[name][stratum] += 1
    order = sorted(counts, key=lambda name: _hashed(seed, name))
    if len(order) <= min_left:
        raise UserError(
            f"--group_by gives {len(order)} groups, too few to split.",
            "Add groups, give separate --test_data, or set --validation_fraction=0.",
        )
    missing: Counter[Hashable] = Counter()
    for each in counts.values():
        missing.update(each)
    wanted = {stratum: fraction * count for stratum, count in missing.items()}
    chosen: set[str] = set()
    for name in order:
        nearer = sum(
            abs(wanted[stratum] - count) - abs(wanted[stratum])
            for stratum, count in counts[name].items()
        )
        if (nearer < 0 or not chosen) and len(order) - len(chosen) > min_left:
            chosen.add(name)
            for stratum, count in counts[name].items():
                wanted[stratum] -= count
    for stratum in sorted(wanted, key=str):
        having = [name for name in order if counts[name][stratum]]
        absent = len(having) > 1 and not chosen.intersection(having)
        if absent and len(order) - len(chosen) > min_left:
            chosen.add(min(having, key=lambda name: counts[name].total()))
    return chosen


def _hashed(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed} {name}".encode()).digest()
