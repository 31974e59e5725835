"""Files in several rows of a table: several labels of one example, or repetitions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.data.examples import Examples
from tftransfer.utils.console import printable

# If a larger fraction of the files has rows with several labels, each file has several labels;
# fewer are contradictions.
_MIN_FRACTION_OF_SEVERAL = 0.1


def joined(examples: Examples, problem_type: str) -> Examples:
    """Returns the examples of a table with one example per file, where rows list its labels.

    A column of names in which many files have rows of several labels is `multi_label`, unless
    another problem type is given. Other files in several rows stay, and are reported.

    Args:
      examples: Examples with one label per row.
      problem_type: Problem type that the user gave; `auto` for none.
    """
    rows: dict[str | bytes, list[int]] = {}
    for number, item in enumerate(examples.items):
        rows.setdefault(item, []).append(number)
    repeated = len(examples) - len(rows)
    if not repeated or isinstance(examples.items[0], bytes):
        return examples
    targets = examples.targets() if examples.problem_type.has_classes else None
    several = [each for each in rows.values() if len(set(map(str, examples.labels[each]))) > 1]
    if targets is not None and _are_several_labels(examples, several, len(rows), problem_type):
        first = np.array([numbers[0] for numbers in rows.values()])
        labels = np.stack([targets[numbers].max(axis=0) for numbers in rows.values()])
        text = (
            f"{len(several):,} of {len(rows):,} files have several rows with different labels, "
            f"such as {examples.names[several[0][0]]}, and each file is one example with all of "
            "them; --problem_type=single_label keeps the rows"
        )
        return replace(
            examples.keep(first),
            labels=labels.astype(np.float32),
            problem_type=ProblemType.MULTI_LABEL,
            problem_reason="files have several rows, one per label",
            warnings=(*examples.warnings, printable(text)),
        )
    most = max(rows.values(), key=len)
    text = (
        f"{repeated:,} rows repeat a file of another row, such as {examples.names[most[0]]} in "
        f"{len(most)} rows; it is trained as often, and all its rows are in one split"
    )
    return replace(examples, warnings=(*examples.warnings, printable(text)))


def _are_several_labels(
    examples: Examples, several: list[list[int]], files: int, problem_type: str
) -> bool:
    if problem_type == ProblemType.MULTI_LABEL:
        return examples.problem_type is ProblemType.MULTI_LABEL
    if problem_type != "auto" or examples.problem_type is not ProblemType.SINGLE_LABEL:
        return False
    if all(name.replace(".", "").isdecimal() for name in examples.classes):
        return False  # different marks for one file are opinions
    one_split = all(len(set(examples.splits[numbers].tolist())) == 1 for numbers in several)
    return one_split and len(several) >= _MIN_FRACTION_OF_SEVERAL * files
