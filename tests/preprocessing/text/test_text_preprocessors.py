"""Bytes of texts to strings and ids: the same in Python, in a stream and in an export."""

import numpy as np
import pytest
import tensorflow as tf

from tftransfer.data.scan import scan_item
from tftransfer.preprocessing import get_modality
from tftransfer.preprocessing.text.checks import MAX_BYTES
from tftransfer.preprocessing.text.preprocessor import StringPreprocessor, WordPreprocessor, as_utf8
from tftransfer.utils.text_encoding import decode_text

MODALITY = get_modality("text")
TEXT = "Café “naïve” don’t\n日本語"
WORDS = WordPreprocessor(6, words=["café", "don't", "stop", "it", "?"])
MARKS = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff", "utf-8-sig": b""}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be"])
def test_as_utf8_detects_the_encoding(encoding):
    data = MARKS.get(encoding, b"") + TEXT.encode(encoding)
    assert decode_text(data) == TEXT == as_utf8(tf.constant(data)).numpy().decode()


def test_as_utf8_reads_other_bytes_as_windows_1252_like_python():
    data = bytes(range(1, 256))
    assert as_utf8(tf.constant(data)).numpy().decode() == decode_text(data)
    assert decode_text(b"caf\xe9 \x93ok\x94") == "café “ok”"
    assert scan_item(b"caf\xe9", MODALITY).warnings == (
        "not in UTF-8, read as Windows-1252 (Latin-1)",
    )


@pytest.mark.parametrize("around", [" ", "\n", "\u00a0\u3000", "\x0b\x1c\x85", "\u2028\t"])
def test_as_utf8_strips_outer_white_space(around):
    data = f"{around}a {around} b{around}".encode()
    assert as_utf8(tf.constant(data)).numpy().decode() == decode_text(data).strip()
    assert scan_item(data, MODALITY).sha256 == scan_item(data.strip(), MODALITY).sha256
    assert scan_item(b"a\r\n", MODALITY).sha256 == scan_item("a".encode("utf-16"), MODALITY).sha256


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b" \n\t\xc2\xa0", "the text is empty"),
        (b"a\0b", "NUL"),
        ("no mark".encode("utf-16-le"), "NUL"),
        (b"\xef\xbb\xbfcaf\xe9", "byte 6 is invalid"),
        (b"a" * (MAX_BYTES + 1), "more than the limit of 4 MiB"),
    ],
)
def test_scan_item_reports_the_reason_of_unusable_texts(data, reason):
    assert reason in scan_item(data, MODALITY).reason


def test_scan_item_counts_words():
    assert scan_item(b" two  words\n", MODALITY).measure == 2
    assert scan_item("東京タワー, 2 times; ภาษาไทย".encode(), MODALITY).measure == 5 + 3 + 7


def test_encode_looks_up_words_or_their_parts():
    ids = WORDS.encode(tf.constant(["CAFÉ don’t know? Stop-it!", "", "zzz"]))
    assert ids.numpy().tolist() == [[1, 2, 5, 3, 4, 0], [0] * 6, [0] * 6]
    assert WORDS.encode(tf.constant(["stop " * 9])).numpy().tolist() == [[3] * 6]


def test_encode_finds_words_in_other_normal_forms():
    apart = WordPreprocessor(4, words=["film", "cafe\u0301", "naïve"])
    ids = apart.encode(tf.constant(["Café CAFE\u0301 nai\u0308ve naïve"])).numpy()
    assert ids.tolist() == [[2, 2, 3, 3]] and apart.size == 3
    both = WordPreprocessor(4, words=["cafe\u0301", "café"])
    assert both.encode(tf.constant(["café cafe\u0301"])).numpy().tolist() == [[2, 1, 0, 0]]


def test_encode_with_buckets_gives_every_word_an_id():
    ids = WordPreprocessor(4, buckets=50).encode(tf.constant(["One two one", "two"])).numpy()
    assert ids[0, 0] == ids[0, 2] != ids[0, 1] == ids[1, 0]
    assert ids[0, 3] == 0 and (ids[0, :3] > 0).all() and ids.max() <= 50


def test_decode_of_one_text_equals_that_of_a_batch():
    items = [b"Stop it?", b"caf\xe9", b"\xff\xfe" + "it".encode("utf-16-le")]
    rows, good = WORDS.decode_valid(tf.constant([*items, b"", b"a\0", b" "]))
    assert good.numpy().tolist() == [True] * 3 + [False] * 3
    for item, row in zip(items, rows.numpy()):
        np.testing.assert_array_equal(WORDS.decode(tf.constant(item)), row)
    assert not rows.numpy()[3:].any()
    with pytest.raises(tf.errors.InvalidArgumentError):
        WORDS.decode(tf.constant(b" "))


def test_string_preprocessor_returns_strings_in_utf8():
    rows, good = StringPreprocessor().decode_valid(tf.constant([b"caf\xe9", b""]))
    assert rows.numpy().tolist() == ["café".encode(), b""] and good.numpy().tolist() == [
        True,
        False,
    ]


def test_warnings_report_truncation_and_coverage():
    warnings = WORDS.warnings([b"stop it, now", b"it it it it it it it it"])
    assert warnings[0].startswith("50.0% of the training texts have more than 6 words")
    assert warnings[1].startswith("90.9% of the words in the training texts have a vector, 66.7%")


@pytest.mark.parametrize(("order", "expected"), [(1, False), (-1, True)])
def test_warnings_report_words_that_are_not_sorted_by_frequency(order, expected):
    words = [f"w{number}" for number in range(40)]
    texts = [" ".join([word] * (50 - number)).encode() for number, word in enumerate(words)]
    warnings = WordPreprocessor(99, words=words[::order], ranked=True).warnings(texts)
    assert any("(Spearman -1.00), which pool=sif" in line for line in warnings) == expected
    assert not any(
        "Spearman" in line for line in WordPreprocessor(99, words=words[::-1]).warnings(texts)
    )
    assert not any("Spearman" in line for line in WORDS.warnings(texts))


@pytest.mark.parametrize("augment", ["drop", "strong", "noise"])
def test_per_example_depends_only_on_the_seed_of_each_row(augment):
    change = WordPreprocessor(200, buckets=50).augmenter(augment)
    rows = np.ones((3, 200), np.int32)
    rows[:, 150:] = 0
    seeds = np.array([5, 6, 5])
    changed = change.per_example(rows, seeds)
    np.testing.assert_array_equal(changed[0], changed[2])
    np.testing.assert_array_equal(changed[1], change.per_example(rows[1:2], seeds[1:2])[0])
    share = (changed[:, :150] != 1).mean()
    assert 0.05 < share < 0.4 and not changed[:, 150:].any()
    np.testing.assert_array_equal(change(rows, 1, 2), change(rows, 1, 2))


def test_per_example_drops_words_of_strings():
    row = np.array([b"one two three four five six seven eight nine ten"], object)
    words = StringPreprocessor().augmenter("strong").per_example(row, np.array([1]))[0].split()
    assert 0 < len(words) < 10 and set(words) < set(row[0].split())


def test_auto_length_is_enough_for_nearly_all_texts():
    length, text = MODALITY.auto_length(np.float32([5] * 99 + [1000]))
    assert length == 24 and "at most 15 words (char" in text and "half at most 5" in text
