"""Reads every example once: applies the rules, decodes, hashes; names all that fails."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from tftransfer.data.examples import Examples, Quarantined, read_item
from tftransfer.data.file_types import not_empty
from tftransfer.data.scan_cache import ScanCache
from tftransfer.preprocessing import Modality, get_modality
from tftransfer.utils import signals
from tftransfer.utils.console import quiet_stderr
from tftransfer.utils.errors import UserError
from tftransfer.utils.progress import Progress

_BLOCK = 32


def scan(
    examples: Examples, *, max_quarantine: float = 0.05, readable: ScanCache | None = None
) -> Examples:
    """The readable examples with their hashes; the others go to `quarantine`.

    Args:
      examples: from a source, unscanned.
      max_quarantine: fraction of the files that may be left out.
      readable: what an earlier scan decoded, which is only read and hashed.

    Raises:
      UserError: too many files are unreadable, or a class has none left.
    """
    modality = get_modality(examples.modality)
    with quiet_stderr():  # the decoder tells of each bad file in its own way
        results = scan_items(examples.items, modality, readable)
    if readable:
        readable.add(found.sha256 for found in results if not found.reason)
    good = np.array([not found.reason for found in results], bool)
    bad = tuple(
        Quarantined(name=name, reason=found.reason)
        for name, found in zip(examples.names, results)
        if found.reason
    )
    everything = replace(
        examples,
        sha256=[found.sha256 for found in results],
        measures=np.array([found.measure for found in results], np.float32),
    )
    kept = everything.keep(
        np.flatnonzero(good),
        quarantine=examples.quarantine + bad,
        warnings=examples.warnings + summarize_warnings(examples.names, results, modality),
    )
    _check_losses(examples, kept, max_quarantine)
    return kept


@dataclass(frozen=True)
class ScannedFile:
    """What was found out of one file.

    Attributes:
      sha256: of its content; "" when it cannot be an example.
      reason: why it cannot be one, or "".
      warnings: what is worth saying of it.
      measure: see `Modality.measure`.
    """

    sha256: str = ""
    reason: str = ""
    warnings: tuple[str, ...] = ()
    measure: float = 0.0


def summarize_warnings(
    names: Sequence[str], results: Sequence[ScannedFile], modality: Modality
) -> tuple[str, ...]:
    """Each note once, with the number of files and the first of them."""
    noted: dict[str, list[str]] = {}
    for name, found in zip(names, results):
        for note in found.warnings:
            noted.setdefault(note, []).append(name)
    return tuple(
        f"{len(some):,} {modality.singular if len(some) == 1 else modality.plural} {note}: "
        f"{some[0]}{' ...' * (len(some) > 1)}"
        for note, some in noted.items()
    )


def scan_items(
    items: Sequence[str | bytes], modality: Modality, readable: ScanCache | None = None
) -> list[ScannedFile]:
    """`scan_item` of each item, on every core."""

    def some(items: Sequence[str | bytes]) -> list[ScannedFile]:
        found = [scan_item(item, modality, readable) for item in items]
        progress.add(len(found))
        signals.raise_if_stop_requested()
        return found

    blocks = [items[start : start + _BLOCK] for start in range(0, len(items), _BLOCK)]
    with (
        Progress("scanning", len(items), "files") as progress,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        return [result for block in pool.map(some, blocks) for result in block]


def scan_item(
    item: str | bytes, modality: Modality, readable: ScanCache | None = None
) -> ScannedFile:
    """Reads an item and applies the rules and warnings of its kind to it."""
    if isinstance(item, str) and not item.isascii() and not _is_utf8(item):
        return ScannedFile(reason="its name is not UTF-8")
    try:
        data = read_item(item)
    except OSError as error:
        return ScannedFile(reason=f"cannot be read: {error.strerror or error}")
    sha256 = hashlib.sha256(modality.content(data)).hexdigest()
    if not readable or sha256 not in readable:
        reasons = (rule(data) for rule in (not_empty, *modality.checks))
        reason = next(filter(None, reasons), None) or modality.decode_error(data)
        if reason:
            return ScannedFile(reason=reason)
    return ScannedFile(
        sha256,
        warnings=tuple(filter(None, (note(data) for note in modality.warnings))),
        measure=modality.measure(data) if modality.measure else 0.0,
    )


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_losses(before: Examples, after: Examples, max_quarantine: float) -> None:
    lost, modality = len(before) - len(after), get_modality(before.modality)
    if not len(after):
        raise UserError(
            f"No readable {modality.singular} was found among "
            f"{len(before)} files; the first: {after.quarantine[0].reason if lost else 'none'}.",
            f"Give {modality.expected_data}.",
        )
    if lost > max_quarantine * len(before):
        first = after.quarantine[-lost]
        raise UserError(
            f"{lost} of {len(before)} files cannot be used, the first {first.name}: {first.reason}",
            f"Mend or remove them, or allow more than {max_quarantine:.0%} by --max_quarantine.",
        )
    if before.problem_type.has_exclusive_classes:
        counts = zip(before.classes, before.targets().sum(axis=0), after.targets().sum(axis=0))
        for name, there, left in counts:
            if there and not left:
                raise UserError(
                    f"No file of class {name!r} can be read.", "Mend its files or remove it."
                )
