"""Folders in Hugging Face's format that lack something, or hold more than KerasHub reads."""

import json
import shutil

import pytest
import tensorflow as tf

from tftransfer.parts.backbones.text import load_backbone


@pytest.fixture
def folder(tiny_bert, tmp_path):
    """A copy of the tiny BERT, to be changed."""
    return shutil.copytree(tiny_bert[0], tmp_path / "bert")


@pytest.mark.parametrize(
    ("settings", "normalizer", "lower"),
    [
        ({}, None, True),
        (None, None, True),
        ({}, {"lowercase": False}, False),
        ({"do_lower_case": False}, {"lowercase": True}, False),
    ],
)
def test_letters_are_made_small_unless_a_file_says_not(folder, settings, normalizer, lower):
    (folder / "tokenizer_config.json").unlink()
    if settings is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    if normalizer:
        (folder / "tokenizer.json").write_text(json.dumps({"normalizer": normalizer}))
    form = load_backbone(str(folder), length=6).form
    small, accented = form.encoded(tf.constant(["cafe", "CAFÉ"])).numpy().tolist()
    assert (small == accented) == lower


def test_what_sentence_transformers_add_is_told(folder):
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": True})
    )
    kinds = ("Transformer", "Pooling", "Dense")
    (folder / "modules.json").write_text(
        json.dumps([{"type": f"sentence_transformers.models.{kind}"} for kind in kinds])
    )
    backbone = load_backbone(str(folder), length=6)
    assert backbone.pooling == "max"
    assert backbone.remarks[1:] == (
        "its makers set the max and the mean of the tokens' vectors side by side; here the max is "
        "taken",
        "its makers' last layer, Dense, is left out",
    )
