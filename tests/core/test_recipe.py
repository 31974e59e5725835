import dataclasses
import math

import pytest

from tftransfer.core.block_patterns import match_blocks
from tftransfer.core.experiment import Experiment
from tftransfer.core.loss import Loss
from tftransfer.core.recipe import Head, Phase, Recipe
from tftransfer.utils.errors import UserError

BLOCKS = ("stem", "stage1", "stage2", "stage3", "head")


def _phase(**changes):
    return Phase(**{"name": "tune", "train": {"head": 1.0}, "losses": (), **changes})


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("head", ["head"]),
        ("stage2", ["stage2"]),
        ("stage-1", ["stage3"]),
        ("stage-3", ["stage1"]),
        ("stage*", ["stage1", "stage2", "stage3"]),
        ("stage[12]", ["stage1", "stage2"]),
        ("st*", ["stem", "stage1", "stage2", "stage3"]),
        ("*", list(BLOCKS)),
    ],
)
def test_match_blocks_pattern_returns_matching_blocks_in_order(pattern, found):
    assert match_blocks(pattern, BLOCKS) == found


def test_match_blocks_stage_from_the_end_counts_numbered_stages():
    blocks = [f"stage{k}" for k in range(1, 12)] + ["stage_extra"]
    assert match_blocks("stage-1", blocks) == ["stage11"]
    assert match_blocks("stage-11", blocks) == ["stage1"]


@pytest.mark.parametrize("pattern", ["stage-0", "stage-4", "Head", "hea", "stage4", "conv*", ""])
def test_match_blocks_without_a_match_raises(pattern):
    with pytest.raises(UserError) as caught:
        match_blocks(pattern, BLOCKS)
    assert caught.value.what == f"There is no block named {pattern!r}."


@pytest.mark.parametrize(
    ("pattern", "remedy"),
    [
        ("haed", "Did you mean head?"),
        ("stage-9", "Did you mean stage3 or stage2 or stage1?"),
        ("conv*", "Available: head, stage1, stage2, stage3, stem."),
    ],
)
def test_match_blocks_without_a_match_lists_nearest_blocks(pattern, remedy):
    with pytest.raises(UserError) as caught:
        match_blocks(pattern, BLOCKS)
    assert caught.value.remedy == remedy


@pytest.mark.parametrize(
    ("train", "rates"),
    [
        ({}, (0, 0, 0, 0, 0)),
        ({"head": 1}, (0, 0, 0, 0, 1)),
        ({"head": 1, "stage-1": 0.3, "stage-2": 0.09}, (0, 0, 0.09, 0.3, 1)),
        ({"*": 0.5, "stem": 0}, (0, 0.5, 0.5, 0.5, 0.5)),
        ({"stem": 0.1, "*": 0.5}, (0.5, 0.5, 0.5, 0.5, 0.5)),
        ({"stage*": 1, "stage-1": 0.1}, (0, 1, 1, 0.1, 0)),
    ],
)
def test_rates_freeze_unnamed_blocks_and_last_match_applies(train, rates):
    found = _phase(train=train).rates(BLOCKS)
    assert list(found) == list(BLOCKS)
    assert tuple(found.values()) == rates
    assert all(type(rate) is float for rate in found.values())


def test_rates_pattern_without_a_block_raises():
    with pytest.raises(UserError, match="no block named 'hed'"):
        _phase(train={"head": 1.0, "hed": 1.0}).rates(BLOCKS)


def test_phase_copies_train():
    train = {"head": 1.0}
    phase = _phase(train=train)
    train["stage1"] = 1.0
    assert phase.train == {"head": 1.0}


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"batch_norm": "freeze"}, r"Phase 'tune': batch_norm='freeze' is not an option"),
        ({"schedule": "cos"}, r"Phase 'tune': schedule='cos' is not an option"),
        ({"schedule": None}, r"Phase 'tune': schedule is None, "),
        ({"augment": "flipp"}, r"Phase 'tune': augment='flipp' is not an option"),
        ({"epochs": 0}, "'tune'.* epochs=0"),
        ({"epochs": -1}, "'tune'.* epochs=-1"),
        ({"learning_rate": 0.0}, "'tune'.* learning_rate=0.0"),
        ({"learning_rate": -1e-3}, "'tune'.* learning_rate=-0.001"),
        ({"learning_rate": 100.0}, "'tune'.* learning_rate=100.0"),
        ({"learning_rate": math.nan}, "'tune'.* learning_rate=nan"),
    ],
)
def test_phase_impossible_value_raises(changes, what):
    with pytest.raises(UserError, match=what):
        _phase(**changes)


