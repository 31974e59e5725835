"""Methods that adapt to another domain bring it nearer, and undo harm, without its labels."""

import numpy as np
import pytest
from digit_runs import (
    DARK,
    DARK_TEST,
    KNOWN,
    WHOLE,
    check_error,
    digits_of,
    losses,
    outputs,
    slow_param,
    softmax,
)

import tftransfer
from tftransfer.checkpoints import weights
from tftransfer.training import domain_adaptation

ADAPTED = WHOLE.format("frozen", 8)
HEAD_FIRST = (
    "fine_tune:unfreeze=3,decay=1,head_epochs=2,epochs=6,learning_rate=1e-3,"
    "head_learning_rate=1e-2,augment=none"
)
SOURCE_ONLY = "scratch:augment=none,epochs=15"


def dark_accuracy(run):
    return tftransfer.evaluate(run.workdir, DARK_TEST).metrics["accuracy"]


@pytest.fixture(scope="module")
def unadapted(adapted_run):
    """The run without a method, which equals every method of strength 0."""
    return adapted_run(ADAPTED)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "batch_norm"), [("adabn", "train"), ("mmd", "frozen")])
def test_adaptation_improves_accuracy_on_the_target(adapted_run, method, batch_norm):
    base = f"{HEAD_FIRST},batch_norm={batch_norm}"
    before = dark_accuracy(adapted_run(base))
    assert dark_accuracy(adapted_run(f"{base}+{method}")) > before + 0.1


@pytest.mark.slow
def test_adaptation_of_strength_zero_changes_nothing(adapted_run, unadapted):
    none = adapted_run(f"{ADAPTED}+ddc:strength=0")
    assert none.result["weights_sha256"] == unadapted.result["weights_sha256"]


def features_of_both(run):
    return outputs(run, KNOWN[0])["features"], outputs(run, DARK)["features"]


def adaptation_quality(phase):
    """What a phase's result has about the target domain."""
    values = [value for value in phase.values() if isinstance(value, dict)]
    return next(value for value in values if "domain_gap" in value)


def domain_gap(run):
    return adaptation_quality(run.result["phases"][-1])["domain_gap"]


def mean_distance(run):
    source, target = features_of_both(run)
    return float(((source.mean(axis=0) - target.mean(axis=0)) ** 2).sum())


def covariance_distance(run):
    source, target = features_of_both(run)
    return float(((np.cov(source.T) - np.cov(target.T)) ** 2).sum())


def mean_entropy(run):
    p = softmax(outputs(run, DARK)["logits"])
    return float(-(p * np.log(p + 1e-9)).sum(axis=1).mean())


@pytest.mark.parametrize(
    ("method", "statistic"),
    [
        slow_param("mmd", domain_gap),
        slow_param("ddc", mean_distance),
        slow_param("coral", covariance_distance),
        slow_param("entropy:strength=1", mean_entropy),
    ],
)
def test_adaptation_reduces_the_statistic_of_its_loss(adapted_run, unadapted, method, statistic):
    assert statistic(adapted_run(f"{ADAPTED}+{method}")) < 0.8 * statistic(unadapted)


@pytest.mark.parametrize("method", ["dann", slow_param("cdan")])
def test_adversarial_features_mislead_the_discriminator(adapted_run, method):
    """The discriminator's loss is part of the whole; without reversal nothing raises it."""
    plain, misled = (
        losses(adapted_run(f"{ADAPTED}+{method}:strength=1,reversal={reversal}"), "deep_transfer")
        for reversal in (0, 1)
    )
    assert misled[-1] > plain[-1] + 0.1


def test_adda_trains_the_stages_for_the_target_and_harm_is_undone(adapted_run, unadapted):
    """At so high a rate the target's features collapse."""
    run = adapted_run(f"{ADAPTED}+adda:epochs=2,learning_rate=1e-3")
    tuned, adda = run.result["phases"]
    assert adda["rates"] == {"stage1": 1, "stage2": 1, "stage3": 1, "head": 0, "domain": 10}
    before, after = (adaptation_quality(phase)["reverse_validation"] for phase in (tuned, adda))
    assert after < before
    assert tuned["kept"]
    before, after = (weights.read(each.weights) for each in (unadapted, run))
    assert all(np.array_equal(value, after[name]) for name, value in before.items())


@pytest.mark.slow
def test_adda_from_mnist_improves_accuracy_on_usps(shared_data, tmp_path):
    """MNIST has labels, USPS none; measured: 0.707 before and 0.873 after."""
    with np.load(shared_data / "digits" / "mnist_10k.npz") as stored:
        some = np.random.default_rng(0).permutation(len(stored["x_train"]))[:1500]
        known = stored["x_train"][some], stored["y_train"][some]
    with np.load(shared_data / "digits" / "usps.npz") as stored:
        target, test = stored["x_train"][:1500], (stored["x_test"][:1000], stored["y_test"][:1000])
    before, after = (
        tftransfer.train(
            tftransfer.Experiment(
                data=known,
                test_data=test,
                target_data=target,
                backbone="small_cnn",
                weights="none",
                image_size=28,
                batch_size=64,
                recipe=recipe,
            ),
            tmp_path / str(len(recipe)),
            export=False,
        ).result["test"]["accuracy"]
        for recipe in (SOURCE_ONLY, f"{SOURCE_ONLY}+adda:epochs=15")
    )
    assert after > before + 0.1


def test_reweight_gives_examples_like_the_target_higher_weights(train_recipe):
    """The target has two of the classes."""
    found, real = {}, domain_adaptation.density_weights

    def recorded(*args):
        found["weights"] = real(*args)
        return found["weights"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(domain_adaptation, "density_weights", recorded)
        target = digits_of(range(2), 60, 120)[0]
        recipe = f"{WHOLE.format('frozen', 1)}+reweight"
        run = train_recipe(recipe, data=KNOWN, target_data=target)
    rows = run.split["examples"]
    train = np.array([number for number, row in enumerate(rows) if row[1] == "train"])
    labels = np.array([rows[number][2] for number in train])
    ratios = found["weights"][train]
    assert ratios.mean() == pytest.approx(1, abs=1e-3)
    assert ratios[labels < 2].mean() > 2 * ratios[labels >= 2].mean()
    assert np.isfinite(run.result["test"]["log_loss"])


@pytest.mark.parametrize(
    "method", ["adabn", "adda", "cdan", "coral", "dann", "ddc", "entropy", "mmd", "reweight"]
)
def test_adaptation_without_target_data_is_an_error(train_recipe, method):
    check_error(train_recipe, "target domain, and there are none", method)


def test_adaptation_ignores_labels_of_the_target(train_recipe):
    recipe = f"{WHOLE.format('train', 1)}+mmd+adabn"
    labels = np.repeat(["0", "1", "2", "3"], len(DARK) // 4)
    first, second = (
        train_recipe(recipe, data=KNOWN, target_data=(DARK, some)).result
        for some in (labels, labels[::-1])
    )
    assert first["weights_sha256"] == second["weights_sha256"]
    assert adaptation_quality(first["phases"][-1]) == adaptation_quality(second["phases"][-1])


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_adaptation_to_very_few_images_finishes(train_recipe, count):
    run = train_recipe(f"{WHOLE.format('train', 1)}+mmd", data=KNOWN, target_data=DARK[:count])
    assert np.isfinite(run.result["test"]["log_loss"])
