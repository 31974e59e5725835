"""The rules of the verdict: each fires on its case and not next to it, and none hides another."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import tftransfer
from tftransfer.data.examples import SPLIT_DTYPE, Examples, NearCopy
from tftransfer.reports.commands import Commands
from tftransfer.reports.issues import RULES
from tftransfer.reports.verdict import verdict

COMMANDS = Commands(experiment=tftransfer.Experiment(data="photos"), workdir=Path("runs/a"))
GOOD = {
    "examples": 400,
    "split": "test",
    "validation": {"accuracy": 0.9},
    "test": {"accuracy": 0.9, "macro_f1": 0.9, "intervals": {"accuracy": (0.87, 0.93)}},
    "baselines": {"majority": {"accuracy": 0.5}, "linear_probe": {"accuracy": 0.8}},
    "per_class": [
        {"class": "a", "f1": 0.91, "support": 200},
        {"class": "b", "f1": 0.89, "support": 200},
    ],
    "phases": [{"epochs": 10, "best_epoch": 7, "stopped": "all epochs done"}],
}


def examples(train=(200, 200), val=(200, 200), test=(200, 200), sha256=None, **settings):
    """Examples of two classes with these numbers in each split."""
    sizes = [*train, *val, *test]
    count = sum(sizes)
    return Examples(
        names=[f"{k}.png" for k in range(count)],
        items=[b""] * count,
        labels=np.repeat([0, 1] * 3, sizes),
        problem_type="single_label",
        classes=("a", "b"),
        splits=np.repeat(["train"] * 2 + ["val"] * 2 + ["test"] * 2, sizes).astype(SPLIT_DTYPE),
        sha256=[str(k) for k in range(count)] if sha256 is None else sha256,
        **settings,
    )


def contents(**same):
    """Contents of 1,200 examples, where some positions have the content of another."""
    names = [str(k) for k in range(1200)]
    for later, first in same.values():
        names[later] = names[first]
    return names


def values(accuracy, low=None, high=None):
    interval = (accuracy - 0.03, accuracy + 0.03) if low is None else (low, high)
    return {"accuracy": accuracy, "macro_f1": accuracy, "intervals": {"accuracy": interval}}


def phases(epochs, best, stopped="all epochs done"):
    return [{"epochs": epochs, "best_epoch": best, "stopped": stopped}]


PROBE = {"majority": {"accuracy": 0.5}, "linear_probe": {"accuracy": 0.9, "validation": 0.97}}
NEAR_PROBE = {"majority": {"accuracy": 0.5}, "linear_probe": {"accuracy": 0.9, "validation": 0.91}}
MIRROR = {"linear_probe": {"accuracy": 0.9, "validation": 0.9, "mirrored": 0.4}}
NEAR_MIRROR = {"linear_probe": {"accuracy": 0.9, "validation": 0.9, "mirrored": 0.75}}
ROWS = [{"class": "a", "f1": 0.9, "support": 200}, {"class": "b", "f1": None, "support": 0}]
WEAK = [{"class": "a", "f1": 0.98, "support": 200}, {"class": "b", "f1": 0.8, "support": 200}]
LAYERS = {"accuracy": {"stage1": 0.8, "stage2": 0.5}, "examples": 400}
NEAR_LAYERS = {"accuracy": {"stage1": 0.52, "stage2": 0.5}, "examples": 400}
# Rule, changes of the result and the examples that fire it, and changes that do not.
CASES = [
    (
        "more than one label",
        ({}, {"sha256": contents(a=(250, 0))}),
        ({}, {"sha256": contents(a=(1, 0))}),
    ),
    (
        "are also in the training split",
        ({}, {"sha256": contents(a=(850, 0))}),
        ({}, {"sha256": contents(a=(850, 801))}),
    ),
    (
        "1 test example is a near copy of",
        ({}, {"near_copies": (NearCopy("0", "850", together=True),)}),
        ({}, {"near_copies": (NearCopy("0", "850", together=False),)}),
    ),
    (
        "mirrored images have other labels",
        ({"baselines": MIRROR}, {}),
        ({"baselines": NEAR_MIRROR}, {}),
    ),
    ("linear probe is better", ({"baselines": PROBE}, {}), ({"baselines": NEAR_PROBE}, {})),
    (
        "no better than a guess",
        ({"test": values(0.5), "validation": {"accuracy": 0.5}}, {}),
        ({"test": values(0.6), "validation": {"accuracy": 0.6}}, {}),
    ),
    ("no training example is of class b", ({}, {"train": (400, 0)}), ({}, {"train": (40, 40)})),
    ("no evaluated example is of class b", ({"per_class": ROWS}, {}), ({}, {})),
    (
        "6 validation examples decide",
        ({}, {"val": (3, 3)}),
        ({"phases": [{"stopped": "solved"}]}, {"val": (3, 3)}),
    ),
    ("without validation examples", ({}, {"val": (0, 0)}), ({}, {"val": (10, 10)})),
    (
        "not of the same kind",
        ({"validation": {"accuracy": 0.99}}, {}),
        ({"validation": {"accuracy": 0.93}}, {}),
    ),
    (
        "a linear probe on stage1 is better",
        ({"layer_probes": LAYERS, "backbone": "yamnet"}, {}),
        ({"layer_probes": NEAR_LAYERS, "backbone": "yamnet"}, {}),
    ),
    (
        "the interval of 400 test examples is wide",
        ({"test": values(0.9, 0.7, 0.99)}, {}),
        ({"test": values(0.9, 0.86, 0.94)}, {}),
    ),
    (
        "class b has 30 training examples, 500 is the mean",
        ({}, {"train": (970, 30)}),
        ({}, {"train": (270, 30)}),
    ),
    ("each class has few training examples", ({}, {"train": (9, 8)}), ({}, {"train": (20, 20)})),
    ("class b has an F1 of 0.80", ({"per_class": WEAK}, {}), ({}, {})),
    (
        "the last of the 10 epochs was the best",
        ({"phases": phases(10, 10)}, {}),
        ({"phases": phases(10, 10, "no better validation value for 3 epochs")}, {}),
    ),
]


def lines_of(result=None, given=None, recipe="fine_tune"):
    return verdict({**GOOD, **(result or {})}, examples(**(given or {})), recipe, COMMANDS)


def test_a_good_run_has_no_issue():
    lines = lines_of()
    assert lines[1] == "Main issue: none." and len(lines) == 3


@pytest.mark.parametrize(("text", "fires", "near"), CASES, ids=[case[0] for case in CASES])
def test_rule_fires_on_its_case_and_not_next_to_it(text, fires, near):
    assert text in lines_of(*fires)[1]
    assert not any(text in line for line in lines_of(*near))


def test_wide_interval_names_the_split_that_it_is_of():
    lines = lines_of({"test": values(0.9, 0.7, 0.99), "split": "val"})
    assert "the interval of 400 validation examples is wide" in lines[1]


def test_commands_keep_the_options_of_the_recipe():
    commands = dataclasses.replace(COMMANDS, recipe="fine_tune:unfreeze=2+l2_sp")
    lines = verdict({**GOOD, "baselines": MIRROR}, examples(), commands.recipe, commands)
    assert "--recipe=fine_tune:unfreeze=2,augment=shift+l2_sp " in lines[2]
    lines = verdict({**GOOD, "phases": phases(10, 10)}, examples(), commands.recipe, commands)
    assert "--recipe=fine_tune:unfreeze=2+l2_sp --epochs=20 " in lines[2]
    own = verdict({**GOOD, "baselines": MIRROR}, examples(), "my_recipe", COMMANDS)
    assert own[2] == 'Next step: train with augment="shift" in the phases of the recipe'


def test_labels_that_a_flag_limits_are_the_first_to_use():
    experiment = tftransfer.Experiment(data="photos", labels_per_class=9)
    commands = dataclasses.replace(COMMANDS, experiment=experiment)
    lines = verdict(GOOD, examples(train=(9, 9)), "fine_tune", commands)
    assert "each class has few training examples" in lines[1]
    assert "--labels_per_class=0 --workdir=runs/a-labeled" in lines[2]


def test_inspect_reads_the_data_as_the_run_did():
    reading = {"columns": "label=stars", "encoding": "cp1251", "group_by": "speaker"}
    experiment = tftransfer.Experiment(data="a.csv", test_data="my b.csv", **reading)
    assert Commands(experiment=experiment, workdir=Path("runs/a")).inspect() == (
        "tftransfer inspect --data=a.csv --test_data='my b.csv' --columns=label=stars "
        "--encoding=cp1251 --group_by=speaker"
    )


def test_rules_of_a_recipe_are_last_and_hide_nothing():
    lines = lines_of({"test": values(0.5), "validation": {"accuracy": 0.5}}, recipe="scratch")
    assert "no better than a guess" in lines[1]
    assert lines[3].startswith("Also: nothing is transferred. Next step: tftransfer train ")
    assert "nothing is transferred" in lines_of(recipe="scratch")[1]
    assert "only the head" in lines_of(recipe="feature_extraction")[1]
    assert len(RULES) == len(CASES)  # two cases of classes; scratch and the head share none


def test_all_issues_are_named_in_the_order_of_harm():
    lines = lines_of(
        {
            "test": values(0.5, 0.3, 0.7),
            "validation": {"accuracy": 0.75},
            "baselines": PROBE,
            "phases": phases(10, 10),
        },
        {"train": (9, 8), "val": (9, 9)},
    )
    found = [line.partition(". Next step: ")[0] for line in (lines[1], *lines[3:])]
    texts = [
        "linear probe is better",
        "no better than a guess",
        "18 validation examples decide",
        "not of the same kind",
        "is wide",
        "each class has few",
        "the last of the 10 epochs",
    ]
    assert len(found) == len(texts)
    assert all(text in line for text, line in zip(texts, found))


def test_validation_split_is_enlarged_where_that_gives_enough_examples():
    lines = lines_of({}, {"train": (90, 90), "val": (5, 5)})
    assert lines[2] == (
        "Next step: label more examples, then tftransfer train --config=runs/a/config.json "
        "--workdir=runs/a-more"
    )  # ten of 190 are not the 10 % of the run's settings: the data divide themselves
    lines = lines_of({}, {"train": (81, 81), "val": (9, 9)})
    assert lines[2] == (
        "Next step: tftransfer train --config=runs/a/config.json --validation_fraction=0.12 "
        "--workdir=runs/a-validated"
    )


def test_names_of_classes_with_control_characters_are_on_one_line():
    odd = Examples(**{**vars(examples(train=(970, 30))), "classes": ("a", "b\nc")})
    lines = verdict(GOOD, odd, "fine_tune", COMMANDS)
    assert "class b\\nc has 30 training examples" in lines[1]


@pytest.mark.parametrize(
    ("each", "step"), [(2, "--validation_fraction=0.3 "), (1, "label more examples, then ")]
)
def test_validation_split_of_classes_with_one_or_two_examples(each, step):
    from tftransfer.data.split import split

    count = 50
    whole = Examples(
        names=[f"{k}.png" for k in range(count * each)],
        items=[b""] * count * each,
        labels=np.arange(count * each) % count,
        problem_type="single_label",
        classes=tuple(f"c{k}" for k in range(count)),
        splits=np.full(count * each, "", SPLIT_DTYPE),
        sha256=[str(k) for k in range(count * each)],
    )
    lines = verdict({**GOOD, "per_class": []}, split(whole), "fine_tune", COMMANDS)
    assert any("without validation examples" in line and step in line for line in lines[1:]) or (
        "without validation examples" in lines[1] and step in lines[2]
    )
    if each == 2:  # the remedy gives enough
        found = split(whole, validation_fraction=0.3)
        assert len(found.where("val")) == len(found.where("train")) == count


def test_a_test_split_of_one_class_is_no_guess_but_lacks_the_other():
    result = {"test": values(1.0), "baselines": {"majority": {"accuracy": 1.0}}, "per_class": ROWS}
    lines = lines_of(result)
    assert "no evaluated example is of class b" in lines[1]
    assert not any("no better than a guess" in line for line in lines)
