"""One step of each adversarial method, and CORAL, compared with the library adapt."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer import losses
from tftransfer.training.train_step import StepTensors

pytestmark = pytest.mark.slow
feature_based = pytest.importorskip("adapt.feature_based", reason="adapt is not installed")

ROWS, WIDTH, CLASSES, RATE = 16, 4, 3, 0.1
RNG = np.random.default_rng(3)
SOURCE, TARGET = (
    RNG.normal(size=(ROWS, WIDTH)).astype("float32"),
    (0.5 + 1.5 * RNG.normal(size=(ROWS, WIDTH))).astype("float32"),
)
LABELS = np.eye(CLASSES, dtype="float32")[RNG.integers(0, CLASSES, ROWS)]
# Small, because adapt adds 1e-6 to a probability before its logarithm.
ENCODER = 0.3 * RNG.normal(size=(WIDTH, WIDTH)).astype("float32")
TASK = 0.3 * RNG.normal(size=(WIDTH, CLASSES)).astype("float32")


def linear(kernel, **options):
    layer = keras.layers.Dense(kernel.shape[1], use_bias=False, **options)
    model = keras.Sequential([keras.Input((kernel.shape[0],)), layer])
    layer.kernel.assign(kernel)
    return model


def theirs(method, discriminator, **options):
    """Kernels of encoder and discriminator after one step by adapt."""
    method = getattr(feature_based, method)
    networks = {"encoder": linear(ENCODER), "task": linear(TASK, activation="softmax")}
    if discriminator is not None:
        networks["discriminator"] = linear(discriminator, activation="sigmoid")
    for name in ("optimizer", "optimizer_enc", "optimizer_disc"):
        networks[name] = keras.optimizers.SGD(RATE)
    model = method(
        **networks, Xt=TARGET, loss="categorical_crossentropy", verbose=0, random_state=0, **options
    )
    model.fit(SOURCE, LABELS, epochs=1, batch_size=ROWS)
    found = [model.encoder_.get_weights()[0]]
    return found + ([model.discriminator_.get_weights()[0]] if discriminator is not None else [])


def ours(loss, discriminator, *, task=True):
    """The same kernels after one step by our loss; the discriminator has the opposite sign.

    With us a discriminator's score is above 0 for the target, with adapt for the source.
    """
    encoder, head = tf.Variable(ENCODER), tf.Variable(discriminator)

    def apply_head(name, tensor, *, frozen=False):
        return tensor @ (tf.stop_gradient(head) if frozen else tf.convert_to_tensor(head))

    with tf.GradientTape() as tape:
        values = {}
        for stream, rows in (("train", SOURCE), ("target", TARGET)):
            features = rows @ encoder
            values |= {
                f"{stream}.features": features,
                f"{stream}.weight": tf.ones(ROWS),
                f"{stream}.logits": features @ TASK,
            }
        # Without an earlier phase, the features of adapt are the rows of the source.
        values["train.reference.features"] = tf.constant(SOURCE)
        values["train.reference.weight"] = tf.ones(ROWS)
        total = loss(StepTensors(values, None, apply_head, 1.0))
        if task:
            total += tf.reduce_mean(
                tf.nn.softmax_cross_entropy_with_logits(LABELS, values["train.logits"])
            )
    gradients = tape.gradient(total, (encoder, head), unconnected_gradients="zero")
    for variable, gradient in zip((encoder, head), gradients):
        variable.assign_sub(RATE * gradient)
    return encoder.numpy(), -head.numpy()


@pytest.fixture(scope="module")
def discriminator():
    return 0.3 * RNG.normal(size=(WIDTH, 1)).astype("float32")


def test_dann_step_equals_adapt(discriminator):
    loss = losses.Domain(reversal=0.7, reversal_ramp=0.0)
    got = ours(lambda tensors: 2.0 * loss(tensors), -discriminator)
    for one, other in zip(got, theirs("DANN", discriminator, lambda_=0.7)):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_adda_step_equals_adapt(discriminator):
    loss = losses.Domain(
        source="train.reference.features", target="target.features", objective="inverted_labels"
    )
    encoder, head = ours(loss, -discriminator, task=False)
    their_encoder, their_head = theirs("ADDA", discriminator, pretrain=False)
    # The inverted loss has the same weight; our discriminator loss is a mean, theirs a sum.
    np.testing.assert_allclose(encoder, their_encoder, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        2 * (head - discriminator), their_head - discriminator, rtol=1e-3, atol=1e-5
    )


def test_cdan_step_equals_adapt():
    discriminator = 0.3 * RNG.normal(size=(WIDTH * CLASSES, 1)).astype("float32")
    loss = losses.Domain(conditioned_on="logits", reversal=0.7, reversal_ramp=0.0)
    got = ours(lambda tensors: 2.0 * loss(tensors), -discriminator)
    found = theirs("CDAN", discriminator, lambda_=0.7, entropy=False, max_features=10**6)
    np.testing.assert_allclose(got[1], found[1], rtol=1e-4, atol=1e-5)


def test_coral_equals_adapt():
    loss = losses.CORAL(ramp=0.0)
    got, _ = ours(lambda tensors: 3.0 * loss(tensors), np.zeros((WIDTH, 1), "float32"), task=False)
    (found,) = theirs("DeepCORAL", None, lambda_=3.0)
    np.testing.assert_allclose(got, found, rtol=1e-4, atol=1e-5)
