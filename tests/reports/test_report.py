"""The report, its plots and the verdict."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import tftransfer
from tftransfer.reports import plots
from tftransfer.reports.commands import Commands
from tftransfer.reports.verdict import verdict


def test_report_shows_metrics_plots_and_unchanged_blocks(tuned_run):
    text = (tuned_run.workdir / "report.md").read_text()
    promised = [
        "95 % interval",
        "Frozen blocks, verified by their hash to be unchanged",
        "plots/learning_curves.png",
        "plots/confusion_matrix.png",
        "plots/trained_blocks.png",
        "linear probe",
        "| 5 |",
    ]
    assert [needed for needed in promised if needed not in text] == []


def pixels(path):
    return tf.io.decode_png(path.read_bytes(), channels=3).numpy()


def test_trained_blocks_plot_has_a_color_for_frozen_low_rate_and_trained_blocks(tmp_path):
    phases = [{"name": "a", "rates": {"stage1": 0.0, "stage2": 0.1, "head": 1.0}}]
    plots.trained_blocks(phases, tmp_path / "blocks.png")
    image = pixels(tmp_path / "blocks.png").reshape(-1, 3).astype(int)
    for color in (plots.FROZEN_COLOR, plots.LOW_RATE_COLOR, plots.TRAINED_COLOR):
        rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(image - rgb).sum(axis=1) == 0).sum() > 500, color


def test_learning_curves_of_one_epoch_without_validation_are_drawn(tmp_path):
    plots.learning_curves([{"phase": "p", "epoch": 1, "loss": 1.0}], tmp_path / "one.png")
    assert pixels(tmp_path / "one.png").std() > 0


@pytest.mark.parametrize("classes", [2, 25, 60])
def test_confusion_plot_of_few_and_many_classes_is_limited_in_size(tmp_path, classes):
    counts = np.eye(classes, dtype=int) * 7
    plots.confusion_matrix(counts, [f"class {k}" for k in range(classes)], tmp_path / "c.png")
    assert pixels(tmp_path / "c.png").shape[0] < 2500


COMMANDS = Commands(experiment=tftransfer.Experiment(data="my photos"), workdir=Path("runs/a"))
RESULT = {
    "examples": 400,
    "split": "test",
    "validation": {"accuracy": 0.9},
    "test": {"accuracy": 0.9, "macro_f1": 0.9, "intervals": {"accuracy": (0.87, 0.93)}},
    "baselines": {"majority": {"accuracy": 0.3}, "linear_probe": {"accuracy": 0.8}},
    "per_class": [{"class": "a", "f1": 0.91}, {"class": "b", "f1": 0.89}],
}


@pytest.mark.parametrize(
    "changes, recipe, counts, issue",
    [
        ({}, "fine_tune", 200, "Main issue: none."),
        ({}, "feature_extraction", 200, "only the head was trained"),
        ({}, "scratch", 200, "nothing is transferred"),
        ({}, "fine_tune", 10, "class a has 10 training examples"),
        (
            {"baselines": {"linear_probe": {"accuracy": 0.9, "validation": 0.95}}},
            "fine_tune",
            200,
            "the linear probe is better",
        ),
        (
            {"test": {"accuracy": 0.9, "intervals": {"accuracy": (0.7, 1.0)}}},
            "fine_tune",
            200,
            "the interval of 400 test examples is wide",
        ),
        (
            {"per_class": [{"class": "a", "f1": 0.95}, {"class": "b", "f1": 0.5}]},
            "fine_tune",
            200,
            "class b has an F1 of 0.50",
        ),
    ],
)
def test_verdict_names_the_main_issue(changes, recipe, counts, issue):
    lines = verdict({**RESULT, **changes}, _of_two_classes(counts, 300), recipe, COMMANDS)
    assert len(lines) == 3 and issue in lines[1]
    assert lines[2].startswith("Next step: ")


def test_verdict_few_examples_of_every_class_are_not_the_issue_of_one_class():
    lines = verdict(RESULT, _of_two_classes(10, 12), "fine_tune", COMMANDS)
    assert "each class has few training examples, 11 on average" in lines[1]
    assert lines[2].startswith("Next step: label more examples, then tftransfer train ")


PROBES = {"accuracy": {"stage1": 0.2, "stage2": 0.8, "stage3": 0.5}, "examples": 200}


@pytest.mark.parametrize(
    ("name", "command"), [("yamnet", "yamnet:layer=stage2"), ("x:a=1", "x:a=1,layer=stage2")]
)
def test_verdict_names_a_middle_stage_with_a_better_probe(name, command):
    result = {**RESULT, "layer_probes": PROBES, "backbone": name}
    lines = verdict(result, _of_two_classes(200, 300), "fine_tune", COMMANDS)
    assert "a linear probe on stage2 is better" in lines[1] and "(0.80 and 0.50" in lines[1]
    assert lines[2] == (
        "Next step: tftransfer train --config=runs/a/config.json "
        f"--backbone={command} --workdir=runs/a-stage2"
    )
    near = {**PROBES, "accuracy": {"stage1": 0.2, "stage2": 0.53, "stage3": 0.5}}
    lines = verdict(
        {**result, "layer_probes": near}, _of_two_classes(200, 300), "fine_tune", COMMANDS
    )
    assert "stage2" not in lines[1]


def _of_two_classes(a, b):
    from tftransfer.data.examples import SPLIT_DTYPE, Examples

    labels = np.repeat([0, 1, 1], [a, b, 400])
    splits = np.repeat(["train", "val"], [a + b, 400]).astype(SPLIT_DTYPE)
    return Examples(
        names=[],
        items=[b""] * len(labels),
        labels=labels,
        problem_type="single_label",
        classes=("a", "b"),
        splits=splits,
    )


def test_verdict_without_test_examples_recommends_a_test_split():
    lines = verdict({"test": {}}, _of_two_classes(200, 300), "fine_tune", COMMANDS)
    assert lines[0] == "No examples are in the test split." and len(lines) == 3
    assert "--test_fraction=0.2" in lines[2]


def test_commands_quote_the_values_of_the_run():
    assert COMMANDS.inspect() == "tftransfer inspect --data='my photos'"
    expected = "tftransfer train --config=runs/a/config.json --recipe=lora --workdir=runs/a-lora"
    assert COMMANDS.train("lora", recipe="lora") == expected


def test_commands_for_data_in_memory_are_calls_in_python():
    images = np.zeros((2, 8, 8, 3), np.uint8), np.array([0, 1])
    commands = Commands(experiment=tftransfer.Experiment(data=images), workdir=Path("runs/a"))
    assert commands.train("lora", recipe="lora") == (
        "tftransfer.train(dataclasses.replace(experiment, recipe='lora'), 'runs/a-lora')"
    )
    assert commands.inspect() == "tftransfer.inspect(data=experiment.data)"


@pytest.mark.parametrize(
    ("recipe", "named"),
    [
        ("fine_tune", "fine_tune:class_weight=balanced"),
        ("lora+mmd", "fine_tune:class_weight=balanced+lora+mmd"),
    ],
)
def test_verdict_recommends_balanced_weights_in_a_recipe_that_exists(recipe, named):
    lines = verdict(RESULT, _of_two_classes(10, 300), recipe, COMMANDS)
    assert f"--recipe={named} " in lines[2]
    assert tftransfer.recipes.make_recipe(named).phases
