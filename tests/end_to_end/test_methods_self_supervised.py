"""Methods that learn without labels reduce their loss, and improve the features."""

import numpy as np
import pytest
from digit_runs import (
    NEW,
    UNSEEN,
    WHOLE,
    losses,
    network_inputs,
    network_of,
    slow_param,
)
from sklearn.linear_model import LogisticRegression

from tftransfer.preprocessing.image.augmentation import ImageAugmenter
from tftransfer.recipes import make_recipe

PROBE = "feature_extraction:epochs=1,augment=none"
FRESH = {"backbone": "small_cnn", "weights": "none", "batch_size": 32}


def probe_accuracy(network):
    """Accuracy of a linear classifier on a network's features."""
    features = [
        network.predict(network_inputs(images))["features"].numpy()
        for images in (NEW[0], UNSEEN[0])
    ]
    scale = features[0].std(axis=0) + 1e-6
    model = LogisticRegression(C=0.1, max_iter=300).fit(features[0] / scale, NEW[1])
    return model.score(features[1] / scale, UNSEEN[1])


@pytest.mark.slow
def test_simclr_features_are_better_than_random_ones(train_recipe):
    recipe = f"{PROBE}+simclr:pretrain_epochs=24,pretrain_rate=3e-3"
    run = train_recipe(recipe, unlabelled_data=UNSEEN[0], **FRESH)
    assert losses(run, "simclr")[-1] < losses(run, "simclr")[0] - 0.1
    after = probe_accuracy(network_of(run))
    before = probe_accuracy(network_of(train_recipe(PROBE, **FRESH)))
    assert after > before + 0.03


@pytest.mark.parametrize("method", ["simclr", slow_param("simsiam")])
def test_two_view_streams_have_the_same_images(train_recipe, monkeypatch, method):
    """In every epoch: 300 images do not fill its batches."""
    from tftransfer.training import phase_inputs

    found = []

    class Recorded(phase_inputs.Streams):
        def __init__(self, streams, **options):
            super().__init__(streams, **options)
            found.append(dict(streams))

    monkeypatch.setattr(phase_inputs, "Streams", Recorded)
    train_recipe(f"{PROBE}+{method}:pretrain_epochs=1", unlabelled_data=UNSEEN[0], **FRESH)
    first, second = (found[0][name] for name in ("view_a", "view_b"))
    for epoch in range(3):
        for step in (0, 4, first.steps - 1):
            assert np.array_equal(first.batch(epoch, step), second.batch(epoch, step))


@pytest.mark.parametrize(
    "method",
    [slow_param("simsiam"), "autoencoder", slow_param("autoencoder:noise=1"), slow_param("vae")],
)
def test_self_supervised_phase_reduces_its_loss(train_recipe, method):
    separator = "," if ":" in method else ":"
    recipe = f"{PROBE}+{method}{separator}pretrain_epochs=4,pretrain_rate=3e-3"
    run = train_recipe(recipe, unlabelled_data=UNSEEN[0][::2], **FRESH)
    curve = losses(run, method.partition(":")[0])
    assert curve[-1] < curve[0] - 0.05 * abs(curve[0])
    assert np.isfinite(run.result["test"]["log_loss"])


@pytest.mark.slow
def test_fixmatch_improves_accuracy_on_strong_views(train_recipe):
    """Its loss is that of strong views only, so with it they are classified better."""
    recipe = f"{WHOLE.format('train', 30)},label_smoothing=0"
    free, held = (
        train_recipe(each, unlabelled_data=UNSEEN[0], labels_per_class=8)
        for each in (recipe, f"{recipe}+fixmatch:threshold=0.6")
    )
    # Ten views of each image, so that no single view decides.
    inputs = network_inputs(UNSEEN[0])
    views = [ImageAugmenter("strong")(inputs, view).numpy() for view in range(10)]
    labels = np.tile(UNSEEN[1].astype(int) - 5, len(views))
    accuracies = []
    for run in (free, held):
        logits = network_of(run).predict(np.concatenate(views))["logits"].numpy()
        accuracies.append((logits.argmax(axis=1) == labels).mean())
    assert accuracies[1] > accuracies[0]


def test_fixmatch_does_not_smooth_labels():
    phases = make_recipe("fine_tune+fixmatch", stages=3).phases
    assert [phase.losses[0].label_smoothing for phase in phases] == [0.1, 0.0]
