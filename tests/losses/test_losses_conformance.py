"""Properties of every function in `functional`, by one table of all of them."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
import tensorflow as tf

from tftransfer.losses import functional as F

RNG = np.random.default_rng(1)
N, D, K = 6, 5, 4
X, Y = (RNG.normal(size=(N, D)).astype(np.float32) for _ in range(2))
Z, T = ((2 * RNG.normal(size=(N, K))).astype(np.float32) for _ in range(2))
MAPS, OTHER_MAPS = (RNG.normal(size=(N, 2, 3, D)).astype(np.float32) for _ in range(2))
P = np.full((N, K), 1 / K, np.float32)
CENTERS = RNG.normal(size=(K, D)).astype(np.float32)
LABEL = np.eye(K, dtype=np.float32)[[0, 1, 2, 1, 0, 3]]
VALUES = RNG.random(N).astype(np.float32)
W = np.float32([1, 1, 1, 1, 1, 0])
TASKS = np.float32([0.5, 1, 2])


@dataclass(frozen=True, kw_only=True)
class Case:
    """A function, its arguments, and how many of the first ones may have any value."""

    function: object
    args: tuple
    free: int
    shape: tuple
    weights: int = 0
    batched: bool = True


CASES = {
    "batch_spectral_shrinkage": Case(
        function=lambda x, w: F.batch_spectral_shrinkage(x, 2, w),
        args=(X, W),
        free=1,
        shape=(),
        weights=1,
    ),
    "binary_cross_entropy": Case(
        function=F.binary_cross_entropy, args=(Z, LABEL), free=1, shape=(N,)
    ),
    "binary_distillation": Case(
        function=lambda z, t: F.binary_distillation(z, t, 2.0), args=(Z, T), free=2, shape=(N,)
    ),
    "certainty_weight": Case(function=F.certainty_weight, args=(Z,), free=1, shape=(N,)),
    "confident_cross_entropy": Case(
        function=lambda z, t: F.confident_cross_entropy(z, t, 0.6), args=(Z, T), free=2, shape=(N,)
    ),
    "coral": Case(function=F.coral, args=(X, Y, W, W), free=2, shape=(), weights=2),
    "cosine_distance": Case(
        function=F.cosine_distance, args=(MAPS, OTHER_MAPS), free=2, shape=(N,)
    ),
    "cosine_logits": Case(
        function=lambda x, c: F.cosine_logits(x, c, 10.0), args=(X, CENTERS), free=2, shape=(N, K)
    ),
    "cosine_pairs": Case(
        function=F.cosine_pairs, args=(X, LABEL, W), free=1, shape=(N,), weights=1
    ),
    "cross_entropy": Case(
        function=lambda z, y: F.cross_entropy(z, y, 0.1), args=(Z, LABEL), free=1, shape=(N,)
    ),
    "delta": Case(function=F.delta, args=(MAPS, OTHER_MAPS), free=2, shape=(N,)),
    "distillation": Case(
        function=lambda z, t: F.distillation(z, t, 2.0), args=(Z, T), free=2, shape=(N,)
    ),
    "domain_cross_entropy": Case(
        function=F.domain_cross_entropy, args=(X[:, :1], W), free=1, shape=(N,)
    ),
    "entropy": Case(function=F.entropy, args=(Z,), free=1, shape=(N,)),
    "example_weights": Case(
        function=F.example_weights,
        args=(LABEL, np.float32([1, 2, 3, 4])),
        free=2,
        shape=(N,),
        batched=False,
    ),
    "gaussian_kl": Case(function=F.gaussian_kl, args=(X, Y), free=2, shape=(N,)),
    "gradnorm": Case(
        function=lambda a, b, g: F.gradnorm(a, b, g, 1.5),
        args=(TASKS, TASKS[::-1], TASKS**2),
        free=3,
        shape=(),
        batched=False,
    ),
    "l2_sp": Case(
        function=lambda w, w0: F.l2_sp([(w, w0)]), args=(X, Y), free=2, shape=(), batched=False
    ),
    "linear_gradient_norm": Case(
        function=lambda z, y, w: F.linear_gradient_norm(z, y, w, CENTERS.T),
        args=(Z, LABEL, W),
        free=1,
        shape=(),
        weights=1,
    ),
    "linear_mmd": Case(function=F.linear_mmd, args=(X, Y, W, W), free=2, shape=(), weights=2),
    "mmd": Case(function=F.mmd, args=(X, Y, W, W), free=2, shape=(), weights=2),
    "multilinear_map": Case(function=F.multilinear_map, args=(X, P), free=2, shape=(N, D * K)),
    "negative_cosine": Case(function=F.negative_cosine, args=(X, Y), free=2, shape=(N,)),
    "nt_xent": Case(
        function=lambda a, b, w: F.nt_xent(a, b, 0.1, w),
        args=(X, Y, W),
        free=2,
        shape=(N,),
        weights=1,
    ),
    "prototype_logits": Case(function=F.prototype_logits, args=(X, CENTERS), free=2, shape=(N, K)),
    "prototypes": Case(function=F.prototypes, args=(X, LABEL, W), free=1, shape=(K, D), weights=1),
    "prototypical": Case(
        function=lambda x, y, w: F.prototypical(x, y, 0.2, w),
        args=(X, LABEL, W),
        free=1,
        shape=(N,),
        weights=1,
    ),
    "squared_error": Case(function=F.squared_error, args=(MAPS, OTHER_MAPS), free=2, shape=(N,)),
    "supervised_contrastive": Case(
        function=lambda x, y, w: F.supervised_contrastive(x, y, 0.1, w),
        args=(X, LABEL, W),
        free=1,
        shape=(N,),
        weights=1,
    ),
    "uncertainty_weighted": Case(
        function=F.uncertainty_weighted,
        args=(np.float32(2), np.float32(0.3)),
        free=2,
        shape=(),
        batched=False,
    ),
    "weighted_mean": Case(function=F.weighted_mean, args=(VALUES, W), free=1, shape=(), weights=1),
}
EXTREMES = {
    "zeros": lambda like: np.zeros_like(like),
    "ones": lambda like: np.ones_like(like),
    "high": lambda like: np.full_like(like, 1e4),
    "low": lambda like: np.full_like(like, -1e4),
    "mixed": lambda like: np.where(np.arange(like.size) % 2, 1e4, -1e4).reshape(like.shape),
    "tiny": lambda like: 1e-7 * np.ones_like(like),
    "itself": lambda like: like,
}
table = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def run(case, args, jit=False, signature=None):
    """The value, and the gradients of a sum of it and its squares by the free arguments."""

    def both(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors[: case.free])
            value = case.function(*tensors)
            total = tf.reduce_sum(value) + tf.reduce_sum(0.01 * value**2)
        none = tf.UnconnectedGradients.ZERO
        return value, *tape.gradient(total, tensors[: case.free], unconnected_gradients=none)

    tensors = [tf.convert_to_tensor(arg) for arg in args]
    function = tf.function(both, jit_compile=True, input_signature=signature) if jit else both
    return [np.asarray(part) for part in function(*tensors)]


def test_table_contains_every_function():
    assert sorted(CASES) == F.__all__


@table
def test_functions_return_float32_of_the_expected_shape(case):
    value = case.function(*map(tf.constant, case.args))
    assert value.dtype == tf.float32
    assert value.shape == case.shape


@table
@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_functions_of_half_precision_are_computed_in_float32(case, dtype):
    half = [tf.cast(arg, dtype) for arg in case.args]
    got = case.function(*half)
    assert got.dtype == tf.float32
    whole = case.function(*[tf.cast(arg, tf.float32) for arg in half])
    np.testing.assert_array_equal(got, whole)


@table
def test_functions_at_extremes_have_finite_values_and_gradients(case):
    kept = case.args[case.free :]
    no_weight = kept[: len(kept) - case.weights] + (np.zeros_like(W),) * case.weights
    for names in product(EXTREMES, repeat=case.free):
        free = [
            EXTREMES[name](np.asarray(arg)).astype(np.float32)
            for name, arg in zip(names, case.args)
        ]
        for rest in (kept, no_weight):
            for part in run(case, (*free, *rest)):
                assert np.isfinite(part).all(), (names, rest)


@table
@pytest.mark.parametrize("batch", ["static", "unknown"])
def test_functions_under_xla_equal_eager_execution(case, batch):
    unknown = batch == "unknown" and case.batched
    signature = [
        tf.TensorSpec((None, *np.shape(arg)[1:]) if unknown else np.shape(arg), tf.float32)
        for arg in case.args
    ]
    for ours, theirs in zip(run(case, case.args, True, signature), run(case, case.args)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.weights])
@pytest.mark.parametrize("padding", [0, 1e4, 1e30, np.nan])
def test_functions_ignore_rows_of_weight_zero(name, padding):
    case = CASES[name]
    padded = [np.concatenate([arg, np.full_like(arg[:2], padding)]) for arg in case.args]
    for place in range(len(case.args) - case.weights, len(case.args)):
        padded[place][N:] = 0
    value, *gradients = run(case, padded)
    expected, *expected_gradients = run(case, case.args)
    per_row = case.shape == (N,)
    np.testing.assert_allclose(value[:N] if per_row else value, expected, rtol=1e-5, atol=1e-6)
    if per_row:
        np.testing.assert_array_equal(value[N:], 0)
    for got, wanted in zip(gradients, expected_gradients):
        np.testing.assert_allclose(got[:N], wanted, rtol=1e-3, atol=1e-5)
        np.testing.assert_array_equal(got[N:], 0)
        np.testing.assert_array_equal(got[N - 1], 0)
