"""Reads every example once: applies the rules, decodes, hashes; names all that fails."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from tftransfer.ground.errors import UserError
from tftransfer.ground.progress import Progress
from tftransfer.ground.terminal import stderr_kept_back
from tftransfer.parts.data.examples import Examples, Quarantined, read_item
from tftransfer.parts.data.readable import Readable
from tftransfer.parts.data.rules import RULES

_BLOCK = 32


def scan(
    examples: Examples, *, max_quarantine: float = 0.05, readable: Readable | None = None,
    say: Callable[[str], None] = print,
) -> Examples:  # fmt: skip
    """The readable examples with their hashes; the others go to `quarantine`.

    Args:
      examples: from a source, unscanned.
      max_quarantine: fraction of the files that may be left out.
      readable: what an earlier scan decoded, which is only read and hashed.
      say: where progress goes.

    Raises:
      UserError: too many files are unreadable, or a class has none left.
    """
    with stderr_kept_back():  # the decoder tells of each bad file in its own way
        results = examine_all(examples.items, readable, say)
    if readable:
        readable.add(sha for sha, reason in results if not reason)
    good = np.array([not reason for _, reason in results], bool)
    bad = tuple(
        Quarantined(name=name, reason=reason)
        for name, (_, reason) in zip(examples.names, results)
        if reason
    )
    everything = replace(examples, sha256=[sha for sha, _ in results])
    kept = everything.keep(np.flatnonzero(good), quarantine=examples.quarantine + bad)
    _check_losses(examples, kept, max_quarantine)
    return kept


def examine_all(
    items: Sequence[str | bytes], readable: Readable | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[tuple[str, str | None]]:  # fmt: skip
    """`examine` of each item, on every core."""

    def some(items: Sequence[str | bytes]) -> list[tuple[str, str | None]]:
        found = [examine(item, readable) for item in items]
        progress.add(len(found))
        return found

    blocks = [items[start : start + _BLOCK] for start in range(0, len(items), _BLOCK)]
    with (
        Progress(say, "scanning", len(items), "files") as progress,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        return [result for block in pool.map(some, blocks) for result in block]


def examine(item: str | bytes, readable: Readable | None = None) -> tuple[str, str | None]:
    """sha256 of an item, and why it cannot be an example, or None."""
    if isinstance(item, str) and not item.isascii() and not _is_utf8(item):
        return "", "its name is not UTF-8"
    try:
        data = read_item(item)
    except OSError as error:
        return "", f"cannot be read: {error.strerror or error}"
    sha256 = hashlib.sha256(data).hexdigest()
    if readable and sha256 in readable:
        return sha256, None
    for rule in RULES:
        reason = rule(data)
        if reason:
            return "", reason
    return sha256, _undecodable(data)


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _undecodable(data: bytes) -> str | None:
    import tensorflow as tf

    from tftransfer.parts.data.decode import decode

    try:
        decode(tf.constant(data))
    except (tf.errors.OpError, ValueError) as error:
        said = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", str(error).splitlines()[0])
        return f"cannot be decoded: {' '.join(said.split())[:160]}"
    return None


def _check_losses(before: Examples, after: Examples, max_quarantine: float) -> None:
    lost = len(before) - len(after)
    if not len(after):
        raise UserError(
            "No readable picture was found among "
            f"{len(before)} files; the first: {after.quarantine[0].reason if lost else 'none'}.",
            "Give a folder with one sub-folder of pictures per class, or a .csv manifest.",
        )
    if lost > max_quarantine * len(before):
        first = after.quarantine[-lost]
        raise UserError(
            f"{lost} of {len(before)} files cannot be used, the first {first.name}: {first.reason}",
            f"Mend or remove them, or allow more than {max_quarantine:.0%} by --max_quarantine.",
        )
    if before.target == "single_label":
        for index, name in enumerate(before.classes):
            if np.any(before.labels == index) and not np.any(after.labels == index):
                raise UserError(
                    f"No file of class {name!r} can be read.", "Mend its files or remove it."
                )
