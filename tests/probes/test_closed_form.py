"""Closed forms against scikit-learn, by refitting without an example, and at their edges."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import NearestCentroid

from tftransfer.core.problem_types import ProblemType
from tftransfer.metrics.probabilities import softmax
from tftransfer.probes import closed_form
from tftransfer.probes.closed_form import ABSENT, SOLVERS
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


def centred(logits):
    return logits - logits.mean(axis=1, keepdims=True)


def deviations(x, prior=100):
    variance = x.var(axis=0)
    return np.sqrt((len(x) * variance + prior * variance.mean()) / (len(x) + prior))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_prototypes_are_minus_squared_distances(shape):
    x, y, labels = clusters(*shape)
    new = clusters(*shape, seed=1)[0]
    got = logits_of(closed_form.prototypes(x, y, scale=0.5), new)
    means = np.stack([x[labels == c].mean(axis=0) for c in range(3)])
    distances = ((new[:, None] - means) ** 2).sum(axis=2)
    np.testing.assert_allclose(centred(got), centred(-0.5 * distances), atol=1e-3)
    expected = NearestCentroid().fit(x, labels).predict(new)
    assert (got.argmax(axis=1) == expected).all()
    calibrated = logits_of(closed_form.prototypes(x, y), new)
    assert (calibrated.argmax(axis=1) == expected).all()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_cosine_is_the_cosine_to_the_mean_of_unit_features(shape):
    x, y, labels = clusters(*shape)
    got = logits_of(closed_form.cosine(x, y, scale=4.0), unit(x))
    means = unit(np.stack([unit(x)[labels == c].mean(axis=0) for c in range(3)]))
    np.testing.assert_allclose(got, 4 * unit(x) @ means.T, atol=1e-5)
    again = closed_form.cosine(unit(x), y, scale=4.0)[0]
    np.testing.assert_allclose(again, closed_form.cosine(x, y, scale=4.0)[0], atol=1e-6)


@pytest.mark.parametrize("strength", [0.1, 10.0, 1000.0])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_ridge_is_scikit_learns(shape, strength):
    x, y, _ = clusters(*shape)
    got = logits_of(closed_form.ridge(x, y, strength=strength, temperature=1.0), x)
    expected = Ridge(alpha=strength).fit(x.astype(np.float64), y).predict(x)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    values = np.stack([x[:, 0] * 5 - 7, x[:, 1] ** 2], axis=1)
    got = logits_of(closed_form.ridge(x, values, problem_type="regression", strength=strength), x)
    expected = Ridge(alpha=strength).fit(x.astype(np.float64), values).predict(x)
    np.testing.assert_allclose(got, expected, atol=1e-3)


@pytest.mark.parametrize("strength", [None, 1.0, 100.0])
def test_the_dual_form_is_the_primal(strength):
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
def test_the_row_space_loses_nothing(shape):
    x = np.random.default_rng(0).normal(size=shape)
    x[:, 3] = x[:, 4]
    coordinates, basis, squares = closed_form.row_space(x)
    np.testing.assert_allclose(coordinates @ basis.T, x, atol=1e-9)
    np.testing.assert_allclose(basis.T @ basis, np.eye(len(squares)), atol=1e-9)
    singular = np.linalg.svd(x, compute_uv=False)[: len(squares)]
    np.testing.assert_allclose(np.sort(squares), np.sort(singular**2), atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("problem_type", ["single_label", "regression"])
def test_ridge_takes_the_strength_with_the_least_leave_one_out_error(shape, problem_type):
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
def test_logistic_is_scikit_learns_on_scaled_features(shape, classes, strength):
    x, y, labels = clusters(*shape, k=classes)
    scaled = (x - x.mean(axis=0, dtype=np.float64)) / deviations(x.astype(np.float64))
    model = LogisticRegression(C=1 / strength, tol=1e-9, max_iter=10_000).fit(scaled, labels)
    got = softmax(logits_of(closed_form.logistic(x, y, strength=strength), x))
    np.testing.assert_allclose(got, model.predict_proba(scaled), atol=1e-4)


def test_logistic_of_several_labels_is_one_regression_each():
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


def test_logistic_takes_the_penalty_that_generalises():
    noise = np.random.default_rng(0).normal(size=(60, 40)), np.eye(2)[np.arange(60) % 2]
    assert np.abs(logits_of(closed_form.logistic(*noise), noise[0])).max() < 0.3
    x, y, _ = clusters(apart=3.0)
    assert softmax(logits_of(closed_form.logistic(x, y), x)).max(axis=1).mean() > 0.95


@pytest.mark.parametrize("problem_type", ["single_label", "multi_label"])
def test_logistic_chooses_its_penalty_where_copies_are_not_parted(problem_type):
    """Of noise nothing generalises, but a copy on the other side looks as if it did."""
    rng = np.random.default_rng(0)
    x, y = np.repeat(rng.normal(size=(40, 60)), 3, axis=0), np.eye(2)[np.arange(120) // 3 % 2]
    copies = [str(number // 3) for number in range(120)]

    def sure(**options):
        solution = closed_form.logistic(x, y, problem_type=problem_type, **options)
        return np.abs(logits_of(solution, x)).max()

    assert sure(units=copies) < 0.3 * sure()
    np.testing.assert_allclose(sure(units=list(map(str, range(120)))), sure(), rtol=1e-6)


def test_logistic_has_its_usual_penalty_where_a_class_has_few_units():
    x, y, labels = clusters()
    expected = closed_form.logistic(x, y, strength=100.0)
    by_class = [f"speaker {label}" for label in labels]
    np.testing.assert_array_equal(closed_form.logistic(x, y, units=by_class)[0], expected[0])


def test_ridge_of_several_labels_splits_at_zero():
    x, y, _ = clusters(120, 8, apart=3.0)
    y = np.stack([y[:, 0], y[:, 1] + y[:, 2], np.zeros(120)], axis=1)
    got = logits_of(closed_form.ridge(x, y, problem_type="multi_label"), x)
    assert ((got[:, :2] > 0) == (y[:, :2] > 0)).mean() > 0.95
    assert (got[:, 2] == ABSENT).all()


@pytest.mark.parametrize("name", SOLVERS)
def test_probabilities_are_neither_vague_nor_certain(name):
    """As sure as they are right, on examples that the solver has not seen."""
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
def test_the_left_out_means_are_those_of_a_refit(name, monkeypatch):
    x, y, _ = clusters(12, 5)
    seen = {}
    monkeypatch.setattr(
        closed_form,
        "fit_temperature",
        lambda logits, *rest: seen.setdefault("logits", logits) is None or 1.0,
    )
    SOLVERS[name](x, y)
    fixed = unit(x) if name == "cosine" else x
    expected = np.empty((12, 3))
    for i in range(12):
        kept = np.arange(12) != i
        expected[i] = logits_of(SOLVERS[name](x[kept], y[kept], scale=1.0), fixed[i : i + 1])[0]
    ratio = centred(seen["logits"]) / centred(expected)
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=2e-2)


@pytest.mark.parametrize("size", [2, 6, 20], ids="{} together".format)
@pytest.mark.parametrize("name", ["prototypes", "cosine", "ridge"])
def test_the_left_out_units_are_those_of_a_refit(name, size, monkeypatch):
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
        closed_form,
        "fit_temperature",
        lambda logits, *rest: seen.setdefault("logits", logits) is None or 1.0,
    )
    SOLVERS[name](x, y, units=units, **({"strength": 3.0} if name == "ridge" else {}))
    ratio = centred(seen["logits"]) / centred(expected)
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=2e-2)


@pytest.mark.parametrize("name", SOLVERS)
def test_copies_do_not_make_noise_look_sure(name):
    rng = np.random.default_rng(0)
    x = np.repeat(unit(rng.normal(size=(60, 64))), 4, axis=0)
    y = np.eye(3)[np.repeat(rng.integers(0, 3, 60), 4)]
    new, copies = unit(rng.normal(size=(500, 64))), [str(number // 4) for number in range(240)]

    def sure(**options):
        solution = SOLVERS[name](x, y, **options)
        return softmax(logits_of(solution, new)).max(axis=1).mean()

    assert sure(units=copies) < 0.48 < 0.55 < sure()
    np.testing.assert_allclose(sure(units=list(map(str, range(240)))), sure(), rtol=1e-6)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_class_without_examples_is_never_chosen(name):
    x, y, _ = clusters(k=3)
    wide = np.insert(np.insert(y, 1, 0, axis=1), 4, 0, axis=1)
    kernel, bias = SOLVERS[name](x, wide)
    np.testing.assert_array_equal(kernel[:, [1, 4]], 0)
    np.testing.assert_array_equal(bias[[1, 4]], ABSENT)
    np.testing.assert_array_equal(kernel[:, [0, 2, 3]], SOLVERS[name](x, y)[0])
    values = softmax(logits_of((kernel, bias), unit(x)))
    assert values[:, [1, 4]].max() == 0


@pytest.mark.parametrize("name", SOLVERS)
def test_one_example_of_each_class_is_enough(name):
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
def test_constant_features_tell_nothing(name, value, shape):
    x, y = np.full(shape, value, np.float32), clusters(*shape)[1]
    values = softmax(logits_of(SOLVERS[name](x, y), x))
    np.testing.assert_allclose(values, 1 / 3, atol=1e-3)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_single_example(name):
    kernel, bias = SOLVERS[name](np.ones((1, 4)), np.array([[0.0, 1.0]]))
    assert logits_of((kernel, bias), np.ones((1, 4)))[0].argmax() == 1


@pytest.mark.parametrize("name", SOLVERS)
def test_the_same_again(name):
    x, y, _ = clusters()
    for first, second in zip(SOLVERS[name](x, y), SOLVERS[name](x, y)):
        np.testing.assert_array_equal(first, second)


def test_regression_is_not_drawn_to_a_wild_column():
    x, _, _ = clusters(200, 8)
    values = np.stack([x[:, 0], 1e4 * np.random.default_rng(0).normal(size=200)], axis=1)
    got = logits_of(closed_form.ridge(x, values, problem_type="regression"), x)
    assert ProblemType.REGRESSION.metrics(got[:, :1], values[:, :1])["r2"] > 0.5


@pytest.mark.parametrize(
    "name, features, targets, problem_type, said",
    [
        ("ridge", np.ones((3, 2)), np.ones(3), "single_label", "one-hot rows"),
        ("ridge", np.ones((3, 2)), np.ones((2, 2)), "single_label", r"targets \[2, 2\]"),
        ("ridge", np.ones((0, 2)), np.ones((0, 2)), "single_label", "n > 0"),
        ("ridge", np.full((3, 2), np.nan), np.ones((3, 2)), "single_label", "finite"),
        ("prototypes", np.ones((3, 2)), np.ones((3, 2)), "multi_label", "Take ridge"),
        ("cosine", np.ones((3, 2)), np.ones((3, 2)), "regression", "Take ridge"),
        ("logistic", np.ones((3, 2)), np.ones((3, 2)), "regression", "Take ridge"),
    ],
)
def test_what_does_not_fit_is_refused(name, features, targets, problem_type, said):
    with pytest.raises(UserError, match=said):
        SOLVERS[name](features, targets, problem_type=problem_type)


def test_an_unknown_name_gives_the_nearest():
    with pytest.raises(UserError, match="prototypes"):
        SOLVERS["prototype"]
