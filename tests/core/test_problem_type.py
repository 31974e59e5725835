"""Problem types: tasks of classes, targets and labels, descriptions, and what is registered."""

import json
import sys

import numpy as np
import pytest

from tftransfer import losses, metrics
from tftransfer.core.loss import Loss
from tftransfer.core.problem_types import (
    METRICS,
    PROBABILITIES,
    SUPERVISED_LOSSES,
    ProblemType,
    Task,
)
from tftransfer.utils.errors import UserError

CLASSES = ("a=x", "a=y", "a=z", "b=0", "b=1")
TASKS = (Task("a", 0, 3), Task("b", 3, 2))


def test_tasks_of_multi_task_follow_the_names_of_the_classes():
    assert ProblemType.MULTI_TASK.tasks(CLASSES) == TASKS
    assert ProblemType.MULTI_TASK.tasks(("a=x=1", "a=y")) == (Task("a", 0, 2),)
    assert ProblemType.SINGLE_LABEL.tasks(CLASSES) == ()


@pytest.mark.parametrize(
    ("problem_type", "labels", "classes", "targets"),
    [
        ("single_label", [2, -1, 0], "abc", [[0, 0, 1], [0, 0, 0], [1, 0, 0]]),
        ("multi_label", [[0.0, 1.0], [1.0, 1.0]], "ab", [[0, 1], [1, 1]]),
        ("regression", [[1.5], [-2.0]], "y", [[1.5], [-2.0]]),
        ("multi_task", [[0, 1], [2, -1]], CLASSES, [[1, 0, 0, 0, 1], [0, 0, 1, 0, 0]]),
    ],
)
def test_targets_equal_values_by_hand_and_labels_invert_them(
    problem_type, labels, classes, targets
):
    problem_type, labels = ProblemType(problem_type), np.array(labels)
    found = problem_type.targets(labels, classes)
    np.testing.assert_array_equal(found, targets)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(problem_type.labels(found, classes), labels)


def test_describe_counts_classes_and_tasks_and_names_columns():
    assert ProblemType.MULTI_LABEL.describe("abc") == "multi_label, 3 classes"
    assert ProblemType.MULTI_TASK.describe(CLASSES) == "multi_task, 5 classes of 2 tasks"
    assert ProblemType.REGRESSION.describe(("x", "y")) == "regression of x, y"


def test_problem_type_in_json_is_its_name():
    assert json.loads(json.dumps({"type": ProblemType.MULTI_LABEL})) == {"type": "multi_label"}
    assert f"{ProblemType('regression')}" == "regression"


def test_problem_type_of_an_unknown_name_is_an_error_with_the_nearest():
    with pytest.raises(UserError, match="single_label"):
        ProblemType("single_lable")


@pytest.mark.parametrize("problem_type", list(ProblemType))
def test_every_problem_type_has_a_loss_probabilities_and_metrics(problem_type):
    assert {losses.__name__, metrics.__name__} <= set(sys.modules)  # they register the functions
    assert (
        problem_type in SUPERVISED_LOSSES
        and problem_type in PROBABILITIES
        and problem_type in METRICS
    )
    assert isinstance(problem_type.loss(), Loss)


def test_unknown_label_is_minus_one_where_classes_are_exclusive():
    assert [each.unknown_label for each in ProblemType] == [-1, 0, 0, -1]
