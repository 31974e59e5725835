"""Texts: files in UTF-8, UTF-16 or Latin-1, or cells of a table."""

from __future__ import annotations

from functools import partial

import numpy as np

from tftransfer.core.typing import Array
from tftransfer.preprocessing.base import Decoded, Modality
from tftransfer.preprocessing.text.checks import CHECKS, WARNINGS, count_words, strip_text
from tftransfer.preprocessing.text.near_copies import texts_of_same_words, word_signature

__all__ = ["MODALITY"]

# An English word is about 1.4 tokens: punctuation is separate, and long words are split.
_TOKENS_PER_WORD = 1.4
_START_AND_END_TOKENS = 2
_LENGTH_MULTIPLE = 8
_MAX_LENGTH_TOKENS = 512
_PERCENT_OF_WHOLE_TEXTS = 99


def _auto_length(words: Array, longest: float = np.inf) -> tuple[float, str]:
    """Chooses how many tokens of each text are used: enough for 99 % of the texts.

    Args:
      words: Words of the training texts, [n].
      longest: Largest default length of the network in tokens.

    Returns:
      The length in tokens, and the reason.
    """
    most = float(np.percentile(words, _PERCENT_OF_WHOLE_TEXTS)) if len(words) else 0.0
    tokens = _TOKENS_PER_WORD * most + _START_AND_END_TOKENS
    rounded = int(_LENGTH_MULTIPLE * np.ceil(tokens / _LENGTH_MULTIPLE))
    length = int(min(max(rounded, _LENGTH_MULTIPLE), _MAX_LENGTH_TOKENS, longest))
    median = float(np.median(words)) if len(words) else 0.0
    return float(length), (
        f"{_PERCENT_OF_WHOLE_TEXTS} % of the training texts have at most {most:.0f} words "
        f"(characters in scripts without spaces), half at most {median:.0f}"
    )


MODALITY = Modality(
    name="text",
    singular="text",
    plural="texts",
    checks=CHECKS,
    warnings=WARNINGS,
    decode=lambda data: Decoded(signature=partial(word_signature, data)),
    near_copies=texts_of_same_words,
    content=lambda data: strip_text(data).encode(),
    measure=count_words,
    auto_length=_auto_length,
    length_unit="tokens",
    mixable=False,
    takes_layers=False,
    augmentations={
        "none": "leaves examples unchanged",
        "drop": "drops 10 % of the tokens or words at random",
        "strong": "drops 30 % of the tokens or words at random, for views that losses compare",
        "noise": "replaces 15 % of the tokens, or swaps as many words, for auto-encoders",
    },
    default_augmentation="none",
    signature_input="text",
    invalid_message="the text is empty or contains NUL characters",
    expected_data="a .csv, .tsv or .jsonl with the columns text and label, or a folder with one "
    "sub-folder of .txt files per class",
)
