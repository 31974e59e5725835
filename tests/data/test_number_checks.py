"""Numbers to predict: constant columns and impossible values are named before training."""

import numpy as np
import pytest

from tftransfer.data.examples import SPLIT_DTYPE, Examples
from tftransfer.data.number_checks import check_numbers
from tftransfer.utils.errors import UserError


def numbers(*columns):
    labels = np.array(columns, np.float32).T
    return Examples(
        names=[f"{k}.png" for k in range(len(labels))],
        items=[b""] * len(labels),
        labels=labels,
        problem_type="regression",
        classes=("weight", "height")[: len(columns)],
        splits=np.full(len(labels), "train", SPLIT_DTYPE),
    )


USUAL = np.random.default_rng(0).uniform(0.1, 0.9, 80)


def changed(value, row=5):
    column = USUAL.copy()
    column[row] = value
    return column


def test_usual_and_skewed_numbers_have_no_warning():
    prices = np.exp(np.random.default_rng(0).normal(12, 1, 500))
    assert check_numbers(numbers(USUAL)) == check_numbers(numbers(prices)) == []
    assert check_numbers(numbers([0.0] * 60 + [5.0] * 3)) == []  # most are equal: no scale


def test_constant_column_is_named():
    (line,) = check_numbers(numbers(USUAL, np.full(80, 12.5)))
    assert line.startswith("the column height is 12.5 in every row: nothing can be learned of it")


def test_far_value_is_named_with_its_row():
    (line,) = check_numbers(numbers(changed(1000.0)))
    assert "weight has values far from the others" in line and ": 1000 of 5.png; correct" in line


@pytest.mark.parametrize("value", [1e30, -1e20, np.inf])
def test_impossible_value_is_an_error_that_names_its_row(value):
    with pytest.raises(UserError, match=r"of 5\.png") as caught:
        check_numbers(numbers(changed(value)))
    assert caught.value.remedy == "Correct these rows or remove them."
