"""Whether a meta-learner serves classes of few examples better than prototypes on what we have.

    python benchmarks/meta_learning.py --digits=digits --seeds=5

A small network sees the digits 0 to 4 of MNIST (`digits` holds mnist_10k.npz); episodes are of the
digits 5 to 9, which nothing has seen: 5 classes, 1 or 5 examples each. Compared are the closed-form
heads on frozen features of a network trained as usual, and of one trained on by `episodic`; and the
training of all weights and a new head in each episode, from the network trained as usual and from
what Reptile (Nichol et al., 2018), a first-order meta-learner, makes of it. Its statistics of
BatchNorm are those of the queries, as published, which is more than the closed forms know. Prints a
table, and writes `benchmarks/results/meta_learning.json`.
"""

import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from results import runs_of, table_of_ways

import tftransfer
from tftransfer.evaluation import few_shot_episodes

FLAGS = flags.FLAGS
flags.DEFINE_string("digits", None, "folder of mnist_10k.npz", required=True)
flags.DEFINE_string("only", "", "run only lines whose name has this regular expression")
flags.DEFINE_integer("seeds", 5, "runs of each way")
flags.DEFINE_boolean("again", False, "run seeds that are there already")
flags.DEFINE_integer("episodes", 200, "of the classes that nothing has seen")

LINE = "digits that nothing has seen"
_WAYS, _QUERIES, _BASE = 5, 15, 2000
_META_STEPS, _INNER_STEPS, _INNER_RATE, _TEST_STEPS = 1000, 8, 0.05, 32


def images(part, classes):
    """Pictures [n, 28, 28] and labels of some classes."""
    with np.load(Path(FLAGS.digits, "mnist_10k.npz")) as stored:
        x, y = stored[f"x_{part}"], stored[f"y_{part}"]
    some = np.isin(y, classes)
    return x[some], y[some]


def network_of(run):
    """The stages of a run, as they are."""
    return tftransfer.load(run.workdir).network


def as_input(x):
    """As the network takes them."""
    return np.repeat(x[..., None], 3, axis=-1).astype(np.float32)


def closed_form(network, x, y, seed):
    """Method and shots to accuracy, on frozen features."""
    found = [
        network.predict(as_input(x[at : at + 256]))["features"] for at in range(0, len(x), 256)
    ]
    rows = few_shot_episodes.episodes(
        np.concatenate(found), y, queries=_QUERIES, episodes=FLAGS.episodes, seed=seed
    )
    return {f"{row['method']}, {row['shots']}-shot": row["accuracy"] for row in rows}


class Reptile:
    """A network whose weights are a good place to start from."""

    def __init__(self, backbone, seed):
        keras.utils.set_random_seed(seed)
        features = keras.layers.GlobalAveragePooling2D()(backbone.outputs[0])
        self.model = keras.Model(backbone.inputs, keras.layers.Dense(_WAYS)(features))
        self.rng = np.random.default_rng(seed)
        # A head is a new one in each episode; statistics are those of the batch.
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

    def weights(self):
        """Of all that trains."""
        return [variable.numpy() for variable in self.variables]

    def put(self, weights):
        """Weights as they were."""
        for variable, value in zip(self.variables, weights):
            variable.assign(value)

    def learn(self, x, y, steps):
        """Some steps on an episode's support, from a head of zeros."""
        for head in self.variables[-2:]:
            head.assign(np.zeros(head.shape, np.float32))
        rate = tf.constant(_INNER_RATE)
        for _ in range(steps):
            some = self.rng.choice(len(x), min(len(x), 25), replace=False)
            self.step(tf.constant(x[some]), tf.constant(y[some]), rate)

    def train(self, x, y):
        """Reptile: after each episode a part of the way that it went."""
        for step in range(_META_STEPS):
            before = self.weights()
            support, labels, _, _ = episode(x, y, 10, 0, self.rng)
            self.learn(as_input(support), labels, _INNER_STEPS)
            share = 1 - step / _META_STEPS
            self.put([w + share * (now - w) for w, now in zip(before, self.weights())])

    def accuracies(self, way, x, y, seed):
        """Way and figure to accuracy."""
        return {f"{way}: all weights, {k}-shot": self.accuracy(x, y, k, seed) for k in (1, 5)}

    def accuracy(self, x, y, shots, seed):
        """On classes that it has not seen; statistics of the batch of queries, as published."""
        start, rng, found = self.weights(), np.random.default_rng(seed), []
        for _ in range(FLAGS.episodes):
            support, labels, query, truth = episode(x, y, shots, _QUERIES, rng)
            self.learn(as_input(support), labels, _TEST_STEPS)
            said = self.model(as_input(query), training=True).numpy().argmax(axis=1)
            found.append(np.mean(said == truth))
            self.put(start)
        return float(np.mean(found))


def episode(x, y, shots, queries, rng):
    """Support and queries of all classes, which are numbered anew."""
    order = rng.permutation(np.unique(y))[:_WAYS]
    places = [rng.choice(np.flatnonzero(y == c), shots + queries, replace=False) for c in order]
    support = np.concatenate([place[:shots] for place in places])
    query = np.concatenate([place[shots:] for place in places])
    number = {c: k for k, c in enumerate(order)}
    labels, truth = ([number[c] for c in y[some]] for some in (support, query))
    return x[support], np.array(labels, np.int32), x[query], np.array(truth, np.int32)


def run_seed(seed):
    """Way and figure to accuracy."""
    with tempfile.TemporaryDirectory() as folder:
        found = _run_seed(seed, Path(folder))
    keras.backend.clear_session()
    return found


def _run_seed(seed, folder):
    x, y = images("train", range(5))
    some = np.random.default_rng(seed).permutation(len(x))[:_BASE]
    data, new = (x[some], y[some]), images("test", range(5, 10))
    fields = {"data": data, "image_size": 28, "batch_size": 64, "seed": seed}
    usual = tftransfer.train(
        tftransfer.Experiment(
            **fields, backbone="small_cnn", weights="none", recipe="scratch:augment=none,epochs=20"
        ),
        folder / "usual",
        export=False,
    )
    recipe = "few_shot:solve=prototypes+episodic:episodic_rate=1e-3"
    episodic = tftransfer.train(
        tftransfer.Experiment(**fields, backbone=str(usual.workdir), recipe=recipe),
        folder / "episodic",
        export=False,
    )
    found = {}
    for name, run in (("trained as usual", usual), ("trained on by episodes", episodic)):
        for figure, accuracy in closed_form(network_of(run), *new, seed).items():
            found[f"{name}: {figure}"] = accuracy
    reptile = Reptile(network_of(usual).backbone.model, seed)
    found |= reptile.accuracies("trained as usual", *new, seed)
    reptile.train(*data)
    return found | reptile.accuracies("Reptile", *new, seed)


def main(argv):
    del argv
    runs_of(
        "meta_learning", LINE, run_seed, FLAGS, lambda runs: "\n".join(["", *table_of_ways(runs)])
    )


if __name__ == "__main__":
    app.run(main)
