"""Closed-form heads are as accurate as scikit-learn's; episodes improve them."""

import functools

import numpy as np
import pytest
from digit_runs import DARK, NEW, UNSEEN, check_error, losses, network_inputs, network_of
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from tftransfer.probes.closed_form import SOLVERS

SKLEARN = {
    "prototypes": NearestCentroid(),
    "cosine": make_pipeline(Normalizer(), NearestCentroid()),
    "ridge": RidgeClassifierCV(np.geomspace(1e-2, 1e3, 11)),
    "logistic": make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500)),
}


@pytest.mark.parametrize("solve", sorted(SOLVERS))
def test_few_shot_is_as_accurate_as_scikit_learn(train_recipe, solve):
    export = solve == "cosine"
    run = train_recipe(f"few_shot:solve={solve}", labels_per_class=10, export=export)
    network = network_of(run)
    rows = [row for row in run.split["examples"] if row[1] == "train"]
    places = [int(row[0].rpartition("#")[2]) for row in rows]
    features = network.predict(network_inputs(NEW[0][places]))["features"].numpy()
    unseen = network.predict(network_inputs(UNSEEN[0]))
    model = SKLEARN[solve].fit(features, NEW[1][places])
    theirs = model.score(unseen["features"].numpy(), UNSEEN[1])
    ours = (unseen["logits"].numpy().argmax(axis=1) == UNSEEN[1].astype(int) - 5).mean()
    assert ours > theirs - 0.04
    if export:
        assert run.result["export"]["max_difference"] < 1e-5


@pytest.mark.parametrize("problem_type", ["regression", "multi_label"])
def test_methods_with_a_softmax_are_an_error_for_other_labels(train_recipe, problem_type):
    values = np.random.default_rng(0).normal(size=(len(NEW[0]), 2)).astype(np.float32)
    labels = values if problem_type == "regression" else (values > 0).astype(np.int64)
    settings = {"data": (NEW[0], labels), "problem_type": problem_type}
    for recipe in ("fine_tune+cdan", "fine_tune+entropy", "fine_tune+fixmatch"):
        match = "needs one class per example"
        check_error(train_recipe, match, recipe, target_data=DARK, **settings)
    for solve in ("prototypes", "cosine"):
        check_error(train_recipe, "is for single_label", f"few_shot:solve={solve}", **settings)


def test_few_shot_ridge_solves_a_regression(train_recipe):
    brightness = NEW[0].mean(axis=(1, 2))[:, None].astype(np.float32)
    settings = {"data": (NEW[0], brightness), "problem_type": "regression"}
    run = train_recipe("few_shot:solve=ridge", **settings)
    assert run.result["test"]["r2"] > 0.3


@pytest.mark.parametrize(
    ("recipe", "match"),
    [
        ("few_shot+dann", "no phase that trains on labels"),
        ("few_shot+lora", "No stage trains"),
        ("dann+cdan", "each need a different head 'domain'"),
        ("autoencoder+vae", "head 'decoder'"),
    ],
)
def test_methods_without_effect_or_in_conflict_are_an_error(train_recipe, recipe, match):
    check_error(train_recipe, match, recipe, target_data=DARK)


def test_episodic_phase_improves_prototypes(train_recipe):
    train = functools.partial(train_recipe, labels_per_class=10, test_data=UNSEEN, batch_size=25)
    plain = train("few_shot:solve=prototypes")
    tuned = train("few_shot:solve=prototypes+episodic:episodic_epochs=20,episodic_rate=1e-3")
    accuracies = [run.result["test"]["accuracy"] for run in (plain, tuned)]
    assert accuracies[1] >= accuracies[0] + 0.05, accuracies
    assert losses(tuned, "episodic")[-1] < 0.75 * losses(tuned, "episodic")[0]
