"""Augmentation is decided by its seed alone and stays in the range of pixels."""

import numpy as np
import pytest

from tftransfer.preprocessing.image.augmentation import Augmenter
from tftransfer.preprocessing.image.preprocessor import ImagePreprocessor

KINDS = ["flip", "shift", "crop", "full"]


def pictures(count=8):
    return np.random.default_rng(0).integers(0, 256, (count, 12, 16, 3), np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_and_another_seed_another(kind):
    augmenter = Augmenter(kind)
    first = np.asarray(augmenter(pictures(), 1, 2, 3))
    for seed in [(1, 2, 4), (1, 3, 3), (2, 2, 3), (1, 3, 2)]:
        assert not np.array_equal(augmenter(pictures(), *seed), first), seed
    np.testing.assert_array_equal(augmenter(pictures(), 1, 2, 3), first)
    np.testing.assert_array_equal(Augmenter(kind)(pictures(), 1, 2, 3), first)


@pytest.mark.parametrize("kind", KINDS)
def test_range_shape_and_dtype(kind):
    images = np.concatenate(
        [pictures(), np.zeros_like(pictures()), 255 + np.zeros_like(pictures())]
    )
    got = np.asarray(Augmenter(kind)(images, 5))
    assert got.shape == images.shape
    assert got.dtype == np.float32
    assert got.min() >= 0
    assert got.max() <= 255
    assert got.max() > 1, "pixels are 0 to 255, not 0 to 1"


def test_none_and_mirror_are_exact():
    images = pictures()
    none = np.asarray(Augmenter("none")(images, 1))
    mirror = np.asarray(Augmenter("mirror")(images, 1))
    assert none.dtype == mirror.dtype == images.dtype
    np.testing.assert_array_equal(none, images)
    np.testing.assert_array_equal(mirror, images[:, :, ::-1])


def test_flip_mirrors_some_pictures_of_a_batch_exactly():
    images = pictures(64)
    got = np.asarray(Augmenter("flip")(images, 7))
    as_is = (got == images).all(axis=(1, 2, 3))
    flipped = (got == images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (as_is ^ flipped).all()
    assert 16 < flipped.sum() < 48


def test_shift_never_mirrors():
    ramp = np.tile(np.linspace(0, 255, 32)[None, None, :, None], (16, 32, 1, 3)).astype(np.uint8)
    got = np.asarray(Augmenter("shift")(ramp, 1))
    left, right = got[:, :, 4:12].mean(axis=(1, 2, 3)), got[:, :, -12:-4].mean(axis=(1, 2, 3))
    assert (left < right).all()
    cropped = np.asarray(Augmenter("crop")(ramp, 1))
    left, right = (
        cropped[:, :, 4:12].mean(axis=(1, 2, 3)),
        cropped[:, :, -12:-4].mean(axis=(1, 2, 3)),
    )
    assert 0 < (left > right).sum() < 16


def test_full_changes_brightness_and_crop_does_not():
    grey = np.full((8, 12, 12, 3), 100, np.uint8)
    np.testing.assert_allclose(Augmenter("crop")(grey, 1), 100, atol=1e-2)
    means = np.asarray(Augmenter("full")(grey, 1)).mean(axis=(1, 2, 3))
    assert means.std() > 1


def test_a_shorter_batch_is_taken_too():
    augmenter = Augmenter("crop")
    assert augmenter(pictures(8), 1).shape[0] == 8
    assert augmenter(pictures(3), 1).shape[0] == 3


@pytest.mark.parametrize(
    "kind, kinds",
    [
        ("none", ["none", "none", "none"]),
        ("flip", ["none", "mirror", "flip"]),
        ("crop", ["none", "mirror", "crop"]),
        ("full", ["none", "mirror", "full"]),
        ("shift", ["none", "shift", "shift"]),
    ],
)
def test_the_first_views_are_the_picture_and_its_mirror(kind, kinds):
    assert [ImagePreprocessor(8).view_augmentation(kind, view) for view in range(3)] == kinds


@pytest.mark.parametrize("kind, most", [("none", 1), ("flip", 2), ("shift", 0), ("full", 0)])
def test_most_views(kind, most):
    assert ImagePreprocessor(8).max_views(kind) == most
