"""What benchmarks choose by training data alone."""

import tftransfer
from tftransfer.planning.plan import make_plan
from tftransfer.probes.layer_probes import pooled_layer_features, probe_layers


def best_layer(fields, seed):
    """The stage whose linear probe is best, cross-validated on all but the test split.

    Args:
      fields: of an experiment; where they group the examples, no fold parts a group.
      seed: of the experiment and the folds.
    """
    plan = make_plan(tftransfer.Experiment(**fields, seed=seed))
    found = probe_layers(pooled_layer_features(plan.network, plan.examples), plan.examples, seed)
    return max(found, key=found.get)


def best_by_validation(tried):
    """The run of the best accuracy on the validation split; the seconds are of all.

    Args:
      tried: runs with `validation` and `seconds`.
    """
    best = max(tried, key=lambda run: run["validation"] or 0.0)
    return {**best, "seconds": sum(run["seconds"] for run in tried)}
