"""Augmentation is decided by its seed alone and stays in the range of pixels."""

import numpy as np
import pytest

from tftransfer.preprocessing.image.augmentation import ImageAugmenter
from tftransfer.preprocessing.image.preprocessor import ImagePreprocessor

NAMES = ["flip", "shift", "crop", "full"]


def images(count=8):
    return np.random.default_rng(0).integers(0, 256, (count, 12, 16, 3), np.uint8)


@pytest.mark.parametrize("name", NAMES)
def test_augmenter_depends_on_the_seed_only(name):
    augmenter = ImageAugmenter(name)
    first = np.asarray(augmenter(images(), 1, 2, 3))
    for seed in [(1, 2, 4), (1, 3, 3), (2, 2, 3), (1, 3, 2)]:
        assert not np.array_equal(augmenter(images(), *seed), first), seed
    np.testing.assert_array_equal(augmenter(images(), 1, 2, 3), first)
    np.testing.assert_array_equal(ImageAugmenter(name)(images(), 1, 2, 3), first)


@pytest.mark.parametrize("name", NAMES)
def test_augmenter_keeps_range_and_shape(name):
    batch = np.concatenate([images(), np.zeros_like(images()), 255 + np.zeros_like(images())])
    got = np.asarray(ImageAugmenter(name)(batch, 5))
    assert got.shape == batch.shape
    assert got.dtype == np.float32
    assert got.min() >= 0
    assert got.max() <= 255
    assert got.max() > 1, "pixels are 0 to 255, not 0 to 1"


def test_none_and_mirror_are_exact():
    batch = images()
    none = np.asarray(ImageAugmenter("none")(batch, 1))
    mirror = np.asarray(ImageAugmenter("mirror")(batch, 1))
    assert none.dtype == mirror.dtype == batch.dtype
    np.testing.assert_array_equal(none, batch)
    np.testing.assert_array_equal(mirror, batch[:, :, ::-1])


def test_flip_mirrors_some_images_of_a_batch_exactly():
    batch = images(64)
    got = np.asarray(ImageAugmenter("flip")(batch, 7))
    as_is = (got == batch).all(axis=(1, 2, 3))
    flipped = (got == batch[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (as_is ^ flipped).all()
    assert 16 < flipped.sum() < 48


def test_shift_never_mirrors():
    ramp = np.tile(np.linspace(0, 255, 32)[None, None, :, None], (16, 32, 1, 3)).astype(np.uint8)
    got = np.asarray(ImageAugmenter("shift")(ramp, 1))
    left, right = got[:, :, 4:12].mean(axis=(1, 2, 3)), got[:, :, -12:-4].mean(axis=(1, 2, 3))
    assert (left < right).all()
    cropped = np.asarray(ImageAugmenter("crop")(ramp, 1))
    left, right = (
        cropped[:, :, 4:12].mean(axis=(1, 2, 3)),
        cropped[:, :, -12:-4].mean(axis=(1, 2, 3)),
    )
    assert 0 < (left > right).sum() < 16


def test_full_changes_brightness_and_crop_does_not():
    gray = np.full((8, 12, 12, 3), 100, np.uint8)
    np.testing.assert_allclose(ImageAugmenter("crop")(gray, 1), 100, atol=1e-2)
    means = np.asarray(ImageAugmenter("full")(gray, 1)).mean(axis=(1, 2, 3))
    assert means.std() > 1


def test_augmenter_accepts_a_shorter_batch():
    augmenter = ImageAugmenter("crop")
    assert augmenter(images(8), 1).shape[0] == 8
    assert augmenter(images(3), 1).shape[0] == 3


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("none", ["none", "none", "none"]),
        ("flip", ["none", "mirror", "flip"]),
        ("crop", ["none", "mirror", "crop"]),
        ("full", ["none", "mirror", "full"]),
        ("shift", ["none", "shift", "shift"]),
    ],
)
def test_view_augmentation_of_the_first_views_is_the_image_and_its_mirror(name, names):
    assert [ImagePreprocessor(8).view_augmentation(name, view) for view in range(3)] == names


@pytest.mark.parametrize(("name", "count"), [("none", 1), ("flip", 2), ("shift", 0), ("full", 0)])
def test_max_views(name, count):
    assert ImagePreprocessor(8).max_views(name) == count
