"""Folders in Hugging Face's format that lack a file, or have more than KerasHub reads."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from bert_in_numpy import last_hidden_states

from tftransfer.backbones.load import load_backbone
from tftransfer.utils.errors import UserError

IDS = np.int32([[0, 6, 7, 2, -1, -1], [0, 8, 9, 10, 11, 2]])


@pytest.fixture
def folder(tiny_bert, tmp_path):
    """A copy of the tiny BERT that may be changed."""
    return shutil.copytree(tiny_bert[0], tmp_path / "bert")


def changed(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def stored(folder, tensors):
    from safetensors.numpy import save_file

    save_file(
        {name: np.ascontiguousarray(each) for name, each in tensors.items()},
        folder / "model.safetensors",
    )


def assert_equal_to_numpy(folder, weights):
    present = IDS >= 0
    got = load_backbone(str(folder), modality="text", length=6).model(IDS)[0].numpy()
    expected = last_hidden_states(weights, np.maximum(IDS, 0), present, heads=2)
    np.testing.assert_allclose(got[present], expected[present], atol=1e-3)


@pytest.mark.parametrize("beginning", ["", "bert."])
def test_masked_language_model_needs_no_pooler(folder, tiny_bert, beginning):
    kept = {name: each for name, each in tiny_bert[1].items() if "pooler" not in name}
    stored(folder, {f"{beginning}{name}": each for name, each in kept.items()})
    files = sorted(path.name for path in folder.iterdir())
    assert_equal_to_numpy(folder, kept)
    assert sorted(path.name for path in folder.iterdir()) == files


@pytest.mark.parametrize("beginning", ["", "albert."])
def test_albert_needs_no_pooler(tiny_albert, tmp_path, beginning):
    block = "encoder.albert_layer_groups.0.albert_layers.0."
    shapes = {f"{block}attention.{part}": (8, 8) for part in ("query", "key", "value", "dense")} | {
        "embeddings.word_embeddings": (26, 4),
        "embeddings.position_embeddings": (16, 4),
        "embeddings.token_type_embeddings": (2, 4),
        "embeddings.LayerNorm": (4,),
        "encoder.embedding_hidden_mapping_in": (8, 4),
        f"{block}attention.LayerNorm": (8,),
        f"{block}full_layer_layer_norm": (8,),
        f"{block}ffn": (16, 8),
        f"{block}ffn_output": (8, 16),
    }
    rng = np.random.default_rng(0)
    weights = {f"{name}.weight": rng.normal(size=shape) for name, shape in shapes.items()}
    weights |= {f"{name}.bias": np.zeros(shape[0]) for name, shape in shapes.items()}
    stored(tmp_path, {f"{beginning}{name}": np.float32(each) for name, each in weights.items()})
    shutil.copy(next(tiny_albert.rglob("*.spm")), tmp_path / "spiece.model")
    (tmp_path / "config.json").write_text(
        json.dumps(
            {
                "model_type": "albert",
                "vocab_size": 26,
                "embedding_size": 4,
                "hidden_size": 8,
                "intermediate_size": 16,
                "num_attention_heads": 2,
                "num_hidden_layers": 2,
                "num_hidden_groups": 1,
                "inner_group_num": 1,
                "max_position_embeddings": 16,
                "type_vocab_size": 2,
                "hidden_act": "gelu_new",
                "attention_probs_dropout_prob": 0.0,
            }
        )
    )
    model = load_backbone(str(tmp_path), modality="text", length=6).model
    words = model.get_layer("token_embedding").get_weights()[0]
    np.testing.assert_array_equal(words, np.float32(weights["embeddings.word_embeddings.weight"]))
    assert np.isfinite(model(IDS)[0]).all()


@pytest.mark.parametrize("beginning", ["", "roberta."])
def test_roberta_includes_its_token_type(folder, tiny_bert, beginning):
    tensors = {name: each for name, each in tiny_bert[1].items() if "pooler" not in name}
    types = np.float32([[2, -1, 0, 1, 3, -2, 1, 0]])
    tensors |= {"embeddings.token_type_embeddings.weight": types}
    place = "embeddings.position_embeddings.weight"
    reserved = np.full((2, 8), 9, np.float32)
    stored(
        folder,
        {f"{beginning}{name}": each for name, each in tensors.items() if name != place}
        | {f"{beginning}{place}": np.concatenate([reserved, tensors[place]])},
    )
    changed(
        folder / "config.json",
        model_type="roberta",
        max_position_embeddings=18,
        hidden_dropout_prob=0.1,
        type_vocab_size=1,
    )
    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *"abcdefg", "Ġ", "Ġa"]
    (folder / "vocab.json").write_text(json.dumps({word: n for n, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\nĠ a\n")
    assert_equal_to_numpy(folder, tensors)


@pytest.mark.parametrize("beginning", ["", "distilbert."])
def test_distilbert_equals_a_bert_without_token_types(folder, tiny_bert, beginning):
    types = "embeddings.token_type_embeddings.weight"
    weights = {**tiny_bert[1], types: np.zeros_like(tiny_bert[1][types])}
    names = {
        "encoder.": "transformer.",
        "attention.self.query": "attention.q_lin",
        "attention.self.key": "attention.k_lin",
        "attention.self.value": "attention.v_lin",
        "attention.output.dense": "attention.out_lin",
        "intermediate.dense": "ffn.lin1",
        "attention.output.LayerNorm": "sa_layer_norm",
        "output.dense": "ffn.lin2",
        "output.LayerNorm": "output_layer_norm",
    }
    renamed = {}
    for name, each in weights.items():
        if "pooler" in name or name == types:
            continue
        for theirs, here in names.items():
            name = name.replace(theirs, here)
        renamed[f"{beginning}{name}"] = each
    stored(folder, renamed)
    bert = json.loads((folder / "config.json").read_text())
    changed(
        folder / "config.json",
        model_type="distilbert",
        dim=bert["hidden_size"],
        dropout=0.1,
        n_layers=bert["num_hidden_layers"],
        n_heads=bert["num_attention_heads"],
        hidden_dim=bert["intermediate_size"],
    )
    assert_equal_to_numpy(folder, weights)


def test_electra_folder_is_an_error_that_names_presets(folder):
    changed(folder / "config.json", model_type="electra")
    with pytest.raises(UserError, match="KerasHub's presets, such as electra_small") as error:
        load_backbone(str(folder), modality="text", length=6)
    assert "is an ELECTRA in Hugging Face's format" in str(error.value)


@pytest.mark.parametrize(
    ("settings", "normalizer", "lower"),
    [
        ({}, None, True),
        (None, None, True),
        ({}, {"lowercase": False}, False),
        ({"do_lower_case": False}, {"lowercase": True}, False),
    ],
)
def test_tokenizer_lower_cases_unless_a_file_disables_it(folder, settings, normalizer, lower):
    (folder / "tokenizer_config.json").unlink()
    if settings is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    if normalizer:
        (folder / "tokenizer.json").write_text(json.dumps({"normalizer": normalizer}))
    preprocessor = load_backbone(str(folder), modality="text", length=6).preprocessor
    small, accented = preprocessor.encode(tf.constant(["cafe", "CAFÉ"])).numpy().tolist()
    assert (small == accented) == lower


def test_remarks_report_unsupported_sentence_transformers_modules(folder):
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": True})
    )
    modalities = ("Transformer", "Pooling", "Dense")
    (folder / "modules.json").write_text(
        json.dumps(
            [{"type": f"sentence_transformers.models.{modality}"} for modality in modalities]
        )
    )
    backbone = load_backbone(str(folder), modality="text", length=6)
    assert backbone.pooling == "max"
    assert backbone.remarks[1:] == (
        "its makers concatenate the max and the mean of the tokens' vectors; here the max is used",
        "its makers' last layer, Dense, is omitted",
    )
