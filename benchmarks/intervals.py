"""Measures how often 95 % intervals contain the true value, from 10 to 2,000 examples.

    python benchmarks/intervals.py

Draws right and wrong predictions with a known accuracy (independent, copied, or in groups whose
members depend on each other) and losses with a known mean, and counts how often the interval
contains it. Prints a table and writes `benchmarks/results/intervals.json`.
"""

import sys

import numpy as np
from absl import app, flags
from results import write_results
from scipy import stats

from tftransfer.metrics.intervals import effective_count, mean_interval, proportion_interval

FLAGS = flags.FLAGS
flags.DEFINE_list("counts", ["10", "20", "29", "30", "50", "100", "200", "500", "2000"], "examples")
flags.DEFINE_integer("draws", 20_000, "draws for each number of examples, of accuracies in turn")
flags.DEFINE_integer("loss_draws", 1000, "draws of losses for each number of examples")

ACCURACIES = np.linspace(0.5, 1.0, 101)
# Of the answers of a group; 0 is independent, 1 is copies.
CORRELATION = 0.3
GROUP = 10
MEAN_DRAWS = 2_000_000


def independent(rng, count):
    """Whether each of the draws is covered, and the exact coverage of the worst accuracy."""
    ends = np.array([proportion_interval(k / count, count) for k in range(count + 1)])

    def covers(right, accuracy):
        return (ends[right, 0] <= accuracy) & (accuracy <= ends[right, 1])

    accuracies = np.resize(ACCURACIES, FLAGS.draws)
    right = np.arange(count + 1)
    exact = [stats.binom.pmf(right, count, p) @ covers(right, p) for p in ACCURACIES]
    return covers(rng.binomial(count, accuracies), accuracies), min(exact)


def grouped(rng, count):
    """Draws of answers in groups of ten, each with its own accuracy (beta-binomial)."""
    units = np.arange(count) // GROUP
    spread = 1 / CORRELATION - 1
    accuracies = np.resize(ACCURACIES[:-1], FLAGS.draws // 10)
    covered = []
    for accuracy in accuracies:
        own = rng.beta(accuracy * spread, (1 - accuracy) * spread, units[-1] + 1)
        values = rng.random(count) < own[units]
        low, high = proportion_interval(values.mean(), effective_count(values, units))
        covered.append(low <= accuracy <= high)
    return np.array(covered)


def losses(rng, count):
    """Log losses of predictions that are right as often as their probability."""
    certainty = 1 / (1 + np.exp(-rng.normal(1.5, 2.0, count)))
    right = rng.random(count) < certainty
    return -np.log(np.where(right, certainty, 1 - certainty))


def covered_losses(rng, count):
    """Whether the interval of each draw contains the mean log loss."""
    mean = losses(np.random.default_rng(0), MEAN_DRAWS).mean()
    ends = [mean_interval(losses(rng, count), seed=k) for k in range(FLAGS.loss_draws)]
    return np.array([low <= mean <= high for low, high in ends])


def measure(count):
    """The coverage for a number of examples: of accuracies, of the worst one, and of losses."""
    rng = np.random.default_rng(count)
    covered, lowest = independent(rng, count)
    found = {
        "examples": count,
        "accuracy": float(covered.mean()),
        "accuracy, worst": float(lowest),
        "log loss": float(covered_losses(rng, count).mean()),
    }
    if count >= 5 * GROUP:
        found["accuracy, groups of 10"] = float(grouped(rng, count).mean())
    return found


def main(_):
    rows = []
    for count in map(int, FLAGS.counts):
        rows.append(measure(count))
        print(*(f"{name} {value:.3f}" for name, value in rows[-1].items()), sep="  ", flush=True)
    write_results("intervals", {"coverage of the 95 % intervals": rows}, sys.argv)


if __name__ == "__main__":
    app.run(main)
