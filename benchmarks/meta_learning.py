"""Compares a meta-learner with closed-form heads on classes of few examples.

    python benchmarks/meta_learning.py --digits=digits --seeds=5

A small network is trained on the digits 0 to 4 of MNIST (`digits` holds mnist_10k.npz); episodes
use the unseen digits 5 to 9: 5 classes, 1 or 5 examples each. Compared are the closed-form heads on
frozen features after standard and after episodic training, and the training of all weights with a
new head in each episode, from the standard network and from what Reptile (Nichol et al., 2018), a
first-order meta-learner, makes of it. Reptile's BatchNorm uses the statistics of the queries, as
published; the closed forms do not have them. Prints a table and writes
`benchmarks/results/meta_learning.json`.
"""

import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from results import run_missing_seeds, table_of_shots

import tftransfer
from tftransfer.evaluation import few_shot_episodes

FLAGS = flags.FLAGS
flags.DEFINE_string("digits", None, "folder of mnist_10k.npz", required=True)
flags.DEFINE_string("only", "", "run only the rows whose name matches this regular expression")
flags.DEFINE_integer("seeds", 5, "runs")
flags.DEFINE_boolean("again", False, "run seeds that are stored already")
flags.DEFINE_integer("episodes", 200, "episodes of unseen classes")

ROW = "digits of unseen classes"
_WAYS = 5
_QUERIES = 15
_TRAINING_EXAMPLES = 2000
_META_STEPS = 1000
_INNER_STEPS = 8
_INNER_RATE = 0.05
_TEST_STEPS = 32


def images_of(split, classes):
    """Images [n, 28, 28] and labels of some classes."""
    with np.load(Path(FLAGS.digits, "mnist_10k.npz")) as stored:
        x, y = stored[f"x_{split}"], stored[f"y_{split}"]
    chosen = np.isin(y, classes)
    return x[chosen], y[chosen]


def network_of(run):
    """The network of a run."""
    return tftransfer.load(run.workdir).trained_model.network


def as_input(x):
    """Images as the network takes them, float32 [n, 28, 28, 3]."""
    return np.repeat(x[..., None], 3, axis=-1).astype(np.float32)


def closed_form(network, x, y, seed):
    """Method and shots to accuracy, on frozen features."""
    features = [
        network.predict(as_input(x[start : start + 256]))["features"]
        for start in range(0, len(x), 256)
    ]
    rows = few_shot_episodes.episodes(
        np.concatenate(features), y, queries=_QUERIES, count=FLAGS.episodes, seed=seed
    )
    return {f"{row['method']}, {row['shots']}-shot": row["accuracy"] for row in rows}


