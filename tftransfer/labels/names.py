"""Names of classes that look the same, or that look like a missing value."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from tftransfer.labels.numbers import is_number
from tftransfer.utils.wording import listed

# As pandas and Python write a value that is missing.
MISSING = frozenset(("nan", "<na>", "nat"))
_LIKE_MISSING = frozenset(
    ("na", "n/a", "#n/a", "none", "null", "nil", "-", "--", "?", "unknown", "undefined", "missing")
)
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_NOT_FINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_BOOLEANS = frozenset(("true", "false"))


def looks_missing(name: str) -> bool:
    """Returns whether a cell may stand for a missing value or a number that is not finite."""
    return name.lower() in _LIKE_MISSING | MISSING or bool(_NOT_FINITE.fullmatch(name))


def visible(name: str) -> str:
    """Returns a name as it looks: one Unicode normal form, single blanks, nothing invisible."""
    plain = _INVISIBLE.sub("", unicodedata.normalize("NFC", name))
    return " ".join(plain.split())


def same_name(name: str) -> str:
    """Returns what names of one class have in common: how they look, or the value of a number."""
    return str(float(name)) if is_number(name) else visible(name)


def joined(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns names in which those that look the same are the same, and warnings.

    They are spelled as `visible` returns them. Names that differ in case remain different, except
    for `true` and `false` where all names are such; the most frequent spelling is kept.

    Args:
      names: Names of the labels, one per example.
    """
    counts = Counter(names)
    booleans = {name.lower() for name in counts} <= _BOOLEANS
    groups = _groups(counts, (lambda name: visible(name).lower()) if booleans else visible)
    kept: dict[str, str] = {}
    for group in groups:
        common = max(group, key=lambda name: (counts[name], name))
        kept |= dict.fromkeys(group, common if booleans else visible(common))
    why = "case" if booleans else "blanks, invisible characters or Unicode normal form"
    warnings = [
        f"{len(group)} spellings of {kept[group[0]]!r} that differ only in {why} are one class: "
        + ", ".join(f"{name!a} {counts[name]:,}" for name in group)
        for group in groups
    ]
    return [kept.get(name, name) for name in names], warnings


def name_warnings(names: Iterable[str]) -> list[str]:
    """Returns warnings of names that may be one class, or no label.

    Args:
      names: Names of the labels, one per example, or of the classes.
    """
    counts = Counter(names)
    warnings = []
    for group in _groups(counts, lambda name: visible(name).casefold()):
        warnings.append(f"classes that differ only in case: {listed(group)}")
    numbers = [name for name in counts if is_number(name)]
    for group in _groups(numbers, lambda name: str(float(name))):
        warnings.append(f"classes that are the same number, written differently: {listed(group)}")
    for name, count in counts.items():
        if looks_missing(name):
            warnings.append(
                f"{count:,} labels are {name!r}, which is read as the name of a class; if these "
                "labels are missing, remove them"
            )
    return warnings


def _groups(names: Iterable[str], key: Callable[[str], str]) -> list[list[str]]:
    """Returns the groups of two or more names with the same key."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[key(name)].append(name)
    return [group for group in groups.values() if len(group) > 1]
