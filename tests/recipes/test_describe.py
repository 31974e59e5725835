"""Recipes and methods describe themselves, by their docstrings; no option is undocumented."""

import inspect

import pytest

import tftransfer
from tftransfer.core.recipe import Phase
from tftransfer.recipes import METHODS, RECIPES, describe_recipe, make_recipe, recipe_help
from tftransfer.recipes.describe import argument_texts
from tftransfer.recipes.registry import CONTEXT_OPTIONS, function_of, options_of
from tftransfer.utils.errors import UserError

OURS = sorted(
    name
    for name, make in {**RECIPES, **METHODS}.items()
    if make.__module__.startswith("tftransfer.")
)


@pytest.mark.parametrize("name", OURS)
def test_recipe_documents_every_option(name):
    texts = argument_texts(inspect.getdoc(function_of(name)))
    own = [option.name for option in options_of(name).values() if not option.of_phase]
    assert [option for option in own if option not in texts] == []
    assert not set(texts) - {*own, "recipe", "phase"}
    for text in texts.values():
        assert text[0].isupper() or text[0] == "`", text
        assert text.endswith("."), text


def test_phase_documents_every_field_that_is_an_option():
    texts = argument_texts(inspect.getdoc(Phase))
    options = [option.name for option in options_of("fine_tune").values() if option.of_phase]
    assert "optimizer" in options
    assert [name for name in options if name not in texts] == []


@pytest.mark.parametrize("name", OURS)
def test_description_has_one_line_for_the_recipe_and_each_option(name):
    described = describe_recipe(name)
    assert described.summary.endswith(".") and "\n" not in described.summary
    assert str(described).startswith(name)
    assert not {option.name for option in described.options} & set(CONTEXT_OPTIONS)
    for option in described.options:
        assert option.summary and "\n" not in option.summary, option
        assert str(option).startswith(f"  {option.name}=")


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_description_defaults_are_those_of_the_recipe(name):
    recipe = make_recipe(name)
    for option in describe_recipe(name).options:
        if option.of_phase:
            assert option.default == getattr(recipe.phases[-1], option.name)


def test_list_recipes_and_methods_are_sorted_and_complete():
    recipes, methods = tftransfer.list_recipes(), tftransfer.list_methods()
    assert [each.name for each in recipes] == sorted(RECIPES)
    assert [each.name for each in methods] == sorted(METHODS)
    assert {each.kind for each in recipes} == {"recipe"}
    assert {each.kind for each in methods} == {"method"}


def test_recipe_help_shows_options_with_defaults():
    lines = recipe_help("fine_tune").splitlines()
    assert lines[0] == "--recipe=fine_tune:option=value,..."
    assert any(line.startswith("  unfreeze=2 ") for line in lines)
    assert any(line.startswith("  optimizer=adamw ") for line in lines)
    options = [
        line.split("=")[0].strip() for line in lines if line.startswith("  ") and "=" in line
    ]
    assert options[:3] == ["unfreeze", "decay", "epochs"]
    assert max(map(len, lines)) <= 100


def test_recipe_help_of_a_method_shows_it_before_its_base_recipe():
    text = recipe_help("l2_sp")
    assert text.startswith("--recipe=RECIPE+l2_sp:option=value,...")
    assert text.index("RECIPE+l2_sp") < text.index("--recipe=fine_tune")
    both = recipe_help("scratch+dann")
    assert both.index("--recipe=scratch") < both.index("RECIPE+dann")


def test_recipe_help_of_an_unknown_name_is_an_error():
    with pytest.raises(UserError, match="no recipe named 'fine_tun'"):
        recipe_help("fine_tun")


def test_argument_texts_joins_lines_and_stops_at_the_next_section():
    arguments = "Args:\n  a: First\n    and more.\n  **b: Second."
    found = argument_texts(f"One.\n\n{arguments}\n\nRaises:\n  c: No.")
    assert found == {"a": "First and more.", "b": "Second."}
