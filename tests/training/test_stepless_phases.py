"""What the solver of a head is given: features, labels, and the units of cross-validation."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from tftransfer.data.examples import SPLIT_DTYPE, Examples
from tftransfer.probes import closed_form
from tftransfer.training import stepless_phases

RNG = np.random.default_rng(0)
FEATURES = np.repeat(RNG.normal(size=(30, 40)), 3, axis=0).astype(np.float32)
NUMBERS = np.arange(90)


def examples_of(labels, problem_type, classes, **changes):
    values = {"sha256": [f"{number:064}" for number in NUMBERS]} | changes
    splits = np.where(NUMBERS % 9 < 6, "train", "val").astype(SPLIT_DTYPE)
    return Examples(
        names=list(map(str, NUMBERS)),
        items=[b""] * 90,
        labels=labels,
        problem_type=problem_type,
        classes=classes,
        splits=splits,
        **values,
    )


def solved(examples):
    dense = keras.layers.Dense(len(examples.classes))
    dense.build((None, 40))
    context = SimpleNamespace(
        examples=examples,
        targets=examples.targets(),
        extractor=SimpleNamespace(features=lambda rows: FEATURES[rows]),
        network=SimpleNamespace(blocks={"head": [dense]}),
    )
    stepless_phases._solve(context, "logistic")
    return dense.get_weights()


@pytest.mark.parametrize("field", ["sha256", "groups"])
def test_solve_selects_the_penalty_without_splitting_copies_or_groups(field):
    units = [f"{number // 3:064}" for number in NUMBERS]
    examples = examples_of(NUMBERS // 3 % 2, "single_label", ("a", "b"), **{field: units})
    train = examples.where("train")
    x, y = FEATURES[train], examples.targets()[train]
    expected = closed_form.logistic(x, y, units=[units[row] for row in train])
    kernel, bias = solved(examples)
    np.testing.assert_allclose(kernel, expected[0], atol=1e-6)
    np.testing.assert_allclose(bias, expected[1], atol=1e-6)
    assert np.abs(kernel).max() < 0.2 * np.abs(closed_form.logistic(x, y)[0]).max()


def test_solve_with_several_tasks_uses_the_units_of_the_labeled_examples():
    labels = np.stack([NUMBERS // 3 % 2, np.where(NUMBERS % 2, NUMBERS // 6 % 2, -1)], axis=1)
    units = [f"{number // 3:064}" for number in NUMBERS]
    classes = ("one=a", "one=b", "two=a", "two=b")
    examples = examples_of(labels, "multi_task", classes, sha256=units)
    train = examples.where("train")
    known = train[labels[train, 1] >= 0]
    expected = closed_form.logistic(
        FEATURES[known], np.eye(2)[labels[known, 1]], units=[units[row] for row in known]
    )
    np.testing.assert_allclose(solved(examples)[0][:, 2:], expected[0], atol=1e-6)
