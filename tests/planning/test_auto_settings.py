"""Settings that the plan chooses, with their reasons; a given value has none."""

import numpy as np
import pytest
import tensorflow as tf

from tftransfer.core.problem_types import ProblemType
from tftransfer.data.examples import SPLIT_DTYPE, Examples
from tftransfer.planning.auto_settings import (
    AutoSetting,
    choose_batch_size,
    choose_length,
    choose_precision,
    choose_weights,
    choose_xla,
)
from tftransfer.recipes import make_recipe


def examples_of(train, target=0, *, modality="image", measures=None):
    count = train + target
    return Examples(
        names=list(map(str, range(count))),
        items=[b""] * count,
        labels=np.zeros(count, np.int64),
        problem_type=ProblemType.SINGLE_LABEL,
        classes=("a",),
        splits=np.array(["train"] * train + ["target"] * target).astype(SPLIT_DTYPE),
        modality=modality,
        measures=np.zeros(count, np.float32) if measures is None else np.float32(measures),
    )


@pytest.fixture(params=["CPU", "GPU", "TPU"])
def device(request, monkeypatch):
    monkeypatch.setattr(
        tf.config,
        "list_logical_devices",
        lambda kind: ["device"] if kind in ("CPU", request.param) else [],
    )
    return request.param


def test_choose_precision_is_bfloat16_on_tpus_only(device):
    found = choose_precision("auto")
    assert found.value == ("mixed_bfloat16" if device == "TPU" else "float32")
    assert str(found) == f"precision {found.value}: the safe value on a {device}"


def test_choose_xla_is_on_for_accelerators_only(device):
    found = choose_xla("auto")
    assert found.value == ("off" if device == "CPU" else "on") and found.reason


def test_choose_returns_given_values_without_a_reason():
    examples, recipe = examples_of(100), make_recipe("fine_tune")
    for name, found in {
        "mixed_float16": choose_precision("mixed_float16"),
        "on": choose_xla("on"),
        "pretrained": choose_weights("pretrained", recipe),
        "none": choose_weights("none", make_recipe("scratch")),
        16: choose_batch_size(16, recipe, examples),
        3.5: choose_length(3.5, "yamnet", examples_of(4, modality="audio")),
        0.0: choose_length(0.0, "mobilenet_v2", examples),
    }.items():
        assert found.value == name and not found.reason


def test_choose_weights_loads_none_where_all_stages_start_from_random_weights():
    found = choose_weights("pretrained", make_recipe("scratch"))
    assert found == AutoSetting(
        name="weights", value="none", reason="scratch starts every stage from random weights"
    )


@pytest.mark.parametrize(
    ("given", "train", "target", "recipe", "value"),
    [
        (32, 100, 0, "scratch", 32),
        (64, 27, 0, "scratch", 32),
        (64, 32, 0, "scratch", 32),
        (32, 27, 0, "scratch", 32),
        (20, 27, 0, "scratch", 20),
        (64, 27, 90, "scratch+dann", 64),
        (64, 27, 50, "scratch+dann", 56),
    ],
)
def test_choose_batch_size_is_at_most_the_examples_rounded_up(given, train, target, recipe, value):
    found = choose_batch_size(given, make_recipe(recipe), examples_of(train, target))
    assert found.value == value
    assert bool(found.reason) == (given > train)
    if found.reason:
        assert str(found).startswith(f"batch_size {value}: {given} is more than the {train} ")


def test_choose_length_holds_most_clips_and_prints_its_unit():
    examples = examples_of(20, modality="audio", measures=[4.0] * 20)
    found = choose_length(0.0, "yamnet", examples)
    assert found.value == pytest.approx(4.0) and found.unit == "s"
    assert str(found).startswith("length 4 s: ")


def test_choose_length_of_texts_is_in_tokens():
    examples = examples_of(20, modality="text", measures=[10] * 20)
    found = choose_length(0.0, "word_vectors", examples)
    assert found.unit == "tokens" and found.value == 16
