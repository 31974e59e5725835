"""Text: files in UTF-8, UTF-16 or Latin-1, or cells of a table."""

from __future__ import annotations

import numpy as np

from tftransfer.preprocessing.base import Modality
from tftransfer.preprocessing.text.checks import CHECKS, WARNINGS, bare, count_words

# Marks apart and long words in pieces: of English a word is about 1.4 tokens.
_TOKENS_PER_WORD, _MARKS, _STEP = 1.4, 2, 8
_HELD, _MOST = 99, 512


def _length(words: np.ndarray, longest: float = np.inf) -> tuple[float, str]:
    """Tokens that hold nearly all of the texts, rounded up; longer texts will be cut."""
    most = float(np.percentile(words, _HELD)) if len(words) else 0.0
    wanted = int(_STEP * np.ceil((_TOKENS_PER_WORD * most + _MARKS) / _STEP))
    length = int(min(max(wanted, _STEP), _MOST, longest))
    middle = float(np.median(words)) if len(words) else 0.0
    return float(length), (
        f"length {length} tokens: of the training texts {_HELD} % have at most {most:.0f} words "
        f"(characters where no blanks part words), half at most {middle:.0f}"
    )


MODALITY = Modality(
    name="text",
    singular="text",
    plural="texts",
    checks=CHECKS,
    warnings=WARNINGS,
    decode_error=lambda data: None,
    content=lambda data: bare(data).encode(),
    measure=count_words,
    auto_length=_length,
    mixable=False,
    augmentations=("none", "drop", "strong", "noise"),
    default_augmentation="none",
    signature_input="text",
    invalid_message="not a text: it is empty or holds NUL characters",
    expected_data="a .csv, .tsv or .jsonl with the columns text and label, or a folder with one "
    "sub-folder of .txt files per class",
)
