"""Labels of several tasks: stored, concatenated, split, and evaluated where they are known."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from tftransfer.core.problem_types import ProblemType, Task
from tftransfer.data.examples import (
    SPLIT_DTYPE,
    Examples,
    add_test_data,
    add_unlabelled,
    with_classes,
)
from tftransfer.data.split import split
from tftransfer.labels.arrays import labels_from_array
from tftransfer.metrics.calibration import fit_temperature
from tftransfer.metrics.intervals import with_intervals
from tftransfer.metrics.probabilities import log_loss, mean_over_tasks, softmax
from tftransfer.readers.in_memory import from_arrays
from tftransfer.utils.errors import UserError

MULTI_TASK = ProblemType.MULTI_TASK
CLASSES = ("a=x", "a=y", "a=z", "b=0", "b=1")
TASKS = (Task("a", 0, 3), Task("b", 3, 2))
LABELS = np.array([[0, 1], [2, -1], [-1, 0], [1, 1]])


def examples(labels=LABELS, classes=CLASSES):
    count = len(labels)
    return Examples(
        names=[f"n{k}" for k in range(count)],
        items=[f"{k}".encode() for k in range(count)],
        labels=np.array(labels),
        problem_type=MULTI_TASK,
        classes=classes,
        splits=np.full(count, "", SPLIT_DTYPE),
        sha256=[hashlib.sha256(f"{k}".encode()).hexdigest() for k in range(count)],
    )


def test_with_classes_accepts_data_without_some_tasks_and_classes():
    other = examples([[1, 0], [0, -1]], ("b=0", "b=1", "a=x", "a=z"))
    np.testing.assert_array_equal(
        with_classes(other, CLASSES, MULTI_TASK).labels, [[0, 1], [-1, 0]]
    )
    only = examples([[1], [0]], ("b=0", "b=1"))
    joined = add_test_data(examples(), only)
    np.testing.assert_array_equal(joined.labels[4:], [[-1, 1], [-1, 0]])
    with pytest.raises(UserError, match="unknown classes: c=0"):
        with_classes(examples([[0], [1]], ("c=0", "c=1")), CLASSES, MULTI_TASK)
    more = add_unlabelled(examples(), only, "unlabelled")
    assert (more.labels[4:] == -1).all() and not more.targets()[4:].any()


def test_digest_depends_on_unknown_labels():
    other = LABELS.copy()
    other[0, 1] = -1
    assert examples().digest() != examples(other).digest()


@pytest.mark.parametrize(
    "labels", [np.array([[3, 0], [7, -1], [-1, 5]]), np.array([["3", "0"], ["7", ""], ["", "5"]])]
)
def test_from_arrays_reads_tasks_of_numbers_and_of_names(labels):
    found = from_arrays(np.zeros((3, 4, 4), np.uint8), labels, problem_type=MULTI_TASK)
    assert found.classes == ("task0=3", "task0=7", "task1=0", "task1=5")
    np.testing.assert_array_equal(found.labels, [[0, 0], [1, -1], [-1, 1]])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[0, 1], [1, -2]], "Label -2 of example 1 is below -1"),
        ([[0, 1], [-1, -1], [1, 0]], "row 1: no task has a label"),
        ([[0, 1], [1, 1]], "task task1 has one class, 1"),
        ([[0, -1], [1, -1]], "task task1 has no label"),
        ([[0.5, 1], [1, 1]], "float64 and shape"),
        ([0, 1], r"shape \(2,\)"),
    ],
)
def test_labels_from_array_refuses_bad_tasks(labels, message):
    with pytest.raises(UserError, match=message):
        labels_from_array(np.array(labels), MULTI_TASK, ())


def test_split_has_every_class_of_two_data_sets_of_one_task_each():
    rng = np.random.default_rng(0)
    labels = np.stack([rng.integers(0, 3, 300), rng.integers(0, 2, 300)], axis=1)
    labels[:150, 1], labels[150:, 0] = -1, -1  # two data sets, each of one task
    found = split(examples(labels))
    for name in ("train", "val", "test"):
        assert (found.targets()[found.where(name)].sum(axis=0) > 0).all()
    few = split(examples(labels), labels_per_class=8)
    counts = few.targets()[few.where("train")].sum(axis=0) + few.targets()[few.where("val")].sum(0)
    assert counts.tolist() == [8] * 5


def test_split_refuses_a_task_with_one_training_class():
    labels = np.array([[k % 2, -1] for k in range(40)] + [[0, 0], [1, 1]])
    given = examples(labels, ("a=x", "a=y", "b=0", "b=1"))
    splits = given.splits.copy()
    splits[-1] = "test"
    with pytest.raises(UserError, match="fewer than two classes of the task b"):
        split(replace(given, splits=splits))


def test_split_warns_of_conflicting_labels_but_not_of_unknown_ones():
    labels = np.array([[k % 3, k % 2] for k in range(40)])
    labels[0], labels[1] = [0, -1], [-1, 1]
    given = examples(labels)
    twins = replace(given, sha256=[given.sha256[0], *given.sha256[:1], *given.sha256[2:]])
    assert not any("more than one label" in each for each in split(twins).warnings)
    labels[1] = [1, 1]
    twins = replace(twins, labels=labels)
    assert any("more than one label" in each for each in split(twins).warnings)


RNG = np.random.default_rng(2)
TRUTH = np.stack([RNG.integers(0, 3, 50), RNG.integers(0, 2, 50)], axis=1)
TRUTH[:20, 1] = -1
Y = MULTI_TASK.targets(TRUTH, CLASSES)
Z = RNG.normal(size=(50, 5)) + Y


def test_metrics_are_means_over_tasks():
    values = MULTI_TASK.probabilities(Z, 2.0, TASKS)
    np.testing.assert_allclose(values[:, :3], softmax(Z[:, :3], 2.0))
    first = ProblemType.SINGLE_LABEL.metrics(values[:, :3], Y[:, :3])
    second = ProblemType.SINGLE_LABEL.metrics(values[20:, 3:], Y[20:, 3:])
    got = with_intervals(values, Y, MULTI_TASK, TASKS)
    for name in ("accuracy", "macro_f1", "log_loss", "ece"):
        assert got[name] == pytest.approx((first[name] + second[name]) / 2)
    for name, (low, high) in got["intervals"].items():
        assert low < got[name] < high
    assert log_loss(values, Y, TASKS) == pytest.approx(got["log_loss"])


def test_metrics_do_not_depend_on_scores_of_unknown_labels():
    other = Z.copy()
    other[:20, 3:] = RNG.normal(size=(20, 2)) * 9
    both = [
        with_intervals(MULTI_TASK.probabilities(z, 1.0, TASKS), Y, MULTI_TASK, TASKS)
        for z in (Z, other)
    ]
    assert both[0] == both[1]
    assert fit_temperature(Z, Y, MULTI_TASK, TASKS) == fit_temperature(other, Y, MULTI_TASK, TASKS)


def test_mean_over_tasks_weighs_each_task_equally():
    known = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0]], bool)
    values = np.array([[1.0, 9, 9], [0, 1, 9], [0, 9, 9]])
    assert mean_over_tasks(values, known).mean() == pytest.approx((1 / 3 + 1) / 2)