class Reptile:
    """A network whose weights are trained to be a good starting point."""

    def __init__(self, backbone, seed):
        keras.utils.set_random_seed(seed)
        features = keras.layers.GlobalAveragePooling2D()(backbone.outputs[0])
        self.model = keras.Model(backbone.inputs, keras.layers.Dense(_WAYS)(features))
        self.rng = np.random.default_rng(seed)
        # The head starts from zeros in each episode; statistics are those of the batch.
        self.variables = self.model.trainable_variables
        self.step = tf.function(self._step)

    def _step(self, x, y, rate):
        with tf.GradientTape() as tape:
            logits = self.model(x, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
        values = [variable.value for variable in self.variables]
        for value, gradient in zip(values, tape.gradient(loss, values)):
            value.assign_sub(rate * gradient)
        return logits

    def get_weights(self):
        """Values of all trainable variables."""
        return [variable.numpy() for variable in self.variables]

    def set_weights(self, weights):
        """Assigns values to all trainable variables."""
        for variable, value in zip(self.variables, weights):
            variable.assign(value)

    def adapt(self, x, y, steps):
        """Takes some steps on the support of an episode, with a head that starts from zeros."""
        for head in self.variables[-2:]:
            head.assign(np.zeros(head.shape, np.float32))
        rate = tf.constant(_INNER_RATE)
        for _ in range(steps):
            batch = self.rng.choice(len(x), min(len(x), 25), replace=False)
            self.step(tf.constant(x[batch]), tf.constant(y[batch]), rate)

    def train(self, x, y):
        """Reptile: after each episode, moves by a fraction towards the adapted weights."""
        for step in range(_META_STEPS):
            before = self.get_weights()
            support, labels, _, _ = episode(x, y, 10, 0, self.rng)
            self.adapt(as_input(support), labels, _INNER_STEPS)
            share = 1 - step / _META_STEPS
            pairs = zip(before, self.get_weights())
            self.set_weights([w + share * (adapted - w) for w, adapted in pairs])

    def accuracies(self, name, x, y, seed):
        """Method and shots to accuracy."""
        return {f"{name}: all weights, {k}-shot": self.accuracy(x, y, k, seed) for k in (1, 5)}

    def accuracy(self, x, y, shots, seed):
        """Mean accuracy over episodes, with the statistics of the queries, as published."""
        start, rng, accuracies = self.get_weights(), np.random.default_rng(seed), []
        for _ in range(FLAGS.episodes):
            support, labels, query, truth = episode(x, y, shots, _QUERIES, rng)
            self.adapt(as_input(support), labels, _TEST_STEPS)
            predicted = self.model(as_input(query), training=True).numpy().argmax(axis=1)
            accuracies.append(np.mean(predicted == truth))
            self.set_weights(start)
        return float(np.mean(accuracies))


def episode(x, y, shots, queries, rng):
    """Support, labels, queries and their labels; the classes are numbered in random order."""
    order = rng.permutation(np.unique(y))[:_WAYS]
    drawn = [rng.choice(np.flatnonzero(y == c), shots + queries, replace=False) for c in order]
    support = np.concatenate([indices[:shots] for indices in drawn])
    query = np.concatenate([indices[shots:] for indices in drawn])
    number = {c: k for k, c in enumerate(order)}
    labels, truth = ([number[c] for c in y[indices]] for indices in (support, query))
    return x[support], np.array(labels, np.int32), x[query], np.array(truth, np.int32)


def run_seed(seed):
    """Method and shots to accuracy."""
    with tempfile.TemporaryDirectory() as folder:
        accuracies = _run_seed(seed, Path(folder))
    keras.backend.clear_session()
    return accuracies


def _run_seed(seed, folder):
    x, y = images_of("train", range(5))
    subset = np.random.default_rng(seed).permutation(len(x))[:_TRAINING_EXAMPLES]
    data, unseen = (x[subset], y[subset]), images_of("test", range(5, 10))
    fields = {"data": data, "image_size": 28, "batch_size": 64, "seed": seed}
    standard = tftransfer.train(
        tftransfer.Experiment(
            **fields, backbone="small_cnn", weights="none", recipe="scratch:augment=none,epochs=20"
        ),
        folder / "standard",
        export=False,
    )
    recipe = "few_shot:solve=prototypes+episodic:episodic_rate=1e-3"
    episodic = tftransfer.train(
        tftransfer.Experiment(**fields, backbone=str(standard.workdir), recipe=recipe),
        folder / "episodic",
        export=False,
    )
    accuracies = {}
    for name, run in (("standard training", standard), ("episodic training", episodic)):
        for method, accuracy in closed_form(network_of(run), *unseen, seed).items():
            accuracies[f"{name}: {method}"] = accuracy
    reptile = Reptile(network_of(standard).backbone.model, seed)
    accuracies |= reptile.accuracies("standard training", *unseen, seed)
    reptile.train(*data)
    return accuracies | reptile.accuracies("Reptile", *unseen, seed)


def main(argv):
    del argv
    run_missing_seeds(
        "meta_learning", ROW, run_seed, FLAGS, lambda runs: "\n".join(["", *table_of_shots(runs)])
    )


if __name__ == "__main__":
    app.run(main)
