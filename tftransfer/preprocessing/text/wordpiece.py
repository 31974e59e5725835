"""WordPiece as in Hugging Face's BERT: clean, split into words, then look up subwords."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from tftransfer.core.typing import Tensor
from tftransfer.utils.keras_internals import is_fast_wordpiece

if TYPE_CHECKING:
    import keras_hub

_SPACE = r"[\t\n\r\pZ]"
_CONTROL = r"[\pC\x{FFFD}]"
_PUNCTUATION = r"[!-/:-@\[-`{-~\pP]"
# Each Chinese character is a word (Devlin et al., 2018, and their code).
_IDEOGRAPH = (
    r"[\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2B73F}"
    r"\x{2B740}-\x{2B81F}\x{2B820}-\x{2CEAF}\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F}]"
)
# BERT takes longer words as unknown.
_MAX_WORD_CHARACTERS = 100
_MAX_BYTES_PER_CHARACTER = 4
PATTERNS = repr((_SPACE, _CONTROL, _PUNCTUATION, _IDEOGRAPH, _MAX_WORD_CHARACTERS))


def follows_bert(tokenizer: keras_hub.tokenizers.Tokenizer) -> bool:
    """Returns whether a tokenizer of KerasHub is WordPiece that splits words as BERT does."""
    return (
        is_fast_wordpiece(tokenizer)
        and tokenizer.split
        and tokenizer.split_on_cjk
        and not tokenizer.special_tokens_in_strings
    )


class WordPiece:
    """Converts strings [n] to ids of subwords, a ragged int32 [n, ids], in graph operations.

    KerasHub's tokenizer differs from the original: it takes no-break spaces for letters, splits
    words at invisible characters, and replaces compatible characters, such as one half.

    Args:
      tokenizer: Tokenizer of KerasHub, whose vocabulary and settings are used.
    """

    def __init__(self, tokenizer: keras_hub.tokenizers.Tokenizer):
        import tensorflow_text

        self._lower, self._strip_accents = tokenizer.lowercase, tokenizer.strip_accents
        self._text = tensorflow_text
        self._subwords = tensorflow_text.FastWordpieceTokenizer(
            vocab=tokenizer.get_vocabulary(),
            suffix_indicator=tokenizer.suffix_indicator,
            max_bytes_per_word=_MAX_BYTES_PER_CHARACTER * _MAX_WORD_CHARACTERS,
            token_out_type=tf.int32,
            unknown_token=tokenizer.oov_token,
            no_pretokenization=True,
        )

    def __call__(self, utf8: Tensor) -> tf.RaggedTensor:
        """Returns the ids of strings in UTF-8 [n]."""
        words = self._split(self._clean(utf8))
        too_long = tf.strings.length(words.values, "UTF8_CHAR") > _MAX_WORD_CHARACTERS
        # The tokenizer counts bytes, so a long word of one-byte characters would be looked up.
        unknown = "x" * (_MAX_BYTES_PER_CHARACTER * _MAX_WORD_CHARACTERS + 1)
        words = words.with_values(tf.where(too_long, unknown, words.values))
        return self._subwords.tokenize(words).merge_dims(-2, -1)

    def _clean(self, utf8: Tensor) -> Tensor:
        """Replaces white space by spaces, and removes control characters, accents and case."""
        text = tf.strings.regex_replace(utf8, _SPACE, " ")
        text = tf.strings.regex_replace(text, _CONTROL, "")
        if self._strip_accents:
            text = self._text.normalize_utf8(text, "NFD")
            text = tf.strings.regex_replace(text, r"\p{Mn}", "")
        if self._lower:  # TensorFlow writes a final sigma as ς, BERT writes σ everywhere
            text = tf.strings.regex_replace(text, "Σ", "σ")
            text = tf.strings.lower(text, encoding="utf-8")
        return text

    def _split(self, text: Tensor) -> tf.RaggedTensor:
        kept = f"{_PUNCTUATION}|{_IDEOGRAPH}"
        return self._text.regex_split(
            text, delim_regex_pattern=f" |{kept}", keep_delim_regex_pattern=kept
        )
