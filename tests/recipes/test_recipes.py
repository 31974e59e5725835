"""Recipes by name: what trains, at which rate, on which losses."""

import dataclasses
import json
from dataclasses import replace

import pytest

from tftransfer import recipes
from tftransfer.core.augmentation import CustomAugmentation
from tftransfer.core.problem_types import ProblemType
from tftransfer.core.recipe import Head, Phase, Recipe
from tftransfer.core.serialization import from_jsonable, to_jsonable
from tftransfer.losses import L2SP, BinaryCrossEntropy, CrossEntropy, MultiTask, SquaredError
from tftransfer.recipes import (
    METHODS,
    RECIPES,
    make_recipe,
    recipe_options,
    register_method,
    register_recipe,
)
from tftransfer.recipes.supervised import HeadPhaseOptions, PhaseOptions

OURS = ["deep_transfer", "feature_extraction", "fine_tune", "gradual_unfreezing", "scratch"]
SOLVED = ["few_shot"]
LOSS = {
    "single_label": CrossEntropy,
    "multi_label": BinaryCrossEntropy,
    "regression": SquaredError,
    "multi_task": MultiTask,
}


def blocks(stages):
    return [*(f"stage{k}" for k in range(1, stages + 1)), "head"]


def test_recipe_names_are_all_recipes_and_methods():
    own = {name for name, make in RECIPES.items() if make.__module__.startswith("tftransfer.")}
    assert own == {*OURS, *SOLVED}
    assert recipes.recipe_names() == sorted({*RECIPES, *METHODS})


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("problem_type", list(ProblemType))
@pytest.mark.parametrize("stages", [1, 3, 5])
def test_recipe_survives_json_and_trains_the_head(name, problem_type, stages):
    recipe = make_recipe(name, problem_type=problem_type, stages=stages)
    assert from_jsonable(json.loads(json.dumps(to_jsonable(recipe)))) == recipe
    assert recipe.phases
    assert name in str(recipe)
    for phase in recipe.phases:
        assert isinstance(phase.losses[0], LOSS[problem_type])
        trained = {block for block, rate in phase.rates(blocks(stages)).items() if rate > 0}
        assert "head" in trained


@pytest.mark.parametrize(
    "name, options, expected",
    [
        ("feature_extraction", {}, [{"head": 1}]),
        ("scratch", {}, [dict.fromkeys(blocks(5), 1)]),
        ("fine_tune", {}, [{"head": 1}, {"head": 1, "stage5": 1, "stage4": 0.3}]),
        (
            "fine_tune",
            {"unfreeze": 3, "decay": 0.5},
            [{"head": 1}, {"head": 1, "stage5": 1, "stage4": 0.5, "stage3": 0.25}],
        ),
        (
            "gradual_unfreezing",
            {"unfreeze": 2, "decay": 0.1},
            [{"head": 1}, {"head": 1, "stage5": 1}, {"head": 1, "stage5": 1, "stage4": 0.1}],
        ),
        (
            "deep_transfer",
            {"keep": 3, "frozen": 1, "source_rate": 0.2},
            [{"stage2": 0.2, "stage3": 0.2, "stage4": 1, "stage5": 1, "head": 1}],
        ),
        ("deep_transfer", {"keep": 5, "frozen": 5}, [{"head": 1}]),
    ],
)
def test_recipe_trains_blocks_at_their_rates(name, options, expected):
    recipe = make_recipe({"name": name, **options}, stages=5)
    got = [
        {block: rate for block, rate in phase.rates(blocks(5)).items() if rate}
        for phase in recipe.phases
    ]
    assert got == [pytest.approx(rates) for rates in expected]


def test_recipe_resets_its_new_blocks():
    assert make_recipe("scratch").phases[0].reset == ("stage*", "head")
    deep = make_recipe("deep_transfer:keep=3", stages=5).phases[0]
    assert deep.reset == ("stage4", "stage5", "head")
    assert make_recipe("fine_tune").phases[1].reset == ()


def test_l2_sp_adds_its_penalty_to_the_second_phase_of_fine_tune():
    recipe = make_recipe("l2_sp:strength=0.5,unfreeze=2", stages=5)
    plain = make_recipe("fine_tune:unfreeze=2", stages=5)
    assert recipe.name == "l2_sp"
    assert recipe.phases[0] == plain.phases[0]
    assert recipe.phases[1].losses == (*plain.phases[1].losses, L2SP(weight=0.5))
    assert recipe.phases[1].train == plain.phases[1].train


