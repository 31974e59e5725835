"""Selections that benchmarks make on training data alone."""

import tftransfer
from tftransfer.planning.make_plan import make_plan
from tftransfer.probes.layer_probes import pooled_layer_features, probe_layers


def best_layer(fields, seed):
    """The stage with the best linear probe, cross-validated on all data but the test split.

    Args:
      fields: Fields of an experiment. If they group the examples, folds keep groups together.
      seed: Seed of the experiment and of the folds.
    """
    plan = make_plan(tftransfer.Experiment(**fields, seed=seed))
    features = pooled_layer_features(plan.network, plan.examples)
    accuracies = probe_layers(features, plan.examples, seed)
    return max(accuracies, key=accuracies.get)


def best_by_validation(runs):
    """The run with the best accuracy on the validation split, with the seconds of all runs.

    Args:
      runs: Dictionaries with `validation` and `seconds`.
    """
    best = max(runs, key=lambda run: run["validation"] or 0.0)
    return {**best, "seconds": sum(run["seconds"] for run in runs)}
