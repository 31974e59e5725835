"""Keras layers and functions as augmentation, from end to end: effect, resume, export."""

import keras
import numpy as np
import pytest

import tftransfer
from tftransfer.core.recipe import Phase, Recipe
from tftransfer.losses import CrossEntropy
from tftransfer.runs.run import Run
from tftransfer.utils.keras_internals import layers_inside

SIZE = 16
EPOCHS = 6


@keras.saving.register_keras_serializable("end_to_end_tests")
def mirror_half(images, seed):
    mirrored = np.random.default_rng(seed).random(len(images)) < 0.5
    return np.where(mirrored[:, None, None, None], np.asarray(images)[:, :, ::-1], images)


def mirrored_classes(count=60):
    """Noise that is brighter in the left half (class `left`) or in the right half."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 100, (count, SIZE, SIZE, 3), np.uint8)
    images[: count // 2, :, : SIZE // 2] += 100
    images[count // 2 :, :, SIZE // 2 :] += 100
    return images, ["left"] * (count // 2) + ["right"] * (count - count // 2)


def experiment(augment, *, train="*", views="auto"):
    phase = Phase(
        name="tune",
        train={train: 1.0},
        losses=(CrossEntropy(),),
        epochs=EPOCHS,
        learning_rate=1e-2,
        patience=0,
        augment=augment,
        views=views,
        batch_norm="train",
    )
    return tftransfer.Experiment(
        data=mirrored_classes(),
        backbone="small_cnn:width=4",
        weights="none",
        image_size=SIZE,
        batch_size=16,
        test_fraction=0.4,
        validation_fraction=0.2,
        recipe=Recipe(name="mine", phases=(phase,)),
    )


class Interrupt(keras.callbacks.Callback):
    """Interrupts the run at the start of its third epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


def accuracy(run):
    return run.result["test"]["accuracy"]


@pytest.fixture(scope="module")
def flip_run(tmp_path_factory):
    given = experiment(keras.Sequential([keras.layers.RandomFlip("horizontal")]))
    return tftransfer.train(given, tmp_path_factory.mktemp("flip"))


def test_random_flip_makes_mirrored_classes_indistinguishable(flip_run, tmp_path):
    plain = tftransfer.train(experiment("none"), tmp_path, export=False)
    assert accuracy(plain) > 0.95
    assert accuracy(flip_run) < 0.8


@pytest.mark.parametrize(
    ("augment", "cached"),
    [(keras.layers.RandomFlip("horizontal"), True), (mirror_half, False)],
    ids=["layer", "function"],
)
def test_augmentation_of_frozen_features_is_cached_for_layers_of_keras_only(
    tmp_path, augment, cached
):
    given = experiment(augment, train="head")
    plan = tftransfer.plan(given)
    assert plan.phases[0].views.fresh != cached
    run = tftransfer.train(given, tmp_path / "run", export=False)
    plain = tftransfer.train(experiment("none", train="head"), tmp_path / "plain", export=False)
    trained = [row for row in run.metrics() if "loss" in row]
    plainly = [row for row in plain.metrics() if "loss" in row]
    assert trained[-1]["loss"] > plainly[-1]["loss"]


def test_resumed_run_with_layers_and_a_seeded_function_equals_an_uninterrupted_one(
    tmp_path,
):
    layers = [keras.layers.RandomTranslation(0.2, 0.2), mirror_half]
    given = experiment(layers)
    whole = tftransfer.train(given, tmp_path / "whole", export=False)

    with pytest.raises(KeyboardInterrupt):
        tftransfer.train(given, tmp_path / "halves", callbacks=[Interrupt()], export=False)
    resumed = tftransfer.train(given, tmp_path / "halves", resume=True, export=False)
    assert resumed.result["weights_sha256"] == whole.result["weights_sha256"]


def test_recipe_of_a_stored_run_has_the_same_layers(flip_run):
    stored = Run(flip_run.workdir).experiment.recipe
    assert stored.phases[0].augment == flip_run.experiment.recipe.phases[0].augment
    assert str(stored.phases[0].augment) == "RandomFlip"


def test_export_does_not_contain_the_augmentation(flip_run):
    import tensorflow as tf

    images, _ = mirrored_classes()
    encoded = tf.stack([tf.io.encode_png(image) for image in images[:4]])
    served = tf.saved_model.load(str(flip_run.export_dir)).signatures["serving_default"]
    first, second = (served(image_bytes=encoded) for _ in range(2))
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name])
    expected = [row["scores"] for row in flip_run.predict(list(images[:4]))]
    got = first["scores"].numpy()
    for row, scores in zip(got, expected):
        np.testing.assert_allclose(row, list(scores.values()), atol=1e-4)
    layers = layers_inside(flip_run.model)
    assert layers and not any(isinstance(layer, keras.layers.RandomFlip) for layer in layers)


def test_function_that_is_not_registered_stops_before_anything_trains(tmp_path):
    with pytest.raises(tftransfer.UserError, match="not registered with Keras"):
        experiment(lambda images: images)
    assert not list(tmp_path.iterdir())


def test_texts_take_names_only(tmp_path):
    texts = ["good film", "bad film", "fine film", "dull film"] * 6
    phase = Phase(
        name="tune",
        train={"head": 1.0},
        losses=(CrossEntropy(),),
        augment=keras.layers.RandomFlip(),
    )
    given = tftransfer.Experiment(
        data=(texts, [1, 0, 1, 0] * 6),
        backbone="word_vectors:width=4",
        weights="none",
        recipe=Recipe(name="mine", phases=(phase,)),
    )
    with pytest.raises(tftransfer.UserError, match="texts take names only"):
        tftransfer.train(given, tmp_path / "run")
