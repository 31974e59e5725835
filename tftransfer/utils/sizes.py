"""Sizes of memory and files in words, such as `20 GiB`."""

from __future__ import annotations

import re

from tftransfer.utils.errors import UserError

_BYTES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BYTES |= {"KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]I?)?B?", re.IGNORECASE)


def parse_size(text: str | int) -> int:
    """Converts a size in words to a number of bytes.

    Args:
      text: A number with a unit of 1,000 or 1,024 bytes, in any case and with or without a space,
        such as `20 GiB`, `512MB` or `1.5g`. A number without a unit is in bytes.

    Raises:
      UserError: If the text is not a size.

    Example:
      >>> parse_size("20 GiB")
      21474836480
      >>> parse_size("512MB")
      512000000
    """
    found = _SIZE.fullmatch(str(text).strip())
    if not found:
        raise UserError(f"{text!r} is not a size.", "Give a size such as 20 GiB, 512 MB or 0.")
    return int(float(found[1]) * _BYTES[(found[2] or "").upper()])


def format_size(size: int) -> str:
    """Returns a number of bytes in words.

    Example:
      >>> format_size(21474836480)
      '20 GiB'
      >>> format_size(1_500_000)
      '1.43 MiB'
    """
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    power = min(max(size.bit_length() - 1, 0) // 10, len(units) - 1)
    value = size / 2 ** (10 * power)
    return f"{value:.0f} {units[power]}" if value >= 100 else f"{value:.3g} {units[power]}"