def test_phase_misspelled_value_lists_the_nearest():
    with pytest.raises(UserError) as caught:
        _phase(batch_norm="freeze")
    assert caught.value.remedy == "Did you mean frozen?"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"problem_type": "multilabel"}, r"Experiment: problem_type='multilabel' is not an option"),
        ({"xla": True}, r"Experiment: xla=True is not an option"),
        ({"precision": "float16"}, r"Experiment: precision='float16' is not an option"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"epochs": -1}, "epochs is -1"),
        ({"validation_fraction": -0.1}, "validation_fraction is -0.1"),
        ({"validation_fraction": 0.9}, "validation_fraction is 0.9"),
        ({"test_fraction": 1.0}, "test_fraction is 1.0"),
        ({"test_fraction": math.nan}, "test_fraction is nan"),
    ],
)
def test_experiment_impossible_value_raises(changes, what):
    with pytest.raises(UserError, match=what):
        Experiment(**changes)


@pytest.mark.parametrize("name", ["validation_fraction", "test_fraction"])
def test_experiment_fraction_of_zero_is_allowed(name):
    assert getattr(Experiment(**{name: 0.0}), name) == 0.0


def test_dataclasses_are_frozen_and_keyword_only():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Head().units = 3
    with pytest.raises(TypeError):
        Recipe("name")


def test_base_loss_call_raises():
    with pytest.raises(NotImplementedError):
        Loss()({})


def test_recipe_str_describes_each_phase():
    first = _phase(name="warm", losses=(Loss(),), epochs=3, learning_rate=0.01)
    second = _phase(
        train={"head": 1.0, "stage-1": 0.25}, losses=(Loss(), Loss(weight=0.5)), reset=("head",)
    )
    lines = str(Recipe(name="mine", phases=(first, second))).splitlines()
    assert lines[0] == "recipe mine"
    assert lines[1] == "  1. warm: trains head ×1; other blocks are frozen"
    assert "peak learning rate 0.01, cosine, up to 3 epochs" in lines[2]
    assert lines[3] == "     minimizes Loss"
    assert lines[4] == "  2. tune: trains head ×1, stage-1 ×0.25; other blocks are frozen"
    assert lines[6] == "     minimizes Loss + 0.5 Loss"
    assert lines[7] == "     initializes head with random weights"
    assert len(lines) == 8


def test_recipe_str_of_a_phase_without_trained_blocks():
    assert "trains nothing;" in str(Recipe(name="r", phases=(_phase(train={}),)))


@pytest.mark.parametrize(
    ("changes", "what", "remedy"),
    [
        ({"warmup": 1.5}, "warmup=1.5", "from 0 to 1"),
        ({"lora": -1}, "lora=-1", "from 0 to 10,000"),
        ({"train": {"head": -0.5}}, "multiplier of head is -0.5", "0 or more"),
    ],
)
def test_phase_value_out_of_range_raises_with_the_range(changes, what, remedy):
    with pytest.raises(UserError, match=what) as caught:
        _phase(**changes)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("changes", "what", "remedy"),
    [
        ({"hidden": (8, 0)}, r"hidden=\(8, 0\)", "whole numbers above 0"),
        ({"dropout": 1.0}, "dropout=1.0", "below 1"),
        ({"kind": "dence"}, "Head 'head': kind='dence'", "Did you mean dense"),
    ],
)
def test_head_impossible_value_raises(changes, what, remedy):
    with pytest.raises(UserError, match=what) as caught:
        Head(**changes)
    assert remedy in caught.value.remedy
