"""Cached features equal a direct computation, and are computed once."""

import numpy as np
import pytest

from tftransfer.backbones.load import load_backbone
from tftransfer.core.recipe import Head
from tftransfer.features.store import FeatureKey, FeatureStore
from tftransfer.features.views import View
from tftransfer.models.inference import compiled
from tftransfer.models.network import FEATURES, INPUT, Network
from tftransfer.preprocessing.image.preprocessor import ImagePreprocessor

COUNT, SIZE, SEED = 10, 16, 3
EVERY = np.arange(COUNT)


class FakeInputs:
    """Images of an array that record the indices that were read."""

    def __init__(self):
        self.array = np.random.default_rng(0).integers(0, 256, (COUNT, SIZE, SIZE, 3), np.uint8)
        self.read = []

    preprocessor = ImagePreprocessor(SIZE)

    def batches(self, indices, size):
        self.read.extend(indices.tolist())
        for start in range(0, len(indices), size):
            yield self.array[indices[start : start + size]]


@pytest.fixture(scope="module")
def network():
    backbone = load_backbone("small_cnn:width=4", weights="none", image_size=SIZE, seed=1)
    return Network(backbone, [Head()], units=2)


@pytest.fixture
def pixels():
    return FakeInputs()


def new_store(pixels):
    return FeatureStore(pixels, [f"{i:02}" for i in range(COUNT)])


def key_of(boundary, number=0, augment="none", weights="w"):
    seed = None if augment in ("none", "mirror") else SEED
    view = View(number=number, augment=augment, seed=seed)
    return FeatureKey(boundary=boundary, view=view, weights=weights)


def fill(store, network, key, indices=EVERY, start=INPUT, source=None):
    frozen = compiled(network.submodel(start, key.boundary))
    store.fill(key, indices, frozen, network.shapes_at(key.boundary), source=source)


@pytest.mark.parametrize("boundary", ["stage1", "stage2", "stage3", FEATURES])
def test_store_cached_features_equal_a_direct_computation(network, pixels, boundary):
    store, key = new_store(pixels), key_of(boundary, 0, "none", "w")
    fill(store, network, key)
    direct = network.submodel(INPUT, boundary)([pixels.array.astype(np.float32)], training=False)
    got = store.get(key, np.array([7, 2, 2]))
    assert [array.shape[1:] for array in got] == network.shapes_at(boundary)
    direct = np.asarray(direct[0] if isinstance(direct, (list, tuple)) else direct)
    np.testing.assert_allclose(got[0], direct[[7, 2, 2]], rtol=1e-5, atol=1e-6)
    assert np.ptp(direct) > 0


def test_store_fill_from_cached_features_equals_fill_from_images(network, pixels):
    shallow, deep = key_of("stage1", 0, "none", "a"), key_of("stage3", 0, "none", "b")
    store = new_store(pixels)
    fill(store, network, shallow)
    read = len(pixels.read)
    fill(store, network, deep, start="stage1", source=shallow)
    assert len(pixels.read) == read
    other = new_store(pixels)
    fill(other, network, deep)
    np.testing.assert_array_equal(store.get(deep, EVERY)[0], other.get(deep, EVERY)[0])


def test_store_fill_computes_only_missing_features(network, pixels):
    store, key = new_store(pixels), key_of("stage2", 0, "none", "w")
    fill(store, network, key, np.array([4, 1]))
    assert sorted(pixels.read) == [1, 4]
    assert store.has(key, np.array([1, 4, 4]))
    assert not store.has(key, np.array([1, 2]))
    before = store.get(key, np.array([1, 4]))[0]
    fill(store, network, key, np.array([4, 2, 1, 9]))
    assert sorted(pixels.read) == [1, 2, 4, 9]
    fill(store, network, key, np.array([9]))
    assert sorted(pixels.read) == [1, 2, 4, 9]
    np.testing.assert_array_equal(store.get(key, np.array([1, 4]))[0], before)


def test_store_views_are_the_image_its_mirror_image_and_random_ones(network, pixels):
    store = new_store(pixels)
    keys = [
        key_of("stage1", view, augment) for view, augment in enumerate(["none", "mirror", "crop"])
    ]
    for key in keys:
        fill(store, network, key)
    frozen = compiled(network.submodel(INPUT, "stage1"))
    array = pixels.array.astype(np.float32)
    for key, changed in zip(keys, [array, array[:, :, ::-1]]):
        expected = np.asarray(frozen(np.asarray(changed))).reshape(COUNT, 8, 8, 4)
        np.testing.assert_allclose(store.get(key, EVERY)[0], expected, rtol=1e-5, atol=1e-6)
    changed = store.get(keys[2], EVERY)[0]
    assert np.abs(changed - store.get(keys[0], EVERY)[0]).max(axis=(1, 2, 3)).min() > 0


def test_store_random_view_depends_only_on_its_image(network, pixels):
    key, whole, split = key_of("stage1", 2, "crop"), new_store(pixels), new_store(pixels)
    fill(whole, network, key)
    for some in ([7], [3, 1, 8], EVERY):
        fill(split, network, key, np.array(some))
    got, expected = split.get(key, EVERY)[0], whole.get(key, EVERY)[0]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_store_random_views_are_the_same_for_every_batch_size(monkeypatch):
    class Many(FakeInputs):
        def __init__(self):
            super().__init__()
            self.array = np.random.default_rng(1).integers(0, 256, (100, 8, 8, 3), np.uint8)
            self.preprocessor = ImagePreprocessor(8)

    found = []
    for size in (32, 64, 256):
        monkeypatch.setattr(FeatureStore, "_batch_rows", lambda *_, size=size: size)
        store = FeatureStore(Many(), [f"{i:02}" for i in range(100)])
        key = key_of("stage1", 2, "crop", "w")
        store.fill(key, np.arange(100), lambda x: [x], [(8, 8, 3)])
        found.append(store.get(key, np.arange(100))[0])
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_store_keys_have_separate_features(network, pixels):
    store = new_store(pixels)
    old, new = key_of("stage1", 0, "none", "old"), key_of("stage1", 0, "none", "new")
    deep = key_of("stage3", 0, "none", "w")
    fill(store, network, old)
    assert not store.has(new, EVERY[:1])
    fill(store, network, deep)
    bytes_per_image = 4 * (8 * 8 * 4 + 2 * 2 * 16)
    assert store.nbytes() == COUNT * bytes_per_image
    assert store.has(old, EVERY) and store.has(deep, EVERY)