def test_make_recipe_takes_a_recipe_a_name_or_a_mapping():
    named = make_recipe("fine_tune:unfreeze=2,learning_rate=0.001", stages=5)
    mapped = make_recipe({"name": "fine_tune", "unfreeze": 2, "learning_rate": 0.001}, stages=5)
    assert named == mapped
    assert make_recipe(named) is named
    assert named.phases[1].learning_rate == 0.001
    assert named.phases[0] == make_recipe("fine_tune").phases[0]


def test_make_recipe_options_that_are_none_count_as_not_given():
    given = {"name": "fine_tune", "unfreeze": None, "optimizer": None, "warmup": None}
    assert make_recipe(given, stages=3) == make_recipe("fine_tune", stages=3)


def test_make_recipe_takes_fields_of_the_phase_as_options():
    tune = make_recipe("fine_tune:optimizer=sgd,views=4,augment=shift", stages=3).phases[1]
    assert (tune.optimizer, tune.views, tune.augment) == ("sgd", 4, "shift")
    scratch = make_recipe("scratch:batch_norm=frozen,patience=3").phases[0]
    assert (scratch.batch_norm, scratch.patience) == ("frozen", 3)
    held = make_recipe("l2_sp:optimizer=sgd", stages=3).phases[1]
    assert held.optimizer == "sgd"


@pytest.mark.parametrize("name", ["scratch", "feature_extraction", "fine_tune"])
def test_make_recipe_augment_takes_keras_layers(name):
    import keras

    layers = [keras.layers.RandomFlip("horizontal")]
    recipe = make_recipe({"name": name, "augment": layers})
    assert isinstance(recipe.phases[-1].augment, CustomAugmentation)


def test_feature_extraction_options_reach_the_head():
    recipe = make_recipe({"name": "feature_extraction", "hidden": [64, 32], "dropout": 0.2})
    assert recipe.heads == (Head(hidden=(64, 32), dropout=0.2),)


def test_recipe_options_of_several_parts_are_united():
    fine_tune, held = recipe_options("fine_tune"), recipe_options("l2_sp")
    assert fine_tune["unfreeze"] == 2
    assert fine_tune["optimizer"] is None
    assert held == {**fine_tune, "strength": 0.01}
    both = recipe_options("scratch+l2_sp+dann")
    assert both == {**recipe_options("scratch"), **both, "strength": 1.0, "width": 128}
    assert not {"losses", "train"} & set(fine_tune)


def test_register_recipe_with_a_new_name_and_a_taken_one():
    @register_recipe
    def mine(*, problem_type: str = "single_label", rate: float = 0.5, **phase):
        return Recipe(name="mine", phases=(Phase(name=problem_type, train={}, losses=(), **phase),))

    @register_method
    def renamed(recipe, *, to: str = "other"):
        return replace(recipe, phases=tuple(replace(p, name=to) for p in recipe.phases))

    made = make_recipe("mine:epochs=3", problem_type="regression").phases[0]
    assert (made.epochs, made.name) == (3, "regression")
    both = make_recipe("mine:epochs=3+renamed:to=x")
    assert (both.name, both.phases[0].epochs, both.phases[0].name) == ("mine+renamed", 3, "x")
    assert make_recipe("renamed:to=x,unfreeze=1").phases[1].name == "x"
    with pytest.raises(ValueError, match="fine_tune"):

        @register_recipe
        def fine_tune():
            return Recipe(name="other")


@pytest.mark.parametrize("method", ["l2_sp", "dann", "delta"])
def test_distill_scales_only_the_losses_of_labels(method):
    def weights(spec):
        losses = make_recipe(spec).phases[-1].losses
        return {type(loss).__name__: loss.weight for loss in losses}

    without, taught = weights(f"fine_tune+{method}"), weights(f"fine_tune+distill+{method}")
    assert taught == weights(f"fine_tune+{method}+distill")
    assert taught.pop("Distill") == 0.9
    assert taught == {**without, "CrossEntropy": pytest.approx(0.1)}


def test_phase_options_are_the_fields_of_a_phase():
    fields = {field.name for field in dataclasses.fields(Phase)} - {"name", "train", "losses"}
    assert set(HeadPhaseOptions.__annotations__) == fields - {"epochs", "learning_rate"}
    assert set(PhaseOptions.__annotations__) == set(HeadPhaseOptions.__annotations__) - {"augment"}
