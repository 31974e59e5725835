"""Measures how many of the labels that `inspect` suspects are wrong.

    python -m pip install cleanlab
    python benchmarks/label_errors.py --data=flower_photos --weights=mobilenet_v2_no_top.h5

Gives 5 % of the examples another class at random, by a seed, and counts how many of those are among
the suspected labels: among as many labels as were changed, and among all that `inspect` lists. Next
to it are the rankings of cleanlab on the same cross-validated probabilities. Labels that were wrong
before count as false alarms; so does what is missing where fewer are listed than were changed.
Prints a table and writes `benchmarks/results/label_errors.json`.
"""

import dataclasses
import sys
from pathlib import Path

import numpy as np
from absl import app, flags
from results import interval, with_interval, write_results

from tftransfer.core.experiment import Experiment
from tftransfer.models.network import FEATURES
from tftransfer.planning.make_plan import make_plan
from tftransfer.probes.layer_probes import pooled_layer_features
from tftransfer.reports.suspected_labels import held_out_probabilities, improbable_labels

FLAGS = flags.FLAGS
flags.DEFINE_string("data", None, "folder of labeled images, in one folder per class")
flags.DEFINE_string("backbone", "mobilenet_v2:alpha=0.35", "backbone of the features")
flags.DEFINE_string("weights", None, "Keras's weight file of the backbone, without top")
flags.DEFINE_integer("image_size", 160, "size of the images, in pixels")
flags.DEFINE_float("share", 0.05, "share of the labels that are changed")
flags.DEFINE_integer("seeds", 10, "number of seeds")
flags.mark_flags_as_required(["data", "weights"])

INSPECT, AT_K = "inspect, all that it lists", "inspect, at the number changed"


def with_wrong_labels(examples, share, seed):
    """Returns the examples with some labels changed, and the indices of those."""
    rng = np.random.default_rng(seed)
    changed = rng.choice(len(examples), round(share * len(examples)), replace=False)
    labels, count = examples.labels.copy(), len(examples.classes)
    labels[changed] = (labels[changed] + rng.integers(1, count, len(changed))) % count
    return dataclasses.replace(examples, labels=labels), changed


def measure(features, examples, share, seed):
    """Precision of the suspected labels, and how many are listed, for one draw of wrong labels."""
    noisy, changed = with_wrong_labels(examples, share, seed)
    found = held_out_probabilities(features, noisy)
    assert len(found.indices) == len(examples), "classes of fewer than five examples are not used"
    listed = [each.index for each in improbable_labels(found, noisy.classes)]
    measured = {AT_K: float(np.isin(listed[: len(changed)], changed).sum() / len(changed))}
    measured |= listing(INSPECT, listed, changed)
    for name, ranks in cleanlab_rankings(noisy.labels, found.scores).items():
        measured[f"cleanlab {name}, at the number changed"] = precision(
            ranks[: len(changed)], changed
        )
    issues = cleanlab_issues(noisy.labels, found.scores)
    return measured | listing("cleanlab find_label_issues, all that it lists", issues, changed)


def listing(name, listed, changed):
    """Precision, number and recall of the labels that a method lists."""
    return {
        name: precision(listed, changed),
        f"{name}: number, by the number changed": len(listed) / len(changed),
        f"{name}: recall": len(np.intersect1d(listed, changed)) / len(changed),
    }


def precision(suspected, changed):
    """Share of the suspected examples whose label was changed; NaN if there are none."""
    return float(np.isin(suspected, changed).mean()) if len(suspected) else float("nan")


def cleanlab_rankings(labels, scores):
    """Indices from the most to the least suspicious label, by each of cleanlab's scores."""
    from cleanlab.rank import get_label_quality_scores

    return {
        method: np.argsort(get_label_quality_scores(labels, scores, method=method), kind="stable")
        for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
    }


def cleanlab_issues(labels, scores):
    """Indices of the labels that cleanlab's confident learning finds."""
    from cleanlab.filter import find_label_issues

    return find_label_issues(labels, scores, return_indices_ranked_by="self_confidence")


def main(_):
    plan = make_plan(
        Experiment(
            data=FLAGS.data,
            backbone=FLAGS.backbone,
            weights=FLAGS.weights,
            image_size=FLAGS.image_size,
            recipe="feature_extraction",
            max_quarantine=1.0,
        ),
        cache_bytes=0,
    )
    features = pooled_layer_features(plan.network, plan.examples)[FEATURES]
    runs = [measure(features, plan.examples, FLAGS.share, seed) for seed in range(FLAGS.seeds)]
    changed = round(FLAGS.share * len(plan.examples))
    row = f"{Path(FLAGS.data).name}, {FLAGS.backbone}"
    print(f"{row}: {changed:,} of {len(plan.examples):,} labels changed, {FLAGS.seeds} seeds")
    for name in runs[0]:
        print(f"{name:<80} {with_interval(*interval([run[name] for run in runs]))}")
    write_results("label_errors", {row: {"changed": changed, "runs": runs}}, sys.argv)


if __name__ == "__main__":
    app.run(main)
