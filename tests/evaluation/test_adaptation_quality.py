"""Metrics of an adaptation that need no label of the target, and what is selected by them."""

import pytest

import tftransfer
from tftransfer.evaluation.adaptation_quality import (
    adaptation_warnings,
    best_phase,
    best_run,
    final_metrics,
)


def metrics_of(reverse, gap=1.8, shift=0.1):
    return {"reverse_validation": reverse, "domain_gap": gap, "class_frequency_distance": shift}


@pytest.mark.parametrize(
    ("gaps", "reverse", "leaves_source", "expected", "reason"),
    [
        ([1.9, 1.2], [0.95, 0.98], [False, True], 1, ""),
        ([1.9, 1.2], [0.95, 0.94], [False, True], 1, ""),
        ([1.9, 1.2], [0.95, 0.80], [False, True], 0, "reverse validation to 0.800, from 0.950"),
        ([1.8, 2.0], [0.95, 0.96], [False, True], 0, "gap 2.00, before 1.80"),
        ([1.8, 2.0], [0.95, 0.96], [False, False], 1, ""),
        ([1.8, 2.0, 1.9], [0.95, 0.96, 0.97], [False, False, True], 2, ""),
        ([1.8, 1.0, 1.5], [0.9, 0.96, 0.97], [False, True, True], 1, "gap 1.50, before 1.00"),
        ([1.8], [0.9], [False], 0, ""),
    ],
)
def test_best_phase_is_the_last_that_did_not_fail(gaps, reverse, leaves_source, expected, reason):
    phases = [metrics_of(accuracy, gap) for gap, accuracy in zip(gaps, reverse)]
    number, given = best_phase(phases, leaves_source, 200)
    assert number == expected
    assert reason in given


def test_best_phase_with_a_wider_gap_is_kept_where_the_class_frequency_distance_is_smaller():
    phases = [metrics_of(0.975, 1.67, 0.283), metrics_of(0.975, 1.88, 0.121)]
    assert best_phase(phases, [False, True], 200)[0] == 1
    phases[1]["class_frequency_distance"] = 0.3
    assert best_phase(phases, [False, True], 200)[0] == 0


@pytest.mark.parametrize(("count", "expected"), [(100, 1), (200, 1), (400, 0), (10_000, 0)])
def test_best_phase_ignores_a_difference_within_two_standard_errors(count, expected):
    """Two standard errors of the difference are 0.050 with 200 examples, and 0.0355 with 400."""
    phases = [metrics_of(reverse) for reverse in (0.95, 0.914)]
    assert best_phase(phases, [False, False], count)[0] == expected
    assert best_phase(phases[::-1], [False, False], count)[0] == 1


def test_best_phase_ignores_a_difference_below_the_tolerance():
    phases = [metrics_of(reverse) for reverse in (0.95, 0.931)]
    assert best_phase(phases, [False, False], 10**6)[0] == 1


def test_best_run_among_similar_accuracies_has_the_smallest_class_frequency_distance():
    runs = {
        "plain": metrics_of(0.97, 1.0, 0.3),
        "mmd": metrics_of(0.95, 1.0, 0.1),
        "collapsed": metrics_of(0.4, 1.0, 0.05),
    }
    accuracy = dict.fromkeys(runs, 0.97)
    assert best_run(runs, accuracy, 200) == "mmd"
    assert best_run(runs, accuracy, 10_000_000) == "mmd"  # 0.02 is within the tolerance
    assert best_run(runs, {**accuracy, "mmd": 0.8}, 200) == "plain"


def test_final_metrics_are_those_of_the_weights_that_the_run_ended_with():
    first, second, third = ({"adaptation": {"class_frequency_distance": k}} for k in range(3))
    kept, repeated = {**first, "kept": True}, {**third, "without_target": True}
    assert final_metrics([first, second]) == {"class_frequency_distance": 1}
    assert final_metrics([kept, second]) == {"class_frequency_distance": 0}
    assert final_metrics([kept, second, repeated]) == {"class_frequency_distance": 2}
    assert final_metrics([{"name": "head"}]) == {}


@pytest.mark.parametrize(
    ("losses", "gap", "expected"),
    [
        ([0.68, 0.61, 0.69], 1.9, ""),
        ([0.6, 0.2, 0.01], 1.9, "with certainty (its loss is 0.010; guessing has 0.693)"),
        ([0.693, 0.694, 0.69], 1.9, "collapsed"),
        ([0.693, 0.694, 0.69], 0.3, ""),
        ([], 1.9, ""),
    ],
)
def test_adaptation_warnings_name_a_discriminator_that_fails(losses, gap, expected):
    found = adaptation_warnings(metrics_of(0.9, gap), losses)
    assert (expected in found[0]) if expected else not found


def test_adaptation_warnings_name_a_large_class_frequency_distance():
    (warning,) = adaptation_warnings(metrics_of(0.9, shift=0.6))
    assert warning.startswith("60% of the target's predictions would have to change class")


def test_compare_with_a_target_domain_selects_without_its_labels(digits, tmp_path):
    experiment = tftransfer.Experiment(
        data=str(digits / "source"),
        target_data=str(digits / "target"),
        backbone="small_cnn",
        weights="none",
        image_size=8,
        labels_per_class=20,
    )
    recipes = ["scratch:augment=none", "scratch:augment=none+mmd"]
    found = tftransfer.compare(experiment, tmp_path / "c", recipes, epochs=2)
    adaptation = {name: run.result["phases"][-1]["adaptation"] for name, run in found.runs.items()}
    for row in found.rows:
        for key in ("reverse_validation", "class_frequency_distance"):
            assert row[key] == adaptation[row["recipe"]][key]
    assert "target domain" in found.verdict[0]
    alone, adapted = (run.metrics()[-1] for run in found.runs.values())
    assert "CrossEntropy_loss" not in alone  # it is the only loss
    assert adapted["loss"] > adapted["CrossEntropy_loss"] and adapted["MMD_loss"] > 0
    assert "| reverse validation | class frequency distance |" in str(found)
