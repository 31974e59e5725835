"""Which phase a run that adapts ends with, by figures that need no label of the target."""

import pytest

import tftransfer
from tftransfer.losses import L2SP, CrossEntropy, Distill
from tftransfer.training.domain_adaptation import best_phase, best_run, final, warnings_of
from tftransfer.training.train_step import terms


@pytest.mark.parametrize(
    ("gaps", "reverse", "leaving", "kept", "why"),
    [
        ([1.9, 1.2], [0.95, 0.98], [False, True], 1, ""),
        ([1.9, 1.2], [0.95, 0.94], [False, True], 1, ""),
        ([1.9, 1.2], [0.95, 0.80], [False, True], 0, "reverse validation (0.800 after 0.950)"),
        ([1.8, 2.0], [0.95, 0.96], [False, True], 0, "gap 2.00 after 1.80"),
        ([1.8, 2.0], [0.95, 0.96], [False, False], 1, ""),
        ([1.8, 2.0, 1.9], [0.95, 0.96, 0.97], [False, False, True], 2, ""),
        ([1.8, 1.0, 1.5], [0.9, 0.96, 0.97], [False, True, True], 1, "gap 1.50 after 1.00"),
        ([1.8], [0.9], [False], 0, ""),
    ],
)
def test_a_run_ends_with_the_last_phase_that_did_no_harm(gaps, reverse, leaving, kept, why):
    judged = [
        {"domain_gap": gap, "reverse_validation": accuracy, "moved": 0.1}
        for gap, accuracy in zip(gaps, reverse)
    ]
    found, said = best_phase(judged, leaving, 200)
    assert found == kept
    assert why in said


def test_domains_further_apart_are_no_harm_where_the_guesses_come_nearer_to_the_labels():
    judged = [
        {"domain_gap": 1.67, "reverse_validation": 0.975, "moved": 0.283},
        {"domain_gap": 1.88, "reverse_validation": 0.975, "moved": 0.121},
    ]
    assert best_phase(judged, [False, True], 200)[0] == 1
    judged[1]["moved"] = 0.3
    assert best_phase(judged, [False, True], 200)[0] == 0


@pytest.mark.parametrize(("count", "kept"), [(100, 1), (200, 1), (400, 0), (10_000, 0)])
def test_a_difference_that_may_be_chance_is_no_harm(count, kept):
    """Two standard errors of the difference are 0.050 with 200 examples, and 0.0355 with 400."""
    judged = [{"domain_gap": 1.8, "reverse_validation": p, "moved": 0.1} for p in (0.95, 0.914)]
    assert best_phase(judged, [False, False], count)[0] == kept
    assert best_phase(judged[::-1], [False, False], count)[0] == 1


def test_what_is_worse_by_less_than_the_tolerance_is_no_harm():
    judged = [{"domain_gap": 1.8, "reverse_validation": p, "moved": 0.1} for p in (0.95, 0.931)]
    assert best_phase(judged, [False, False], 10**6)[0] == 1


def test_of_runs_that_are_not_worse_the_one_whose_guesses_are_spread_as_the_labels():
    def judged(reverse, moved):
        return {"reverse_validation": reverse, "moved": moved, "domain_gap": 1.0}

    runs = {"plain": judged(0.97, 0.3), "mmd": judged(0.95, 0.1), "fallen": judged(0.4, 0.05)}
    accuracy = dict.fromkeys(runs, 0.97)
    assert best_run(runs, accuracy, 200) == "mmd"
    assert best_run(runs, accuracy, 10_000_000) == "mmd"  # 0.02 is nothing
    assert best_run(runs, {**accuracy, "mmd": 0.8}, 200) == "plain"


def test_the_figures_of_the_network_that_a_run_ends_with():
    first, second, third = ({"judged": {"moved": k}} for k in range(3))
    assert final([first, second]) == {"moved": 1}
    assert final([{**first, "kept": True}, second]) == {"moved": 0}
    assert final([{**first, "kept": True}, second, {**third, "again": True}]) == {"moved": 2}
    assert final([{"name": "head"}]) == {}


def test_recipes_for_a_target_domain_are_compared_without_its_labels(digits, tmp_path):
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
    judged = {name: run.result["phases"][-1]["judged"] for name, run in found.runs.items()}
    for row in found.rows:
        for key in ("reverse_validation", "moved"):
            assert row[key] == judged[row["recipe"]][key]
    assert "target domain" in found.verdict[0]
    alone, pulled = (run.metrics()[-1] for run in found.runs.values())
    assert "CrossEntropy_loss" not in alone  # it is the whole
    assert pulled["loss"] > pulled["CrossEntropy_loss"] and pulled["MMD_loss"] > 0
    assert "| reverse validation | frequencies apart |" in str(found)


@pytest.mark.parametrize(
    ("told_apart", "gap", "said"),
    [
        ([0.68, 0.61, 0.69], 1.9, ""),
        ([0.6, 0.2, 0.01], 1.9, "without doubt (its loss is 0.010; a guess has 0.693)"),
        ([0.693, 0.694, 0.69], 1.9, "collapsed"),
        ([0.693, 0.694, 0.69], 0.3, ""),
        ([], 1.9, ""),
    ],
)
def test_a_discriminator_that_does_not_do_its_work_is_told(told_apart, gap, said):
    found = warnings_of({"domain_gap": gap, "moved": 0.1, "reverse_validation": 0.9}, told_apart)
    assert (said in found[0]) if said else not found


def test_several_losses_have_names_of_their_own():
    assert terms([CrossEntropy()]) == ()
    taught = [CrossEntropy(), Distill(), L2SP(), Distill()]
    assert terms(taught) == ("CrossEntropy_loss", "Distill_loss", "L2SP_loss", "Distill_2_loss")
