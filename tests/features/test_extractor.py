"""The extractor computes features of a network once per example and view, from fields."""

import numpy as np
import pytest

from tftransfer.backbones.load import load_backbone
from tftransfer.core.experiment import Experiment
from tftransfer.core.recipe import Head
from tftransfer.features.disk_cache import FeatureCache
from tftransfer.features.extractor import FeatureExtractor
from tftransfer.features.phase_features import PhaseFeatures
from tftransfer.features.shared_cache import SharedCaches
from tftransfer.features.store import FeatureStore
from tftransfer.features.views import Views
from tftransfer.models.network import FEATURES, INPUT, Network
from tftransfer.readers.load import read_examples

COUNT, SIZE = 20, 16
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, SIZE, SIZE, 3), np.uint8)
EVERY = np.arange(COUNT)


@pytest.fixture(scope="module")
def network():
    backbone = load_backbone("small_cnn:width=4", weights="none", image_size=SIZE, seed=1)
    return Network(backbone, [Head()], units=2)


@pytest.fixture(scope="module")
def examples():
    return read_examples(Experiment(data=(IMAGES, np.array(["a", "b"] * (COUNT // 2)))))


@pytest.fixture
def filled(monkeypatch):
    """Boundary, view, number of examples and source of each call of `FeatureStore.fill`."""
    calls, fill = [], FeatureStore.fill

    def recorded(self, key, indices, forward, shapes, *, source=None):
        start = source.boundary if source else INPUT
        calls.append((key.boundary, key.view.number, len(indices), start))
        fill(self, key, indices, forward, shapes, source=source)

    monkeypatch.setattr(FeatureStore, "fill", recorded)
    return calls


def cached_views(count, augment="crop"):
    return Views(augment=augment, seed=3, cached=count)


def test_features_equal_the_networks_and_are_computed_once(network, examples, filled):
    extractor = FeatureExtractor(network, examples)
    found = extractor.features(EVERY)
    expected = network.predict(IMAGES.astype(np.float32))[FEATURES].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(extractor.features(EVERY[5:]), found[5:])
    assert filled == [(FEATURES, 0, COUNT, INPUT)]


def test_features_after_the_weights_changed_are_computed_again(network, examples, filled):
    extractor = FeatureExtractor(network, examples)
    before = extractor.features(EVERY)
    variable = network.variables("stage1")[0]
    value = variable.numpy()
    try:
        variable.assign(2 * value)
        np.testing.assert_array_equal(extractor.features(EVERY), before)
        extractor.weights_changed()
        assert np.abs(extractor.features(EVERY) - before).max() > 0
    finally:
        variable.assign(value)
    assert len(filled) == 2


def test_features_above_a_phases_boundary_are_computed_from_it(network, examples, filled):
    phases = [PhaseFeatures(boundary="stage1", views=cached_views(2))]
    extractor = FeatureExtractor(network, examples, phases=phases)
    train = examples.where("train")
    extractor.features(train)
    expected = [("stage1", 0, len(train), INPUT), (FEATURES, 0, len(train), "stage1")]
    assert filled == expected
    extractor.features(examples.where("test"))  # no phase reads these
    assert filled[2:] == [(FEATURES, 0, len(examples.where("test")), INPUT)]


def test_keys_are_one_per_cached_view_of_the_streams_augmentation(network, examples, filled):
    extractor = FeatureExtractor(network, examples)
    phase = PhaseFeatures(boundary="stage2", views=cached_views(3))
    keys = extractor.keys(phase, EVERY, "crop")
    assert [(key.view.number, key.view.augment) for key in keys] == [
        (0, "none"),
        (1, "mirror"),
        (2, "crop"),
    ]
    assert [view for _, view, *_ in filled] == [0, 1, 2]
    strong = extractor.keys(phase, EVERY, "strong")
    assert {key.view.augment for key in strong} == {"strong"}
    assert extractor.streamed(phase) is None


def test_phase_with_fresh_views_runs_the_frozen_layers_in_inference_mode(network, examples, filled):
    extractor = FeatureExtractor(network, examples)
    phase = PhaseFeatures(boundary="stage2", views=Views(augment="crop"), epochs=2)
    assert extractor.keys(phase, EVERY, "crop") == ()
    (found,) = extractor.inputs(phase, EVERY)(EVERY[:3])
    forward = extractor.streamed(phase)
    (streamed,) = forward(extractor.decoded.fetch(EVERY[:3]))
    np.testing.assert_array_equal(found, streamed)
    (cached,) = extractor.stored("stage2", EVERY[:3])
    np.testing.assert_allclose(found, cached, rtol=1e-5, atol=1e-6)
    assert len(filled) == 1


def test_inputs_of_a_phase_without_frozen_layers_are_the_decoded_examples(network, examples):
    extractor = FeatureExtractor(network, examples)
    (found,) = extractor.inputs(PhaseFeatures(boundary=INPUT), EVERY)(EVERY[:2])
    np.testing.assert_array_equal(found, IMAGES[:2])


def test_shared_caches_serve_a_second_extractor(network, examples, filled):
    shared = SharedCaches()
    first = FeatureExtractor(network, examples, shared=shared)
    found = first.features(EVERY)
    second = FeatureExtractor(network, examples, shared=shared)
    np.testing.assert_array_equal(second.features(EVERY), found)
    assert len(filled) == 1 and second.decoded is first.decoded


def test_values_file_is_in_the_cache_and_depends_on_its_parts(network, examples, tmp_path):
    extractor = FeatureExtractor(network, examples, cache=FeatureCache(tmp_path))
    files = {extractor.values_file("baselines", 1), extractor.values_file("baselines", 2)}
    assert len(files) == 2 and {file.parent for file in files} == {tmp_path / "values"}
    assert FeatureExtractor(network, examples).values_file("baselines") is None
