"""What each view of the examples is, for each modality."""

import numpy as np
import pytest

from tftransfer.features.views import View, Views
from tftransfer.preprocessing.audio.preprocessors import WaveformPreprocessor
from tftransfer.preprocessing.image.preprocessor import ImagePreprocessor

IMAGE = ImagePreprocessor(8)


@pytest.mark.parametrize(
    ("augment", "expected"),
    [
        ("none", ["none", "none", "none"]),
        ("flip", ["none", "mirror", "flip"]),
        ("shift", ["none", "shift", "shift"]),
        ("crop", ["none", "mirror", "crop"]),
        ("strong", ["strong", "strong", "strong"]),
    ],
)
def test_view_of_images_begins_with_the_image_and_its_mirror_image(augment, expected):
    views = Views(augment=augment, seed=5, cached=3)
    found = views.all_cached(IMAGE)
    assert [view.augment for view in found] == expected
    assert [view.number for view in found] == [0, 1, 2]
    assert [view.seed for view in found] == [
        None if augment in ("none", "mirror") else 5 for augment in expected
    ]


def test_view_of_clips_begins_with_the_clip():
    preprocessor = WaveformPreprocessor(length=1.0)
    views = Views(augment="mask", seed=5, cached=2)
    assert [view.augment for view in views.all_cached(preprocessor)] == ["none", "mask"]


def test_views_fresh_have_no_cached_view():
    assert Views(augment="crop").fresh and not Views(augment="crop").all_cached(IMAGE)
    assert str(Views(augment="crop")) == "fresh" and str(Views(cached=2)) == "2"
    assert not Views(cached=2).fresh


def test_example_seeds_depend_on_seed_number_and_content_only():
    digests = [b"a", b"b", b"c"]
    view = View(number=2, augment="crop", seed=3)
    seeds = view.example_seeds(digests)
    assert seeds.dtype == np.int64 and (seeds >= 0).all() and len(set(seeds.tolist())) == 3
    np.testing.assert_array_equal(view.example_seeds(digests[1:]), seeds[1:])
    for other in (View(number=3, augment="crop", seed=3), View(number=2, augment="crop", seed=4)):
        assert not (other.example_seeds(digests) == seeds).any()
