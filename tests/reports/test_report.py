"""The report, its plots and the verdict."""

import numpy as np
import pytest
import tensorflow as tf

from tftransfer.reports import plots
from tftransfer.reports.verdict import verdict


def test_report_shows_metrics_plots_and_unchanged_blocks(tuned_run):
    text = (tuned_run.workdir / "report.md").read_text()
    promised = [
        "95 % interval",
        "Frozen blocks, proved unchanged",
        "pictures/curves.png",
        "pictures/confusion.png",
        "pictures/blocks.png",
        "linear probe",
        "| 5 |",
    ]
    assert [needed for needed in promised if needed not in text] == []


def pixels(path):
    return tf.io.decode_png(path.read_bytes(), channels=3).numpy()


def test_block_strip_has_a_color_for_frozen_low_rate_and_trained_blocks(tmp_path):
    phases = [{"name": "a", "rates": {"stage1": 0.0, "stage2": 0.1, "head": 1.0}}]
    plots.block_strip(phases, tmp_path / "strip.png")
    picture = pixels(tmp_path / "strip.png").reshape(-1, 3)
    for _, colour in plots._STATES:
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(picture.astype(int) - rgb).sum(axis=1) == 0).sum() > 500, colour


def test_curves_of_one_epoch_without_validation_are_drawn(tmp_path):
    plots.curves([{"phase": "p", "epoch": 1, "loss": 1.0}], tmp_path / "one.png")
    assert pixels(tmp_path / "one.png").std() > 0


@pytest.mark.parametrize("classes", [2, 25, 60])
def test_confusion_plot_of_few_and_many_classes_is_limited_in_size(tmp_path, classes):
    counts = np.eye(classes, dtype=int) * 7
    plots.confusion(counts, [f"class {k}" for k in range(classes)], tmp_path / "c.png")
    assert pixels(tmp_path / "c.png").shape[0] < 2500


RESULT = {
    "examples": 400,
    "split": "test",
    "validation": {"accuracy": 0.9},
    "test": {"accuracy": 0.9, "macro_f1": 0.9, "intervals": {"accuracy": (0.87, 0.93)}},
    "baselines": {"majority": {"accuracy": 0.3}, "linear_probe": {"accuracy": 0.8}},
    "per_class": [{"class": "a", "f1": 0.91}, {"class": "b", "f1": 0.89}],
}


@pytest.mark.parametrize(
    "changes, recipe, counts, problem",
    [
        ({}, "fine_tune", 200, "none stands out"),
        ({}, "feature_extraction", 200, "only the head was trained"),
        ({}, "scratch", 200, "nothing is transferred"),
        ({}, "fine_tune", 10, "class a has 10 training examples"),
        (
            {"baselines": {"linear_probe": {"accuracy": 0.9, "validation": 0.95}}},
            "fine_tune",
            200,
            "probe is better",
        ),
        (
            {"test": {"accuracy": 0.9, "intervals": {"accuracy": (0.7, 1.0)}}},
            "fine_tune",
            200,
            "a wide interval",
        ),
        (
            {"per_class": [{"class": "a", "f1": 0.95}, {"class": "b", "f1": 0.5}]},
            "fine_tune",
            200,
            "class b (F1 0.50)",
        ),
    ],
)
def test_verdict_names_the_main_issue(changes, recipe, counts, problem):
    lines = verdict({**RESULT, **changes}, _of_two_classes(counts, 300), recipe)
    assert len(lines) == 3 and problem in lines[1]
    assert lines[2].startswith("Next: ")


def test_verdict_few_examples_of_every_class_are_not_the_issue_of_one_class():
    lines = verdict(RESULT, _of_two_classes(10, 12), "fine_tune")
    assert "11 training examples a class are few" in lines[1]
    assert lines[2] == "Next: label more of every class"


PROBES = {"accuracy": {"stage1": 0.2, "stage2": 0.8, "stage3": 0.5}, "examples": 200}


@pytest.mark.parametrize(
    ("name", "command"), [("yamnet", "yamnet:layer=stage2"), ("x:a=1", "x:a=1,layer=stage2")]
)
def test_verdict_names_a_middle_stage_with_a_better_probe(name, command):
    result = {**RESULT, "layer_probes": PROBES, "backbone": name}
    lines = verdict(result, _of_two_classes(200, 300), "fine_tune")
    assert "a probe on stage2 knows more" in lines[1] and "(0.80 and 0.50" in lines[1]
    assert lines[2] == f"Next: tftransfer train --backbone={command}"
    near = {**PROBES, "accuracy": {"stage1": 0.2, "stage2": 0.53, "stage3": 0.5}}
    lines = verdict({**result, "layer_probes": near}, _of_two_classes(200, 300), "fine_tune")
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
