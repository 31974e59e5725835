"""Recipes by name: options, budgets, and every one of them as data."""

import json
from dataclasses import replace

import pytest

from tftransfer import recipes
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
    with_budget,
    without_method,
)
from tftransfer.utils.errors import UserError

OURS = ["deep_transfer", "feature_extraction", "fine_tune", "gradual_unfreezing", "scratch"]
SOLVED = ["few_shot"]
LOSS = {
    "single_label": CrossEntropy,
    "multi_label": BinaryCrossEntropy,
    "regression": SquaredError,
    "multi_task": MultiTask,
}


@pytest.fixture
def own_recipes(monkeypatch):
    monkeypatch.setattr(RECIPES, "_entries", dict(RECIPES))
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS))


def blocks(stages):
    return [*(f"stage{k}" for k in range(1, stages + 1)), "head"]


def test_the_names():
    own = {name for name, make in RECIPES.items() if make.__module__.startswith("tftransfer.")}
    assert own == {*OURS, *SOLVED}
    assert recipes.recipe_names() == sorted({*RECIPES, *METHODS})


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("problem_type", list(ProblemType))
@pytest.mark.parametrize("stages", [1, 3, 5])
def test_every_recipe_is_valid_and_survives_json(name, problem_type, stages):
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
def test_what_trains_at_which_rate(name, options, expected):
    recipe = make_recipe({"name": name, **options}, stages=5)
    got = [
        {block: rate for block, rate in phase.rates(blocks(5)).items() if rate}
        for phase in recipe.phases
    ]
    assert got == [pytest.approx(rates) for rates in expected]


def test_what_starts_from_random_weights():
    assert make_recipe("scratch").phases[0].reset == ("stage*", "head")
    deep = make_recipe("deep_transfer:keep=3", stages=5).phases[0]
    assert deep.reset == ("stage4", "stage5", "head")
    assert make_recipe("fine_tune").phases[1].reset == ()


def test_l2_sp_is_fine_tuning_with_the_penalty_in_its_second_phase():
    recipe = make_recipe("l2_sp:strength=0.5,unfreeze=2", stages=5)
    plain = make_recipe("fine_tune:unfreeze=2", stages=5)
    assert recipe.name == "l2_sp"
    assert recipe.phases[0] == plain.phases[0]
    assert recipe.phases[1].losses == (*plain.phases[1].losses, L2SP(weight=0.5))
    assert recipe.phases[1].train == plain.phases[1].train


def test_a_recipe_may_be_itself_a_name_or_a_mapping():
    named = make_recipe("fine_tune:unfreeze=2,learning_rate=0.001", stages=5)
    mapped = make_recipe({"name": "fine_tune", "unfreeze": 2, "learning_rate": 0.001}, stages=5)
    assert named == mapped
    assert make_recipe(named) is named
    assert named.phases[1].learning_rate == 0.001
    assert named.phases[0] == make_recipe("fine_tune").phases[0]


def test_options_that_are_none_are_as_if_not_given():
    given = {"name": "fine_tune", "unfreeze": None, "optimizer": None, "warmup": None}
    assert make_recipe(given, stages=3) == make_recipe("fine_tune", stages=3)


def test_fields_of_the_phase_are_options_too():
    tune = make_recipe("fine_tune:optimizer=sgd,views=4,augment=shift", stages=3).phases[1]
    assert (tune.optimizer, tune.views, tune.augment) == ("sgd", 4, "shift")
    scratch = make_recipe("scratch:batch_norm=frozen,patience=3").phases[0]
    assert (scratch.batch_norm, scratch.patience) == ("frozen", 3)
    held = make_recipe("l2_sp:optimizer=sgd", stages=3).phases[1]
    assert held.optimizer == "sgd"


def test_the_head_has_what_the_options_say():
    recipe = make_recipe({"name": "feature_extraction", "hidden": [64, 32], "dropout": 0.2})
    assert recipe.heads == (Head(hidden=(64, 32), dropout=0.2),)


