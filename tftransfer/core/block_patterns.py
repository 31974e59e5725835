"""Patterns of block names, by which phases refer to stages and heads."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence

from tftransfer.utils.errors import unknown_name

# `stage-1` is the last stage.
_STAGE_FROM_END = re.compile(r"stage-(\d+)")


def match_blocks(pattern: str, blocks: Sequence[str]) -> list[str]:
    """Returns the blocks that match a name, `stage-K` or a shell pattern.

    Args:
      pattern: Name or pattern.
      blocks: Names of all blocks, stages in their order.

    Raises:
      UserError: If no block matches.
    """
    from_end = _STAGE_FROM_END.fullmatch(pattern)
    if from_end:
        stages = [block for block in blocks if re.fullmatch(r"stage\d+", block)]
        position = len(stages) - int(from_end[1])
        found = [stages[position]] if 0 <= position < len(stages) else []
    else:
        found = [block for block in blocks if fnmatch.fnmatchcase(block, pattern)]
    if not found:
        raise unknown_name("block", pattern, blocks)
    return found
