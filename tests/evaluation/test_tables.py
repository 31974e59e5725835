"""Tables of an evaluation: classes without examples have no metrics."""

import numpy as np
import pytest

from tftransfer.core.problem_types import ProblemType
from tftransfer.evaluation.tables import per_class

# Of class c there is no example, and it is predicted once.
TRUTH = np.eye(3)[[0, 0, 1, 1]]
SCORES = np.eye(3)[[0, 2, 1, 1]]


@pytest.mark.parametrize("problem_type", [ProblemType.SINGLE_LABEL, ProblemType.MULTI_LABEL])
def test_class_without_examples_has_no_metrics_and_does_not_lower_the_mean(problem_type):
    rows = per_class(SCORES, TRUTH, ("a", "b", "c"), problem_type)
    assert rows[2] == {"class": "c", "precision": None, "recall": None, "f1": None, "support": 0}
    assert rows[0]["recall"] == 0.5 and rows[1]["f1"] == 1.0
    f1 = problem_type.metrics(SCORES, TRUTH)["macro_f1"]
    assert f1 == pytest.approx((2 / 3 + 1) / 2)


def test_macro_f1_of_one_label_is_that_of_its_positives():
    truth, scores = np.array([[1.0], [0.0], [0.0]]), np.array([[0.0], [0.0], [0.0]])
    assert ProblemType.MULTI_LABEL.metrics(scores, truth)["macro_f1"] == 0
