"""Solvers against scikit-learn, against refits without an example, and in edge cases."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import NearestCentroid

from tftransfer.core.problem_types import ProblemType
from tftransfer.metrics.probabilities import softmax
from tftransfer.probes import closed_form, solver_inputs
from tftransfer.probes.closed_form import SOLVERS
from tftransfer.probes.solver_inputs import ABSENT
from tftransfer.utils.errors import UserError

SHAPES = {"tall": (90, 8), "wide": (24, 60)}


def clusters(n=90, d=8, k=3, apart=1.0, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % k
    means = apart * rng.normal(size=(k, d))
    features = 3 + means[labels] + rng.normal(size=(n, d)) * np.linspace(0.5, 2, d)
    return features.astype(np.float32), np.eye(k)[labels], labels


def logits_of(solution, features):
    kernel, bias = solution
    assert kernel.dtype == bias.dtype == np.float32
    assert kernel.shape == (features.shape[1], len(bias))
    assert np.isfinite(kernel).all() and np.isfinite(bias).all()
    return features.astype(np.float64) @ kernel + bias


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def centered(logits):
    return logits - logits.mean(axis=1, keepdims=True)


def deviations(x, prior=100):
    variance = x.var(axis=0)
    return np.sqrt((len(x) * variance + prior * variance.mean()) / (len(x) + prior))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_prototypes_logits_are_negative_squared_distances(shape):
    x, y, labels = clusters(*shape)
    new = clusters(*shape, seed=1)[0]
    got = logits_of(closed_form.prototypes(x, y, scale=0.5), new)
    means = np.stack([x[labels == c].mean(axis=0) for c in range(3)])
    distances = ((new[:, None] - means) ** 2).sum(axis=2)
    np.testing.assert_allclose(centered(got), centered(-0.5 * distances), atol=1e-3)
    expected = NearestCentroid().fit(x, labels).predict(new)
    assert (got.argmax(axis=1) == expected).all()
    calibrated = logits_of(closed_form.prototypes(x, y), new)
    assert (calibrated.argmax(axis=1) == expected).all()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_cosine_logits_are_cosines_to_the_mean_of_unit_features(shape):
    x, y, labels = clusters(*shape)
    got = logits_of(closed_form.cosine(x, y, scale=4.0), unit(x))
    means = unit(np.stack([unit(x)[labels == c].mean(axis=0) for c in range(3)]))
    np.testing.assert_allclose(got, 4 * unit(x) @ means.T, atol=1e-5)
    again = closed_form.cosine(unit(x), y, scale=4.0)[0]
    np.testing.assert_allclose(again, closed_form.cosine(x, y, scale=4.0)[0], atol=1e-6)


@pytest.mark.parametrize("strength", [0.1, 10.0, 1000.0])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_ridge_equals_scikit_learn(shape, strength):
    x, y, _ = clusters(*shape)
    got = logits_of(closed_form.ridge(x, y, strength=strength, temperature=1.0), x)
    expected = Ridge(alpha=strength).fit(x.astype(np.float64), y).predict(x)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    values = np.stack([x[:, 0] * 5 - 7, x[:, 1] ** 2], axis=1)
    got = logits_of(closed_form.ridge(x, values, problem_type="regression", strength=strength), x)
    expected = Ridge(alpha=strength).fit(x.astype(np.float64), values).predict(x)
    np.testing.assert_allclose(got, expected, atol=1e-3)


@pytest.mark.parametrize("strength", [None, 1.0, 100.0])
def test_dual_form_equals_primal_form(strength):
    x, y, _ = clusters(30, 20)
    wide = np.concatenate([x, np.zeros((30, 30), np.float32)], axis=1)
    for name in ("ridge", "logistic"):
        kernel, bias = SOLVERS[name](x, y, strength=strength)
        kernel_dual, bias_dual = SOLVERS[name](wide, y, strength=strength)
        if name == "ridge":  # the mean variance, of which logistic's deviations are, has changed
            np.testing.assert_allclose(kernel_dual[:20], kernel, atol=1e-5)
            np.testing.assert_allclose(bias_dual, bias, atol=1e-4)
        np.testing.assert_allclose(kernel_dual[20:], 0, atol=1e-9)


@pytest.mark.parametrize("shape", [(30, 20), (20, 30), (20, 20)])
def test_row_space_reproduces_the_rows(shape):
    x = np.random.default_rng(0).normal(size=shape)
    x[:, 3] = x[:, 4]
    coordinates, basis, squares = solver_inputs.row_space(x)
    np.testing.assert_allclose(coordinates @ basis.T, x, atol=1e-9)
    np.testing.assert_allclose(basis.T @ basis, np.eye(len(squares)), atol=1e-9)
    singular = np.linalg.svd(x, compute_uv=False)[: len(squares)]
    np.testing.assert_allclose(np.sort(squares), np.sort(singular**2), atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("problem_type", ["single_label", "regression"])
def test_ridge_without_strength_takes_the_one_with_the_smallest_leave_one_out_error(
    shape, problem_type
):
    x, y, _ = clusters(*shape)
    size = ((x - x.mean(axis=0)) ** 2).sum() / len(x)
    grid = size * np.geomspace(1e-4, 10.0 * len(x), 25)

    def error(strength):
        total = 0.0
        for i in range(len(x)):
            kept = np.arange(len(x)) != i
            solution = closed_form.ridge(
                x[kept], y[kept], problem_type="regression", strength=strength
            )
            total += ((logits_of(solution, x[i : i + 1]) - y[i]) ** 2).sum()
        return total

    best = grid[np.argmin([error(s) for s in grid])]
    expected = closed_form.ridge(x, y, problem_type=problem_type, strength=best)
    np.testing.assert_allclose(
        closed_form.ridge(x, y, problem_type=problem_type)[0], expected[0], atol=1e-5
    )


@pytest.mark.parametrize("strength", [1.0, 100.0])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_logistic_equals_scikit_learn_on_scaled_features(shape, classes, strength):
    x, y, labels = clusters(*shape, k=classes)
    scaled = (x - x.mean(axis=0, dtype=np.float64)) / deviations(x.astype(np.float64))
    model = LogisticRegression(C=1 / strength, tol=1e-9, max_iter=10_000).fit(scaled, labels)
    got = softmax(logits_of(closed_form.logistic(x, y, strength=strength), x))
    np.testing.assert_allclose(got, model.predict_proba(scaled), atol=1e-4)


def test_logistic_of_multiple_labels_equals_one_regression_per_label():
    x, y, _ = clusters(90, 8)
    y = np.stack([y[:, 0], y[:, 1] + y[:, 2], np.ones(90), np.zeros(90)], axis=1)
    scaled = (x - x.mean(axis=0, dtype=np.float64)) / deviations(x.astype(np.float64))
    got = logits_of(closed_form.logistic(x, y, problem_type="multi_label", strength=10.0), x)
    for column in (0, 1):
        model = LogisticRegression(C=0.1, tol=1e-9).fit(scaled, y[:, column].astype(int))
        expected = model.decision_function(scaled)
        np.testing.assert_allclose(got[:, column], expected, atol=1e-3)
    np.testing.assert_allclose(got[:, 2], np.log(91), rtol=1e-6)
    assert (got[:, 3] == ABSENT).all()


def test_logistic_without_strength_takes_the_penalty_that_generalizes():
    noise = np.random.default_rng(0).normal(size=(60, 40)), np.eye(2)[np.arange(60) % 2]
    assert np.abs(logits_of(closed_form.logistic(*noise), noise[0])).max() < 0.3
    x, y, _ = clusters(apart=3.0)
    assert softmax(logits_of(closed_form.logistic(x, y), x)).max(axis=1).mean() > 0.95


@pytest.mark.parametrize("problem_type", ["single_label", "multi_label"])
def test_logistic_penalty_is_chosen_on_folds_that_split_no_copies(problem_type):
    """Noise does not generalize, but a copy in the other fold looks as if it did."""
    rng = np.random.default_rng(0)
    x, y = np.repeat(rng.normal(size=(40, 60)), 3, axis=0), np.eye(2)[np.arange(120) // 3 % 2]
    copies = [str(number // 3) for number in range(120)]

    def largest_logit(**options):
        solution = closed_form.logistic(x, y, problem_type=problem_type, **options)
        return np.abs(logits_of(solution, x)).max()

    assert largest_logit(units=copies) < 0.3 * largest_logit()
    np.testing.assert_allclose(
        largest_logit(units=list(map(str, range(120)))), largest_logit(), rtol=1e-6
    )


def test_logistic_with_few_units_per_class_takes_the_default_penalty():
    x, y, labels = clusters()
    expected = closed_form.logistic(x, y, strength=100.0)
    by_class = [f"speaker {label}" for label in labels]
    np.testing.assert_array_equal(closed_form.logistic(x, y, units=by_class)[0], expected[0])


def test_ridge_logits_of_multiple_labels_have_their_sign():
    x, y, _ = clusters(120, 8, apart=3.0)
    y = np.stack([y[:, 0], y[:, 1] + y[:, 2], np.zeros(120)], axis=1)
    got = logits_of(closed_form.ridge(x, y, problem_type="multi_label"), x)
    assert ((got[:, :2] > 0) == (y[:, :2] > 0)).mean() > 0.95
    assert (got[:, 2] == ABSENT).all()


@pytest.mark.parametrize("name", SOLVERS)
def test_probabilities_of_new_examples_are_calibrated(name):
    """The mean confidence is close to the accuracy on examples that were not fitted."""
    x, y, _ = clusters(60, 40, k=4, apart=0.7)
    new, truth, _ = clusters(2000, 40, k=4, apart=0.7)  # the same means, other noise
    new, truth = new[60:], truth[60:]
    if name == "cosine":
        x, new = unit(x), unit(new)
    values = softmax(logits_of(SOLVERS[name](x, y), new))
    right = values.argmax(axis=1) == truth.argmax(axis=1)
    assert 0.5 < right.mean() < 0.99
    assert abs(values.max(axis=1).mean() - right.mean()) < 0.1


@pytest.mark.parametrize("name", ["prototypes", "cosine"])
def test_leave_one_out_logits_equal_those_of_a_refit(name, monkeypatch):
    x, y, _ = clusters(12, 5)
    seen = {}
    monkeypatch.setattr(
        solver_inputs,
        "fit_temperature",
        lambda logits, *rest: seen.setdefault("logits", logits) is None or 1.0,
    )
    SOLVERS[name](x, y)
    fixed = unit(x) if name == "cosine" else x
    expected = np.empty((12, 3))
    for i in range(12):
        kept = np.arange(12) != i
        expected[i] = logits_of(SOLVERS[name](x[kept], y[kept], scale=1.0), fixed[i : i + 1])[0]
    ratio = centered(seen["logits"]) / centered(expected)
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=2e-2)


@pytest.mark.parametrize("size", [2, 6, 20], ids="{} together".format)
@pytest.mark.parametrize("name", ["prototypes", "cosine", "ridge"])
def test_leave_unit_out_logits_equal_those_of_a_refit(name, size, monkeypatch):
    """Units of several examples, and some of one."""
    x, y, _ = clusters(60, 7)
    units = [f"{number // size}" if number < 40 else f"alone {number}" for number in range(60)]
    fixed = unit(x) if name == "cosine" else x
    options = {"strength": 3.0, "temperature": 1.0} if name == "ridge" else {"scale": 1.0}
    expected = np.empty((60, 3))
    for own in set(units):
        kept = np.array([other != own for other in units])
        solution = SOLVERS[name](x[kept], y[kept], **options)
        expected[~kept] = logits_of(solution, fixed[~kept])
    seen = {}
    monkeypatch.setattr(
        solver_inputs,
        "fit_temperature",
        lambda logits, *rest: seen.setdefault("logits", logits) is None or 1.0,
    )
    SOLVERS[name](x, y, units=units, **({"strength": 3.0} if name == "ridge" else {}))
    ratio = centered(seen["logits"]) / centered(expected)
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=2e-2)


@pytest.mark.parametrize("name", SOLVERS)
def test_confidence_on_noise_is_low_when_copies_are_units(name):
    rng = np.random.default_rng(0)
    x = np.repeat(unit(rng.normal(size=(60, 64))), 4, axis=0)
    y = np.eye(3)[np.repeat(rng.integers(0, 3, 60), 4)]
    new, copies = unit(rng.normal(size=(500, 64))), [str(number // 4) for number in range(240)]

    def confidence(**options):
        solution = SOLVERS[name](x, y, **options)
        return softmax(logits_of(solution, new)).max(axis=1).mean()

    assert confidence(units=copies) < 0.48 < 0.55 < confidence()
    np.testing.assert_allclose(
        confidence(units=list(map(str, range(240)))), confidence(), rtol=1e-6
    )


@pytest.mark.parametrize("name", SOLVERS)
def test_class_without_examples_is_never_predicted(name):
    x, y, _ = clusters(k=3)
    wide = np.insert(np.insert(y, 1, 0, axis=1), 4, 0, axis=1)
    kernel, bias = SOLVERS[name](x, wide)
    np.testing.assert_array_equal(kernel[:, [1, 4]], 0)
    np.testing.assert_array_equal(bias[[1, 4]], ABSENT)
    np.testing.assert_array_equal(kernel[:, [0, 2, 3]], SOLVERS[name](x, y)[0])
    values = softmax(logits_of((kernel, bias), unit(x)))
    assert values[:, [1, 4]].max() == 0


@pytest.mark.parametrize("name", SOLVERS)
def test_one_example_per_class_is_enough(name):
    x, y, _ = clusters(5, 64, k=5, apart=3.0)
    if name == "cosine":
        x = unit(x)
    values = softmax(logits_of(SOLVERS[name](x, y), x))
    assert (values.argmax(axis=1) == np.arange(5)).all()
    assert values.max(axis=1).min() > 0.3
    assert values.max() < 0.999


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("value", [0.0, 0.1])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_constant_features_give_equal_probabilities(name, value, shape):
    x, y = np.full(shape, value, np.float32), clusters(*shape)[1]
    values = softmax(logits_of(SOLVERS[name](x, y), x))
    np.testing.assert_allclose(values, 1 / 3, atol=1e-3)


@pytest.mark.parametrize("name", SOLVERS)
def test_single_example_predicts_its_class(name):
    kernel, bias = SOLVERS[name](np.ones((1, 4)), np.array([[0.0, 1.0]]))
    assert logits_of((kernel, bias), np.ones((1, 4)))[0].argmax() == 1


@pytest.mark.parametrize("name", SOLVERS)
def test_solvers_repeat_exactly(name):
    x, y, _ = clusters()
    for first, second in zip(SOLVERS[name](x, y), SOLVERS[name](x, y)):
        np.testing.assert_array_equal(first, second)


def test_ridge_strength_is_not_dominated_by_a_column_of_large_values():
    x, _, _ = clusters(200, 8)
    values = np.stack([x[:, 0], 1e4 * np.random.default_rng(0).normal(size=200)], axis=1)
    got = logits_of(closed_form.ridge(x, values, problem_type="regression"), x)
    assert ProblemType.REGRESSION.metrics(got[:, :1], values[:, :1])["r2"] > 0.5


@pytest.mark.parametrize(
    "name, features, targets, problem_type, message",
    [
        ("ridge", np.ones((3, 2)), np.ones(3), "single_label", "one-hot rows"),
        ("ridge", np.ones((3, 2)), np.ones((2, 2)), "single_label", r"targets \[2, 2\]"),
        ("ridge", np.ones((0, 2)), np.ones((0, 2)), "single_label", "n > 0"),
        ("ridge", np.full((3, 2), np.nan), np.ones((3, 2)), "single_label", "finite"),
        ("prototypes", np.ones((3, 2)), np.ones((3, 2)), "multi_label", "Use ridge"),
        ("cosine", np.ones((3, 2)), np.ones((3, 2)), "regression", "Use ridge"),
        ("logistic", np.ones((3, 2)), np.ones((3, 2)), "regression", "Use ridge"),
    ],
)
def test_invalid_arguments_are_errors(name, features, targets, problem_type, message):
    with pytest.raises(UserError, match=message):
        SOLVERS[name](features, targets, problem_type=problem_type)


def test_unknown_solver_is_an_error_with_the_nearest_name():
    with pytest.raises(UserError, match="prototypes"):
        SOLVERS["prototype"]
