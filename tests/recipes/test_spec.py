"""`--recipe` is parsed once: parts, options and their types, or an error with the nearest names."""

import pytest

from tftransfer.core.recipe import Phase, Recipe
from tftransfer.losses import CrossEntropy
from tftransfer.recipes import RecipeSpec, make_recipe, parse_recipe
from tftransfer.utils.errors import UserError


@pytest.mark.parametrize(
    ("spec", "name", "parts"),
    [
        ("scratch", "scratch", [("scratch", {})]),
        ("fine_tune:unfreeze=3", "fine_tune", [("fine_tune", {"unfreeze": 3})]),
        ("l2_sp", "l2_sp", [("fine_tune", {}), ("l2_sp", {})]),
        (
            "l2_sp:strength=1,unfreeze=2",
            "l2_sp",
            [("fine_tune", {"unfreeze": 2}), ("l2_sp", {"strength": 1})],
        ),
        (
            "scratch:epochs=3+l2_sp:strength=1+dann:strength=2",
            "scratch+l2_sp+dann",
            [("scratch", {"epochs": 3}), ("l2_sp", {"strength": 1}), ("dann", {"strength": 2})],
        ),
        (
            "distill:teacher=runs/a+b/c",
            "distill",
            [("fine_tune", {}), ("distill", {"teacher": "runs/a+b/c"})],
        ),
        (
            {"name": "fine_tune+adda", "epochs": 3, "unfreeze": 1},
            "fine_tune+adda",
            [("fine_tune", {"unfreeze": 1}), ("adda", {"epochs": 3})],
        ),
        (
            {"name": "fine_tune+adda", "fine_tune": {"epochs": 7}, "epochs": 3},
            "fine_tune+adda",
            [("fine_tune", {"epochs": 7}), ("adda", {"epochs": 3})],
        ),
        ({"name": "scratch", "epochs": None}, "scratch", [("scratch", {})]),
    ],
)
def test_parse_recipe_returns_parts_with_their_options(spec, name, parts):
    found = parse_recipe(spec)
    assert [(part.name, dict(part.options)) for part in found.parts] == parts
    assert found.name == name.removeprefix("fine_tune+") and parse_recipe(found) is found


@pytest.mark.parametrize(
    "text",
    [
        "scratch",
        "fine_tune:unfreeze=3,decay=0.5",
        "l2_sp:strength=1,unfreeze=2",
        "scratch:epochs=3+l2_sp:strength=1+dann:strength=2,width=64",
        "fine_tune:epochs=3+adda",
        "fine_tune:epochs=3+adda:epochs=5",
        "feature_extraction:hidden=8",
    ],
)
def test_spec_survives_text_and_mapping(text):
    spec = parse_recipe(text)
    assert parse_recipe(spec.to_mapping()) == spec
    assert make_recipe(spec.to_mapping()) == make_recipe(text)
    if "hidden" not in text:  # a tuple has no text form
        assert parse_recipe(str(spec)) == spec


def test_parse_recipe_of_a_ready_recipe_keeps_it():
    phase = Phase(name="one", train={"head": 1.0}, losses=(CrossEntropy(),))
    recipe = Recipe(name="mine", phases=(phase,))
    spec = parse_recipe(recipe)
    assert spec == RecipeSpec(recipe=recipe) and spec.name == str(spec) == "mine"
    assert spec.build() is recipe and spec.without("l2_sp") == spec


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("feature_extraction:hidden=64", (64,)),
        ({"name": "feature_extraction", "hidden": [64, 32]}, (64, 32)),
    ],
)
def test_parse_recipe_makes_tuples_of_single_values_and_lists(option, value):
    assert parse_recipe(option).parts[0].options["hidden"] == value


@pytest.mark.parametrize(("text", "value"), [("1", True), ("0", False), ("true", True)])
def test_parse_recipe_takes_booleans_and_zero_and_one(text, value):
    (_, part) = parse_recipe(f"autoencoder:noise={text}").parts
    assert part.options["noise"] is value


@pytest.mark.parametrize(("text", "views"), [("4", 4), ("auto", "auto"), ("fresh", "fresh")])
def test_parse_recipe_takes_views_as_a_word_or_a_number(text, views):
    assert make_recipe(f"fine_tune:views={text}").phases[1].views == views


@pytest.mark.parametrize(
    ("spec", "what", "remedy"),
    [
        ("fine_tun", "no recipe named 'fine_tun'", "fine_tune"),
        ("fine_tune+l2_spp", "no method named 'l2_spp'", "l2_sp"),
        ("fine_tune+scratch", "no method named 'scratch'", "fixmatch"),
        ("fine_tune:unfreez=1", "no option of recipe fine_tune named 'unfreez'", "unfreeze"),
        ("l2_sp:unfreez=1", "no option of recipe l2_sp named 'unfreez'", "unfreeze"),
        ("scratch+l2_sp:strenth=1", "no option of recipe l2_sp named 'strenth'", "strength"),
        ("fine_tune:unfreeze=1.5", "Option unfreeze of recipe fine_tune is 1.5", "a whole number"),
        ("fine_tune:decay=much", "Option decay of recipe fine_tune is 'much'", "such as 0.3"),
        ("fine_tune:optimizer=3", "Option optimizer of recipe fine_tune is 3", "a word"),
        ("autoencoder:noise=some", "Option noise of recipe autoencoder is", "true or false"),
        ("fine_tune:views=1.5", "Option views of recipe fine_tune is 1.5", "number or a word"),
        ("fine_tune:views=0", "Phase 'tune': views=0", "auto, fresh or a whole number"),
        ("fine_tune:views=often", "Phase 'tune': views=often", "auto, fresh"),
        ("fine_tune:unfreeze", "option 'unfreeze' without a value", "option=value"),
        ({"unfreeze": 1}, "recipe has no name", "fine_tune"),
        (3, "The recipe is 3", "Give a name"),
        ("scratch:schedule=cosin", "cosin", "cosine"),
        ("scratch:augment=flipp", "flipp", "flip"),
        ("fine_tune:epochs=0", "epochs=0", "1 or more"),
    ],
)
def test_make_recipe_with_a_wrong_name_or_value_is_an_error(spec, what, remedy):
    with pytest.raises(UserError) as caught:
        make_recipe(spec)
    assert what in caught.value.what
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("spec", "left"),
    [
        ("scratch:epochs=3", "scratch:epochs=3"),
        ("scratch:epochs=3+multi_task:balance=gradnorm", "scratch:epochs=3"),
        ("scratch+multi_task+l2_sp:strength=1", "scratch+l2_sp:strength=1"),
        ("multi_task", "fine_tune"),
        ("multi_task:epochs=3,balance=fixed+l2_sp", "fine_tune:epochs=3+l2_sp"),
        ({"name": "multi_task", "balance": "fixed", "epochs": 3}, "fine_tune:epochs=3"),
        ({"name": "scratch+multi_task", "weights": (1, 2)}, "scratch"),
    ],
)
def test_spec_without_a_method_keeps_the_other_parts(spec, left):
    assert str(parse_recipe(spec).without("multi_task")) == left
