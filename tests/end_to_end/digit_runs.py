"""Small data from scikit-learn's digits, and what the tests of methods measure of a run."""

import functools

import numpy as np
import pytest
from sklearn.datasets import load_digits

import tftransfer
from tftransfer.preprocessing.image.decode import decode_resized
from tftransfer.readers.encode import encode_png

SIZE = 16
# One phase that trains every stage, so that two runs differ in their method only.
WHOLE = "deep_transfer:keep=3,frozen=0,source_rate=1,augment=none,batch_norm={},epochs={}"
TUNED = WHOLE.format("frozen", 6)
slow_param = functools.partial(pytest.param, marks=pytest.mark.slow)


def digits_of(classes, start, stop):
    """Some images of each class, uint8 [n, 8, 8], and their labels as words."""
    every = load_digits()
    places = [np.flatnonzero(every.target == each)[start:stop] for each in classes]
    some = np.concatenate(places)
    return np.round(every.images[some] / 16 * 255).astype(np.uint8), every.target[some].astype(str)


def in_other_light(images):
    return (0.5 * images + 100).astype(np.uint8)


# The source network is trained on the digits 0 to 4.
NEW = digits_of(range(5, 10), 0, 60)
UNSEEN = digits_of(range(5, 10), 60, 120)
KNOWN = digits_of(range(5), 0, 60)
DARK = in_other_light(digits_of(range(5), 60, 120)[0])
DARK_TEST = digits_of(range(5), 120, 170)
DARK_TEST = in_other_light(DARK_TEST[0]), DARK_TEST[1]


def network_inputs(images):
    """The images as the network's input, float32 [n, 16, 16, 3]."""
    decoded = [decode_resized(encode_png(x, i), SIZE) for i, x in enumerate(images)]
    return np.stack(decoded).astype(np.float32)


def network_of(run):
    return tftransfer.load(run.workdir).trained_model.network


def outputs(run, images=UNSEEN[0]):
    """Outputs of a run's network, by name."""
    found = network_of(run).predict(network_inputs(images))
    return {name: value.numpy() for name, value in found.items()}


def softmax(logits):
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)


def divergence(expected, found):
    """Mean Kullback-Leibler divergence of rows of scores, in nats."""
    p, q = softmax(expected), softmax(found)
    return float((p * (np.log(p + 1e-9) - np.log(q + 1e-9))).sum(axis=1).mean())


def losses(run, phase):
    """Training loss of each epoch of a phase."""
    return [row["loss"] for row in run.metrics() if row["phase"] == phase]


def check_error(train, match, recipe, **settings):
    """Checks that training a recipe is an error of two lines."""
    with pytest.raises(tftransfer.UserError, match=match) as caught:
        train(recipe, **settings)
    assert caught.value.remedy and len(str(caught.value).splitlines()) == 2
