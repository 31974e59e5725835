"""Flags win over configs; recipes' options that are written as flags are explained."""

from pathlib import Path

import pytest

import tftransfer
from tftransfer.cli.commands import COMMANDS
from tftransfer.cli.parse import parse_arguments
from tftransfer.utils.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def parse(*words, command="train"):
    return parse_arguments(COMMANDS[command], [*words, "--workdir=run"])


@pytest.mark.parametrize(
    "recipe", [["--recipe=scratch"], ["--recipe", "scratch"], ["--recipe=scratch:batch_norm=train"]]
)
def test_parse_config_options_reach_the_recipe_of_the_flag(recipe):
    found = parse(*recipe, "--config.recipe.epochs=3", "--data=x").experiment
    made = tftransfer.recipes.make_recipe(found["recipe"])
    assert made.name == "scratch" and made.phases[0].epochs == 3
    assert found["data"] == "x"


@pytest.mark.parametrize("config", [str(ROOT / "configs" / "flowers.py"), "flowers"])
def test_parse_recipe_flag_replaces_the_recipe_of_the_config(config):
    words = [f"--config={config}", "--recipe=l2_sp", "--config.recipe.strength=0.5", "--data=x"]
    found = parse(*words).experiment
    made = tftransfer.recipes.make_recipe(found["recipe"])
    assert made.name == "l2_sp" and made.phases[1].losses[1].weight == 0.5
    assert found["image_size"] == 160


@pytest.mark.parametrize(
    "flag, remedy",
    [
        ("--epochs=two", "Give a whole number, such as 20."),
        ("--validation_fraction=x", "Give a number, such as 0.1."),
        ("--resume=maybe", "Give true or false."),
        ("--cache_bytes=much", "Give a size such as 20 GiB, 512 MB or 0."),
    ],
)
def test_parse_value_of_another_type_raises(flag, remedy):
    with pytest.raises(UserError) as caught:
        parse(flag)
    assert (caught.value.what, caught.value.remedy) == (f"{flag} is not a valid value.", remedy)


@pytest.mark.parametrize(
    "text, size", [("20 GiB", 20 << 30), ("500MB", 500_000_000), ("1.5kib", 1536), ("7", 7)]
)
def test_parse_size_in_words(text, size):
    assert parse(f"--cache_bytes={text}", "--data=x").flags.cache_bytes == size


@pytest.mark.parametrize(
    "words, what, remedy",
    [
        (
            ["--learning_rate=0.01"],
            "--learning_rate is an option of the recipe, not a flag.",
            "Write --recipe=fine_tune:learning_rate=0.01",
        ),
        (
            ["--unfreeze", "2", "--recipe=l2_sp:strength=0.1", "--learning_rate=0.01"],
            "--unfreeze and --learning_rate are options of the recipe, not flags.",
            "Write --recipe=l2_sp:strength=0.1,unfreeze=2,learning_rate=0.01",
        ),
        (
            ["--recipe=fine_tune+delta", "--reweight"],
            "--reweight is an option of the recipe, not a flag.",
            "Write --recipe=fine_tune+delta:reweight=true",
        ),
        (
            ["--config=flowers", "--unfreeze=2"],
            "--unfreeze is an option of the recipe, not a flag.",
            "Write --config.recipe.unfreeze=2",
        ),
        (
            ["--recipe=scratch", "--unfreeze=2"],
            "--unfreeze is an option of recipes, but scratch does not have it.",
            "Recipes with this option: fine_tune, gradual_unfreezing.",
        ),
    ],
)
def test_parse_option_of_the_recipe_as_a_flag_raises_with_the_spelling(words, what, remedy):
    with pytest.raises(UserError) as caught:
        parse("--data=x", *words)
    assert (caught.value.what, caught.value.remedy) == (what, remedy)


def test_parse_option_of_a_recipe_in_compare_raises_with_the_spelling():
    with pytest.raises(UserError) as caught:
        parse("--data=x", "--unfreeze=2", "l2_sp", "scratch", command="compare")
    assert caught.value.remedy == "Write l2_sp:unfreeze=2"


def test_parse_option_of_a_recipe_where_there_is_none_is_an_unknown_flag():
    with pytest.raises(UserError, match="no flag of tftransfer evaluate named '--unfreeze'"):
        parse("--unfreeze=2", command="evaluate")


def test_parse_dry_run_needs_no_workdir():
    words = ["--data=x", "--dry_run"]
    assert parse_arguments(COMMANDS["train"], words).flags.dry_run
