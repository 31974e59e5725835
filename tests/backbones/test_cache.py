"""Backbones that are loaded once and used again."""

import os

import numpy as np

from tftransfer.backbones.cache import BackboneCache, process_backbone_cache
from tftransfer.backbones.load import load_backbone
from tftransfer.checkpoints import weights as weight_arrays


def test_backbone_cache_returns_a_backbone_as_it_was_loaded():
    cache = BackboneCache()
    options = {"weights": "none", "image_size": 32, "seed": 3}
    name = "efficientnet_b0"
    first = cache.load(name, **options)
    before = [variable.numpy() for variable in first.model.variables]
    image = np.full((1, 32, 32, 3), 100, np.float32)
    expected = np.asarray(first.model(image, training=False))
    for variable in first.model.variables:
        if variable.dtype == "float32":
            variable.assign(variable.numpy() + 1.0)
    weight_arrays.update_derived_values(first.model.layers)
    second = cache.load(name, **options)
    for variable, value in zip(second.model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    np.testing.assert_array_equal(np.asarray(second.model(image, training=False)), expected)


def test_process_backbone_cache_has_one_user_at_a_time():
    with process_backbone_cache() as first, process_backbone_cache() as second:
        assert first is not second
    with process_backbone_cache() as third:
        assert third is first


def test_backbone_cache_respects_its_limits(tmp_path):
    cache, options = BackboneCache(max_count=1), {"weights": "none", "image_size": 16, "seed": 0}
    first = cache.load("small_cnn", **options)
    assert cache.load("small_cnn", **options) is first
    assert cache.load("small_cnn:width=8", **options) is not first
    assert cache.load("small_cnn", **options) is not first
    tiny = BackboneCache(max_bytes=10)
    assert tiny.load("small_cnn", **options) is not tiny.load("small_cnn", **options)


def test_backbone_cache_reloads_a_changed_weights_file(tmp_path):
    options = {"image_size": 16, "seed": 0}
    model = load_backbone("small_cnn", weights="none", **options).model
    path, cache = tmp_path / "source.weights.h5", BackboneCache()
    model.save_weights(path)
    before = cache.load("small_cnn", weights=str(path), **options)
    assert cache.load("small_cnn", weights=str(path), **options) is before
    stamp = path.stat()
    model.set_weights([w + 1 for w in model.get_weights()])
    model.save_weights(path)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    after = cache.load("small_cnn", weights=str(path), **options)
    np.testing.assert_array_equal(after.model.get_weights()[0], model.get_weights()[0])
