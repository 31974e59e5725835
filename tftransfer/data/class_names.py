"""Names of classes as folders have them: one spelling of each, and those that look the same."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence

from tftransfer.utils.console import printable

_MAX_SHOWN = 5


def clean_name(name: str) -> str:
    """Returns a name in the composed Unicode form, with single blanks and no invisible characters.

    A macOS folder of the same name differs from a Linux one in its Unicode form only.

    Example:
      >>> clean_name(" rose\\u0301 \\u200bred ")
      'rosé red'
    """
    visible = (c for c in unicodedata.normalize("NFC", name) if unicodedata.category(c) != "Cf")
    return " ".join("".join(visible).split()) or name


def cleaned_remarks(names: Iterable[str]) -> tuple[str, ...]:
    """Returns a line about the names that `clean_name` changes and that then are the same class."""
    same = defaultdict(set)
    for name in names:
        same[clean_name(name)].add(name)
    joined = [f"{clean!r} of {len(each)} folders" for clean, each in same.items() if len(each) > 1]
    changed = [clean for clean, each in same.items() if each != {clean} and len(each) == 1]
    remarks = []
    if joined:
        remarks.append(
            "folders whose names differ only in blanks, invisible characters or Unicode form are "
            f"one class: {', '.join(joined[:_MAX_SHOWN])}; rename them to keep them apart"
        )
    if changed:
        remarks.append(
            f"blanks, invisible characters or the Unicode form of {len(changed):,} class names are "
            f"normalized: {', '.join(map(repr, changed[:_MAX_SHOWN]))}"
        )
    return tuple(map(printable, remarks))


def same_but_for_case(classes: Sequence[str]) -> tuple[str, ...]:
    """Returns a line about the classes that differ in case or punctuation only."""
    same = defaultdict(list)
    for name in classes:
        same[_folded(name)].append(name)
    case = [n for group in same.values() for n in group if _differs_in_case_only(group, n)]
    other = [n for group in same.values() if len(group) > 1 for n in group if n not in case]
    remarks = []
    if case:
        remarks.append(f"classes that differ only in case: {', '.join(case)}")
    if other:
        remarks.append(
            f"classes that differ only in blanks, hyphens or underscores: {', '.join(other)}"
        )
    return tuple(remarks)


def _differs_in_case_only(group: Sequence[str], name: str) -> bool:
    return sum(other.casefold() == name.casefold() for other in group) > 1


def _folded(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(c for c in folded if c not in " -_") or name