@pytest.mark.parametrize(
    "spec, what, remedy",
    [
        ("fine_tun", "no recipe named 'fine_tun'", "fine_tune"),
        ("fine_tune:unfreez=1", "no option of recipe fine_tune named 'unfreez'", "unfreeze"),
        ("l2_sp:unfreez=1", "no option of recipe l2_sp named 'unfreez'", "unfreeze"),
        ({"unfreeze": 1}, "recipe has no name", "fine_tune"),
        ("scratch:schedule=cosin", "cosin", "cosine"),
        ("scratch:augment=flipp", "flipp", "flip"),
        ("fine_tune:epochs=0", "epochs=0", "at least one epoch"),
    ],
)
def test_what_is_wrong_is_named_with_the_nearest(spec, what, remedy):
    with pytest.raises(UserError) as caught:
        make_recipe(spec)
    assert what in caught.value.what
    assert remedy in caught.value.remedy


def test_options_have_their_defaults_and_extended_recipes_both():
    fine_tune, held = recipe_options("fine_tune"), recipe_options("l2_sp")
    assert fine_tune["unfreeze"] == 2
    assert fine_tune["optimizer"] is None
    assert held == {**fine_tune, "strength": 0.01}
    both = recipe_options("scratch+l2_sp+dann")
    assert both == {**recipe_options("scratch"), **both, "strength": 1.0, "width": 128}
    assert not {"losses", "train"} & set(fine_tune)


@pytest.mark.parametrize("name", [*OURS, "adda", "simclr", "scratch+dann+adabn"])
@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 5, 7, 10, 22, 100])
def test_a_budget_is_kept_and_every_phase_has_an_epoch(name, epochs):
    recipe = make_recipe(name, stages=5)
    got = [phase.epochs for phase in with_budget(recipe, epochs).phases if phase.has_steps]
    assert sum(got) == max(epochs, len(got))
    assert min(got) >= 1


def test_what_has_no_steps_has_no_budget():
    assert with_budget(make_recipe("few_shot"), 7) == make_recipe("few_shot")


@pytest.mark.parametrize(
    "given, budget, expected",
    [
        ([10, 10], 8, [4, 4]),
        ([10, 30], 4, [1, 3]),
        ([5, 5], 40, [20, 20]),
        ([97, 1, 1, 1], 4, [1, 1, 1, 1]),
        ([97, 1, 1, 1], 10, [7, 1, 1, 1]),
        ([1, 1, 1, 97], 10, [1, 1, 1, 7]),
        ([3, 4], 0, [3, 4]),
        ([3, 4, 5], 1, [1, 1, 1]),
    ],
)
def test_a_budget_is_shared_in_proportion(given, budget, expected):
    phases = tuple(Phase(name="p", train={}, losses=(), epochs=epochs) for epochs in given)
    got = with_budget(Recipe(name="r", phases=phases), budget)
    assert [phase.epochs for phase in got.phases] == expected


def test_ones_own_recipe_is_registered_once(own_recipes):
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


@pytest.mark.parametrize(
    ("spec", "left"),
    [
        ("scratch:epochs=3", "scratch:epochs=3"),
        ("scratch:epochs=3+multi_task:balance=gradnorm", "scratch:epochs=3"),
        ("scratch+multi_task+l2_sp:strength=1", "scratch+l2_sp:strength=1"),
        ("multi_task", "fine_tune"),
        ("multi_task:epochs=3,balance=fixed+l2_sp", "fine_tune:epochs=3+l2_sp"),
        (
            {"name": "multi_task", "balance": "fixed", "epochs": 3},
            {"name": "fine_tune", "epochs": 3},
        ),
        ({"name": "scratch+multi_task", "weights": (1, 2)}, {"name": "scratch"}),
    ],
)
def test_a_recipe_without_one_of_its_methods(spec, left):
    assert without_method(spec, "multi_task") == left


@pytest.mark.parametrize("method", ["l2_sp", "dann", "delta"])
def test_a_teacher_takes_its_share_of_the_labels_alone(method):
    def weights(spec):
        losses = make_recipe(spec).phases[-1].losses
        return {type(loss).__name__: loss.weight for loss in losses}

    without, taught = weights(f"fine_tune+{method}"), weights(f"fine_tune+distill+{method}")
    assert taught == weights(f"fine_tune+{method}+distill")
    assert taught.pop("Distill") == 0.9
    assert taught == {**without, "CrossEntropy": pytest.approx(0.1)}
