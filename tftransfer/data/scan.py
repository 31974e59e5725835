"""Reads every example once: checks, decodes and hashes it; quarantines those that fail."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from tftransfer.core.typing import Array
from tftransfer.data.examples import Examples, Quarantined, first_of, read_item
from tftransfer.data.file_types import not_empty
from tftransfer.data.scan_cache import ScanCache
from tftransfer.preprocessing import Decoded, Modality, get_modality
from tftransfer.utils import signals
from tftransfer.utils.console import quiet_stderr
from tftransfer.utils.errors import UserError
from tftransfer.utils.progress import Progress

# Items that a thread scans before it reports progress.
_BLOCK_ITEMS = 32
# Near copies are looked for among so many; their signatures take 80 MB.
MAX_COMPARED_EXAMPLES = 20_000


@dataclass(frozen=True)
class ScannedFile:
    """Result of the scan of one file.

    Attributes:
      sha256: Hash of the content; "" if the file cannot be used.
      reason: Why the file cannot be used, or "".
      warnings: Irregularities of a usable file.
      measure: Duration in seconds or number of words; see `Modality.measure`.
      blank: Whether decoding gave a warning, so that later scans decode the file again.
      signature: What near copies have in common; see `Decoded`.
    """

    sha256: str = ""
    reason: str = ""
    warnings: tuple[str, ...] = ()
    measure: float = 0.0
    blank: bool = False
    signature: Array | None = None


def scan(
    examples: Examples,
    *,
    max_quarantine: float = 0.05,
    readable: ScanCache | None = None,
    signatures: dict[str, Array] | None = None,
) -> Examples:
    """Returns the usable examples with their hashes; the others are listed in `quarantine`.

    Args:
      examples: Unscanned examples of a source.
      max_quarantine: Largest fraction of files that may be unusable, 0 to 1; with the rows of a
        table that the source quarantined.
      readable: Contents that an earlier scan decoded; they are only read and hashed.
      signatures: Gets the signatures of contents that are decoded, by sha256; None for none.

    Raises:
      UserError: Too many files are unusable, or all files of a class.
    """
    modality = get_modality(examples.modality)
    with quiet_stderr():  # decoders also print errors of bad files
        compared = MAX_COMPARED_EXAMPLES if signatures is not None else 0
        results = scan_items(examples.items, modality, readable, compared=compared)
    if signatures is not None:
        signatures.update({r.sha256: r.signature for r in results if r.signature is not None})
    if readable:
        readable.add(r.sha256 for r in results if not r.reason and not r.blank)
    usable = np.array([not result.reason for result in results], bool)
    quarantine = tuple(
        Quarantined(name=name, reason=result.reason)
        for name, result in zip(examples.names, results)
        if result.reason
    )
    scanned = replace(
        examples,
        sha256=[result.sha256 for result in results],
        measures=np.array([result.measure for result in results], np.float32),
    )
    kept = scanned.keep(
        np.flatnonzero(usable),
        quarantine=examples.quarantine + quarantine,
        warnings=examples.warnings + summarize_warnings(examples.names, results, modality),
    )
    _check_quarantine(examples, kept, max_quarantine)
    return kept


def summarize_warnings(
    names: Sequence[str], results: Sequence[ScannedFile], modality: Modality
) -> tuple[str, ...]:
    """Returns each warning once, with the number of files and the first of them.

    Args:
      names: Names of the files, [n].
      results: Results of their scan, [n].
      modality: Modality of the files.
    """
    by_warning: dict[str, list[str]] = {}
    for name, result in zip(names, results):
        for warning in result.warnings:
            by_warning.setdefault(warning, []).append(name)
    return tuple(
        f"{len(files):,} {modality.singular if len(files) == 1 else modality.plural} {warning}: "
        f"{files[0]}{' ...' * (len(files) > 1)}"
        for warning, files in by_warning.items()
    )


def scan_items(
    items: Sequence[str | bytes],
    modality: Modality,
    readable: ScanCache | None = None,
    *,
    compared: int = 0,
) -> list[ScannedFile]:
    """Returns `scan_item` of each item, computed on all cores.

    Args:
      items: Paths or encoded bytes.
      modality: Modality of the items.
      readable: Contents that an earlier scan decoded.
      compared: Number of the first items whose signatures are kept.
    """

    def scan_block(start: int) -> list[ScannedFile]:
        block = items[start : start + _BLOCK_ITEMS]
        signed = start < compared
        results = [scan_item(item, modality, readable, signed=signed) for item in block]
        progress.add(len(results))
        signals.raise_if_stop_requested()
        return results

    starts = range(0, len(items), _BLOCK_ITEMS)
    with (
        Progress("scanning", len(items), "files") as progress,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        return [result for block in pool.map(scan_block, starts) for result in block]


def scan_item(
    item: str | bytes,
    modality: Modality,
    readable: ScanCache | None = None,
    *,
    signed: bool = False,
) -> ScannedFile:
    """Reads an item and applies the checks and warnings of its modality.

    Args:
      item: Path or encoded bytes.
      modality: Modality of the item.
      readable: Contents that an earlier scan decoded.
      signed: Whether the result has the signature of a content that is decoded.
    """
    if isinstance(item, str) and not item.isascii() and not _is_utf8(item):
        return ScannedFile(reason="its name is not UTF-8")
    try:
        data = read_item(item)
    except OSError as error:
        return ScannedFile(reason=f"cannot be read: {error.strerror or error}")
    sha256 = hashlib.sha256(modality.content(data)).hexdigest()
    decoded = Decoded()
    if not readable or sha256 not in readable:
        reasons = (check(data) for check in (not_empty, *modality.checks))
        reason = next(filter(None, reasons), "")
        if not reason:
            decoded = modality.decode(data)
            reason = decoded.reason
        if reason:
            return ScannedFile(reason=reason)
    warnings = (decoded.warning, *(warning(data) for warning in modality.warnings))
    return ScannedFile(
        sha256,
        warnings=tuple(filter(None, warnings)),
        measure=modality.measure(data) if modality.measure else 0.0,
        blank=bool(decoded.warning),
        signature=decoded.signature() if signed else None,
    )


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_quarantine(before: Examples, after: Examples, max_quarantine: float) -> None:
    earlier, modality = before.quarantine, get_modality(before.modality)
    lost = (*after.quarantine[len(earlier) :], *earlier)
    total, noun = len(before) + len(earlier), "rows" if earlier else "files"
    if not len(after):
        first = f"; the first: {lost[0].reason}" if lost else ""
        raise UserError(
            f"None of the {total} {noun} is a readable {modality.singular}{first}.",
            f"Give {modality.expected_data}.",
        )
    if len(lost) > max_quarantine * total:
        enough = math.ceil(100 * len(lost) / total) / 100
        raise UserError(
            f"{len(lost)} of {total} {noun} cannot be used, the first {first_of(lost)}",
            f"Fix or remove them, or allow more than {max_quarantine:.0%} by "
            f"--max_quarantine={enough:g}.",
        )
    if before.problem_type.has_exclusive_classes:
        counts = zip(before.classes, before.class_counts(), after.class_counts())
        for name, count_before, count_after in counts:
            if count_before and not count_after:
                raise UserError(
                    f"No file of the class {name!r} can be used.",
                    "Fix its files, or remove the class.",
                )
