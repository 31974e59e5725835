"""Comparisons of recipes: one split, one budget, a winner, a verdict."""

import re

import numpy as np
import pytest

import tftransfer
from tftransfer.commands import comparison
from tftransfer.core.serialization import read_json, write_json
from tftransfer.runs.run import Run
from tftransfer.workdir.run_folder import open_run_folder

GOOD = "feature_extraction:augment=none,learning_rate=1e-2"
BAD = "feature_extraction:augment=none,learning_rate=1e-6"


@pytest.fixture(scope="module")
def compared(source_run, digits, tmp_path_factory):
    experiment = tftransfer.Experiment(
        data=str(digits / "target"),
        backbone=str(source_run.workdir),
        batch_size=16,
        labels_per_class=10,
        validation_fraction=0.3,
        test_fraction=0.5,
    )
    folder = tmp_path_factory.mktemp("compared")
    found = tftransfer.compare(experiment, folder, ["scratch:augment=none", GOOD, BAD], epochs=12)
    return found, folder


def test_compare_recipes_get_the_same_split_and_epochs(compared):
    found, _ = compared
    splits = [run.split["examples"] for run in found.runs.values()]
    assert splits[0] == splits[1] == splits[2]
    for run in found.runs.values():
        assert sum(phase.epochs for phase in run.experiment.recipe.phases) == 12


@pytest.mark.slow
def test_compare_recipe_equals_the_same_recipe_alone(source_run, digits, tmp_path):
    """Shared backbones, images, features and baselines do not leak from one run into another."""
    experiment = tftransfer.Experiment(
        data=str(digits / "target"),
        backbone=str(source_run.workdir),
        batch_size=16,
        labels_per_class=10,
        validation_fraction=0.3,
        test_fraction=0.5,
    )
    recipes = [
        "fine_tune:unfreeze=3,batch_norm=train,head_epochs=1,epochs=2,augment=shift",
        "feature_extraction:dropout=0.3,augment=shift",
        "fine_tune:unfreeze=1,head_epochs=1,epochs=2,augment=shift,dropout=0.2",
    ]
    found = tftransfer.compare(
        experiment, tmp_path / "all", recipes, epochs=3, cache_dir=str(tmp_path / "cache")
    )
    for number in (1, 2):
        run = list(found.runs.values())[number]
        alone = tftransfer.train(
            run.experiment,
            tmp_path / f"{number}",
            export=False,
            cache_dir=str(tmp_path / f"cache{number}"),
        )
        for name in ("weights_sha256", "baselines", "test"):
            assert alone.result[name] == run.result[name]


def test_compare_winner_has_the_lowest_validation_loss(compared):
    found, _ = compared
    losses = {n: run.result["validation"]["log_loss"] for n, run in found.runs.items()}
    assert found.winner == min(losses, key=losses.get) == GOOD


def test_compare_rows_equal_the_results_of_the_runs(compared):
    found, folder = compared
    stored = read_json(folder / "comparison.json")
    for row in stored["rows"]:
        result = found.runs[row["recipe"]].result
        assert row["value"] == result["test"]["accuracy"]
        winner = found.runs[found.winner].result["test"]["accuracy"]
        assert row["behind"] == pytest.approx(winner - row["value"])
        assert row["behind_low"] <= row["behind"] <= row["behind_high"]
    text = (folder / "comparison.md").read_text()
    assert f"{GOOD} (winner)" in text and "comparison.png" in text
    assert str(found).splitlines()[0].startswith("| recipe | accuracy")


def test_compare_verdict_follows_the_intervals(compared):
    found, _ = compared
    worst = next(row for row in found.rows if row["recipe"] == BAD)
    assert worst["behind_low"] > 0
    assert any(f"beats {BAD} by" in line for line in found.verdict)


@pytest.mark.parametrize(
    "low, high, word",
    [(0.1, 0.3, "beats"), (-0.3, -0.1, "validation split misled"), (-0.1, 0.1, "within chance")],
)
def test_verdict_each_interval_has_its_words(low, high, word):
    rows = [
        {"recipe": "a", "behind": 0.0, "behind_low": 0.0, "behind_high": 0.0},
        {"recipe": "b", "behind": (low + high) / 2, "behind_low": low, "behind_high": high},
    ]
    (line,) = comparison._verdict(rows, "a")
    assert word in line


def test_open_run_folder_without_a_run_is_an_error(tmp_path):
    with pytest.raises(tftransfer.UserError, match=r"has no config\.json"):
        open_run_folder(tmp_path)


def test_compare_without_a_validation_split_trains_nothing(digits, tmp_path):
    experiment = tftransfer.Experiment(
        data=str(digits / "target"), backbone="small_cnn", weights="none", validation_fraction=0.0
    )
    with pytest.raises(tftransfer.UserError, match="no val split"):
        tftransfer.compare(experiment, tmp_path / "c", ["scratch"])
    assert not (tmp_path / "c").exists()


def test_values_per_example_classes_named_like_columns_are_compared(tmp_path):
    run = Run(tmp_path)
    write_json(
        tmp_path / "result.json", {"problem_type": "single_label", "classes": ["false", "true"]}
    )
    examples = [["a.png", "test", 0, "A"], ["b.png", "test", 1, "B"], ["copy.png", "test", 0, "A"]]
    columns = ["name", "split", "label", "sha256"]
    write_json(tmp_path / "split.json", {"columns": columns, "examples": examples})
    run.folder.predictions.write_text(
        "name,true,predicted,false,true\na.png,false,false,0.9,0.1\nb.png,true,false,0.8,0.2\n"
        "copy.png,false,false,0.9,0.1\n"
    )
    assert comparison.values_per_example(run).tolist() == [1.0, 0.0]  # a copy counts once


@pytest.mark.parametrize("count", [1, 2, 3])
def test_compare_with_few_examples_a_class_follows_its_remedy(count, tmp_path):
    """The defaults hold out none for validation; the remedy is no default."""
    rng = np.random.default_rng(0)

    def compared(number, **settings):
        images = rng.integers(0, 255, (2 * number, 9, 9), np.uint8)
        experiment = tftransfer.Experiment(
            data=(images, ["a", "b"] * number),
            backbone="small_cnn:width=4",
            weights="none",
            **settings,
        )
        return tftransfer.compare(experiment, tmp_path / f"{len(settings)}", ["few_shot"])

    with pytest.raises(tftransfer.UserError, match=r"no (test|val) split to compare on") as caught:
        compared(count)
    assert ("label three of each class" in caught.value.remedy) == (count < 3)
    fraction = float(re.search(r"--validation_fraction=([\d.]*\d)", caught.value.remedy)[1])
    assert compared(3, validation_fraction=fraction).winner == "few_shot"
