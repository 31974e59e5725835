"""WordPiece as Hugging Face's BERT has it: clean, part into words, then look subwords up."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tftransfer.utils.keras_internals import is_fast_wordpiece

_BLANK, _NO_CHARACTER = r"[\t\n\r\pZ]", r"[\pC\x{FFFD}]"
_PUNCTUATION = r"[!-/:-@\[-`{-~\pP]"
# Chinese characters, each a word (Devlin et al., 2018, and their code).
_IDEOGRAPH = (
    r"[\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2B73F}"
    r"\x{2B740}-\x{2B81F}\x{2B820}-\x{2CEAF}\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F}]"
)
# A longer word is unknown as a whole.
_LONGEST, _BYTES = 100, 4
PATTERNS = repr((_BLANK, _NO_CHARACTER, _PUNCTUATION, _IDEOGRAPH, _LONGEST))


def follows_bert(tokenizer: Any) -> bool:
    """Whether a tokenizer of KerasHub is WordPiece on words that it parts as BERT does."""
    return (
        is_fast_wordpiece(tokenizer)
        and tokenizer.split
        and tokenizer.split_on_cjk
        and not tokenizer.special_tokens_in_strings
    )


class WordPiece:
    """Ids of the subwords of strings [n], a ragged int32 [n, ids], in graph operations.

    KerasHub's own takes no-break spaces for letters, parts words at characters that nobody sees,
    and folds compatible characters, such as a half, to others.

    Args:
      tokenizer: of KerasHub, whose vocabulary and settings are taken.
    """

    def __init__(self, tokenizer: Any):
        import tensorflow_text

        self._lower, self._strip = tokenizer.lowercase, tokenizer.strip_accents
        self._text = tensorflow_text
        self._subwords = tensorflow_text.FastWordpieceTokenizer(
            vocab=tokenizer.get_vocabulary(),
            suffix_indicator=tokenizer.suffix_indicator,
            max_bytes_per_word=_BYTES * _LONGEST,
            token_out_type=tf.int32,
            unknown_token=tokenizer.oov_token,
            no_pretokenization=True,
        )

    def __call__(self, utf8: Any) -> Any:
        """Ids of strings in UTF-8 [n]."""
        words = self._words(self._normal(utf8))
        too_long = tf.strings.length(words.values, "UTF8_CHAR") > _LONGEST
        never = "x" * (_BYTES * _LONGEST + 1)
        words = words.with_values(tf.where(too_long, never, words.values))
        return self._subwords.tokenize(words).merge_dims(-2, -1)

    def _normal(self, utf8: Any) -> Any:
        """Blanks as spaces, without control characters, and as the settings say."""
        text = tf.strings.regex_replace(utf8, _BLANK, " ")
        text = tf.strings.regex_replace(text, _NO_CHARACTER, "")
        if self._strip:
            text = self._text.normalize_utf8(text, "NFD")
            text = tf.strings.regex_replace(text, r"\p{Mn}", "")
        if self._lower:  # each character by itself, wherever in a word it is
            text = tf.strings.regex_replace(text, "Σ", "σ")
            text = tf.strings.lower(text, encoding="utf-8")
        return text

    def _words(self, text: Any) -> Any:
        kept = f"{_PUNCTUATION}|{_IDEOGRAPH}"
        return self._text.regex_split(
            text, delim_regex_pattern=f" |{kept}", keep_delim_regex_pattern=kept
        )
