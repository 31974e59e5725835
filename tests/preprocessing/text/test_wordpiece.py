"""WordPiece of unusual characters: the ids are those of Hugging Face's tokenizers."""

import pytest
import tensorflow as tf

from tftransfer.preprocessing.text.subword_preprocessor import SubwordPreprocessor

hub = pytest.importorskip("keras_hub")
pytest.importorskip("tensorflow_text")
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "a",
    "film",
    "café",
    "cafe",
    "co",
    "##operate",
    "zero",
    "##width",
    "½",
    "1",
    "ß",
    "ss",
    "σοφος",
    "σοφοσ",
    "日",
    "語",
    ".",
    "!",
    "?",
    "CAFÉ",
    "ᄒ",
    "##ᅡ",
    "##ᆫ",
    "한",
    "ж",
    "##ж",
    "i",
    "##film",
    "“",
    "”",
    "ａ",
    "Film",
]
IDS = {word: number for number, word in enumerate(WORDS)}
UNUSUAL = {
    "a\u00a0film\u3000a\u2009film\u2028a\u2029film": ["a", "film"] * 3,
    "a\tfilm\na\r\nfilm \u1680 a": ["a", "film", "a", "film", "a"],
    "co\u00adoperate zero\u200bwidth \ufefffilm": ["co", "##operate", "zero", "##width", "film"],
    "fi\x07lm f\x0bi\x85lm fi\ufffdlm \ue000film": ["film"] * 4,
    "CAFÉ cafe\u0301": ["cafe", "cafe"],
    "½ ß ΣΟΦΟΣ Ａ": ["½", "ß", "σοφοσ", "ａ"],
    "日本語a.film!": ["日", "[UNK]", "語", "a", ".", "film", "!"],
    "한 İ": ["ᄒ", "##ᅡ", "##ᆫ", "i"],
    "“film”": ["“", "film", "”"],
    "ж" * 100 + " " + "ж" * 101: ["ж", *["##ж"] * 99, "[UNK]"],
    "\u200b": [],
}


def preprocessor(**settings):
    return SubwordPreprocessor(128, hub.models.BertTokenizer(WORDS, **settings), files={})


UNCASED = {"lowercase": True, "strip_accents": True}


def ids(preprocessor, texts):
    return [row[row >= 0].tolist() for row in preprocessor.encode(tf.constant(texts)).numpy()]


def test_encode_of_unusual_characters():
    expected = [[2, *(IDS[piece] for piece in pieces), 3] for pieces in UNUSUAL.values()]
    assert ids(preprocessor(**UNCASED), list(UNUSUAL)) == expected


def test_encode_cased_keeps_letters_and_accents():
    (found,) = ids(preprocessor(), ["CAFÉ\u00a0café Film a"])
    assert [WORDS[number] for number in found[1:-1]] == ["CAFÉ", "café", "Film", "a"]


@pytest.mark.parametrize("settings", [UNCASED, {}, {"lowercase": True}])
def test_encode_agrees_with_hugging_face(settings):
    library = pytest.importorskip("tokenizers")
    theirs = library.Tokenizer(library.models.WordPiece(IDS, unk_token="[UNK]"))
    theirs.normalizer = library.normalizers.BertNormalizer(
        lowercase=settings.get("lowercase", False),
        strip_accents=settings.get("strip_accents", False),
    )
    theirs.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
    texts = [
        *UNUSUAL,
        *(f"a{text}film" for text in UNUSUAL),
        "".join(UNUSUAL),
        " ".join(reversed(UNUSUAL)),
    ]
    assert ids(preprocessor(**settings), texts) == [
        [2, *theirs.encode(text).ids[:126], 3] for text in texts
    ]


def test_encode_in_a_saved_model_is_equal(tmp_path):
    ours = preprocessor(**UNCASED)
    module = tf.Module()
    module.encode = tf.function(
        ours.encode, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False
    )
    tf.saved_model.save(module, str(tmp_path))
    again = tf.saved_model.load(str(tmp_path)).encode(tf.constant(list(UNUSUAL))).numpy()
    assert (again == ours.encode(tf.constant(list(UNUSUAL))).numpy()).all()


def test_cache_key_depends_on_how_words_are_split(monkeypatch):
    before = preprocessor().cache_key
    monkeypatch.setattr("tftransfer.preprocessing.text.subword_preprocessor.PATTERNS", "others")
    assert preprocessor().cache_key != before
