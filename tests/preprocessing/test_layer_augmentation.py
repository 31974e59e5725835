"""Augmentation by Keras layers and functions: a function of the seed, checked before training."""

import keras
import numpy as np
import pytest

import tftransfer
from tftransfer.core.recipe import Phase
from tftransfer.preprocessing import MODALITIES, get_modality
from tftransfer.preprocessing.audio.preprocessors import LogMelPreprocessor
from tftransfer.preprocessing.image.preprocessor import ImagePreprocessor
from tftransfer.utils.errors import UserError

SIZE = 12
IMAGES = np.random.default_rng(0).integers(0, 256, (6, SIZE, SIZE, 3), np.uint8)


@keras.saving.register_keras_serializable("layer_augmentation_tests")
def invert(images):
    return 255 - np.asarray(images)


@keras.saving.register_keras_serializable("layer_augmentation_tests")
def seeded_noise(images, seed):
    return images + np.random.default_rng(seed).normal(0, 9, np.shape(images))


@keras.saving.register_keras_serializable("layer_augmentation_tests")
def unseeded_noise(images):
    return images + np.random.default_rng().normal(0, 9, np.shape(images))


@keras.saving.register_keras_serializable("layer_augmentation_tests")
def halve(images):
    return images[:, ::2, ::2]


@keras.saving.register_keras_serializable("layer_augmentation_tests")
def fail(images):
    raise RuntimeError("no such file")


def augmentation(augment):
    return Phase(name="p", train={"head": 1.0}, losses=(), augment=augment).augment


def augmenter(augment, size=SIZE):
    return ImagePreprocessor(size).augmenter(augmentation(augment))


RANDOM = {
    "flip": lambda: keras.layers.RandomFlip("horizontal"),
    "several": lambda: [keras.layers.RandomTranslation(0.2, 0.2), keras.layers.RandomContrast(0.5)],
    "nested": lambda: keras.layers.RandAugment(),
    "seeded function": lambda: seeded_noise,
    "layer and function": lambda: [keras.layers.RandomRotation(0.2), seeded_noise, invert],
}


@pytest.mark.parametrize("name", RANDOM)
def test_augmenter_is_a_function_of_seed_epoch_and_step(name):
    first = augmenter(RANDOM[name]())
    expected = np.asarray(first(IMAGES, 1, 2, 3))
    for seed in [(1, 2, 4), (1, 3, 3), (2, 2, 3)]:
        assert not np.array_equal(first(IMAGES, *seed), expected), seed
    np.testing.assert_array_equal(first(IMAGES, 1, 2, 3), expected)
    # A resumed run builds the layers again and does not repeat the earlier steps.
    np.testing.assert_array_equal(augmenter(RANDOM[name]())(IMAGES, 1, 2, 3), expected)
    assert expected.dtype == np.float32 and expected.min() >= 0 and expected.max() <= 255


@pytest.mark.parametrize("name", RANDOM)
def test_per_example_depends_only_on_the_seed_of_each_image(name):
    layers = augmenter(RANDOM[name]())
    batch = np.repeat(IMAGES[:1], 4, axis=0)
    found = np.asarray(layers.per_example(batch, np.array([1, 2, 3, 1])))
    again = np.asarray(augmenter(RANDOM[name]()).per_example(batch[:2], np.array([3, 2])))
    np.testing.assert_allclose(found[2], again[0], atol=1e-3)
    np.testing.assert_allclose(found[0], found[3], atol=1e-3)
    assert len({each.tobytes() for each in found}) > 1


def test_augmenter_does_not_change_the_layer_that_was_given():
    layer = keras.layers.RandomFlip("horizontal")
    before = layer.generator.state.numpy()
    augmenter(layer)(IMAGES, 1)
    np.testing.assert_array_equal(layer.generator.state.numpy(), before)


def test_flip_layer_mirrors_some_images_exactly():
    got = np.asarray(augmenter(keras.layers.RandomFlip("horizontal"))(np.repeat(IMAGES, 8, 0), 7))
    images = np.repeat(IMAGES, 8, 0)
    as_is = (got == images).all(axis=(1, 2, 3))
    mirrored = (got == images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (as_is ^ mirrored).all() and 12 < mirrored.sum() < 36


def test_function_gets_the_batch_in_order_after_layers():
    got = np.asarray(augmenter([invert, keras.layers.RandomBrightness((0.1, 0.1))])(IMAGES, 1))
    np.testing.assert_allclose(got, np.clip(255.0 - IMAGES + 25.5, 0, 255), atol=1e-3)


def test_function_that_is_random_without_a_seed_gets_a_warning_and_is_not_stored():
    preprocessor = ImagePreprocessor(SIZE)
    (warning,) = preprocessor.check_augmentation(augmentation(unseeded_noise))
    assert "unseeded_noise is not a function of its seed" in warning and "parameter seed" in warning
    assert preprocessor.check_augmentation(augmentation(seeded_noise)) == ()
    assert preprocessor.check_augmentation("crop") == ()
    assert not preprocessor.can_store_views(augmentation(unseeded_noise))


def test_views_of_keras_layers_are_stored_and_those_of_functions_are_not():
    preprocessor = ImagePreprocessor(SIZE)
    flip = augmentation(keras.layers.RandomFlip("horizontal"))
    assert preprocessor.can_store_views(flip) and preprocessor.can_store_views("crop")
    assert not preprocessor.can_store_views(augmentation(invert))
    assert preprocessor.view_augmentation(flip, 0) == "none"
    assert preprocessor.view_augmentation(flip, 1) == flip and preprocessor.max_views(flip) == 0


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        (halve, r"returns \[2, 6, 6, 3\] for a batch \[2, 12, 12, 3\]"),
        (keras.layers.RandomCrop(6, 6), r"returns \[2, 6, 6, 3\] for a batch"),
        (fail, "fails for a batch uint8 .* RuntimeError: no such file"),
    ],
    ids=["function", "layer", "failure"],
)
def test_check_augmentation_refuses_other_shapes_and_failures(augment, message):
    with pytest.raises(UserError, match=message) as caught:
        ImagePreprocessor(SIZE).check_augmentation(augmentation(augment))
    assert len(str(caught.value).splitlines()) == 2


def test_clips_take_layers_without_clipping():
    preprocessor = LogMelPreprocessor(length=1.0)
    layers = augmentation(keras.layers.GaussianNoise(0.5))
    batch = np.full((2, *preprocessor.shape), -3.0, np.float32)
    got = np.asarray(preprocessor.augmenter(layers)(batch, 1, 2))
    np.testing.assert_array_equal(got, preprocessor.augmenter(layers)(batch, 1, 2))
    assert got.shape == batch.shape and 0.4 < got.std() < 0.6 and got.min() < -3


def test_list_augmentations_describes_every_name_of_every_modality():
    found = tftransfer.list_augmentations()
    for modality in MODALITIES:
        names = [each.name for each in found if modality in each.modalities]
        assert sorted(names) == sorted(get_modality(modality).augmentations)
    (none,) = [each for each in found if each.name == "none"]
    assert str(none) == "none (image, text, audio): leaves examples unchanged"
    assert all("\n" not in str(each) for each in found)
