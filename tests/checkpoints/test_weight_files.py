"""Weight files: real ones fit exactly, and every wrong one is reported."""

import functools
import shutil

import h5py
import keras
import numpy as np
import pytest

from tftransfer.backbones.image.small_cnn import small_cnn
from tftransfer.backbones.load import load_backbone
from tftransfer.backbones.registry import register_backbone
from tftransfer.checkpoints.weight_files import load_weights
from tftransfer.utils.errors import UserError
from tftransfer.utils.files import file_sha256

V1_BODY = "mobilenet_2_5_224_tf_no_top.h5"
V1_WHOLE = "mobilenet_2_5_224_tf.h5"
V2_BODY = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
SIZE = 96


@pytest.fixture
def weights(shared_data):
    return shared_data / "weights"


@functools.cache
def images():
    return np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 3)).astype(np.float32)


def features(model):
    return np.asarray(model([images()], training=False))


@pytest.mark.parametrize(
    "backbone, constructor, alpha, file",
    [
        ("mobilenet:alpha=0.25", "MobileNet", 0.25, V1_BODY),
        ("mobilenet_v2:alpha=0.35", "MobileNetV2", 0.35, V2_BODY),
        ("MobileNet-V2:alpha=0.35", "MobileNetV2", 0.35, V2_BODY),
    ],
)
def test_load_backbone_features_equal_those_of_keras(weights, backbone, constructor, alpha, file):
    ours = load_backbone(backbone, weights=str(weights / file), image_size=SIZE)
    plain = getattr(keras.applications, constructor)(
        alpha=alpha, include_top=False, weights=None, input_shape=(SIZE, SIZE, 3)
    )
    plain.load_weights(weights / file)
    expected = np.asarray(plain(images() / 127.5 - 1, training=False))
    np.testing.assert_allclose(features(ours.model), expected, atol=1e-5)
    assert expected.max() > 0.1
    assert ours.pretrained
    assert ours.weights_sha256 == file_sha256(weights / file)


def test_load_backbone_ignores_the_top_of_a_file(weights):
    whole = load_backbone("mobilenet:alpha=0.25", weights=f"{weights / V1_WHOLE}", image_size=SIZE)
    body = load_backbone("mobilenet:alpha=0.25", weights=f"{weights / V1_BODY}", image_size=SIZE)
    for ours, theirs in zip(whole.model.get_weights(), body.model.get_weights()):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "backbone, expected",
    [
        ("mobilenet:alpha=0.5", ["layer conv1 has shapes [(3, 3, 3, 16)]", "has [(3, 3, 3, 8)]"]),
        ("mobilenet_v2:alpha=0.35", ["layer Conv1 has shapes [(3, 3, 3, 16)]", "more)"]),
        ("small_cnn", ["layer conv1a has shapes [(3, 3, 3, 16)]", "conv1 has [(3, 3, 3, 8)]"]),
    ],
)
def test_load_backbone_weights_of_another_model_is_an_error(weights, backbone, expected):
    with pytest.raises(UserError) as caught:
        load_backbone(backbone, weights=str(weights / V1_BODY), image_size=SIZE)
    assert all(words in caught.value.what for words in [V1_BODY, *expected]), caught.value.what
    assert "same options" in caught.value.remedy


def test_load_weights_assigns_nothing_if_one_layer_does_not_fit(tmp_path):
    path = legacy_file(tmp_path / "half.h5", {"conv1a": (3, 3, 3, 16), "conv1b": (1, 1, 16, 16)})
    model = small_cnn(16)
    before = model.get_weights()
    with pytest.raises(UserError, match="conv1b"):
        load_weights(model, path)
    for old, new in zip(before, model.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_load_weights_matches_unknown_names_in_order(tmp_path):
    names = {"first": (3, 3, 3, 4), "second": (3, 3, 4, 4)}
    path = legacy_file(tmp_path / "order.h5", names)
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), *(keras.layers.Conv2D(4, 3, use_bias=False) for _ in names)]
    )
    load_weights(model, path)
    assert [float(array.flat[0]) for array in model.get_weights()] == [1.0, 2.0]


def test_load_weights_reads_a_slash_in_a_name_as_underscore(tmp_path):
    path = legacy_file(tmp_path / "slash.h5", {"fire/b": (3, 3, 4, 4), "fire/a": (3, 3, 3, 4)})
    layers = [keras.layers.Conv2D(4, 3, use_bias=False, name=f"fire_{k}") for k in "ab"]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    load_weights(model, path)
    assert [float(array.flat[0]) for array in model.get_weights()] == [2.0, 1.0]


def legacy_file(path, shapes):
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in shapes]
        for number, (name, shape) in enumerate(shapes.items(), 1):
            group = file.create_group(name)
            group.attrs["weight_names"] = [b"kernel:0"]
            group["kernel:0"] = np.full(shape, number, np.float32)
    return path


def truncated(path, weights):
    path.write_bytes((weights / V1_BODY).read_bytes()[:100_000])


def no_hdf5(path, weights):
    path.write_text("<!DOCTYPE html><title>404</title>")


def garbled_names(path, weights):
    legacy_file(path, {"conv1": (3, 3, 3, 8)})
    data = path.read_bytes()
    assert b"kernel:0" in data
    path.write_bytes(data.replace(b"kernel:0", b"k\x93\x90rnel0"))


def other_hdf5(path, weights):
    with h5py.File(path, "w") as file:
        file["table"] = np.zeros(3)


@pytest.mark.parametrize("damage", [truncated, no_hdf5, garbled_names, other_hdf5])
def test_load_backbone_damaged_file_is_an_error(weights, tmp_path, damage):
    path = tmp_path / "given.h5"
    damage(path, weights)
    with pytest.raises(UserError, match=r"given\.h5"):
        load_backbone("mobilenet:alpha=0.25", weights=str(path), image_size=SIZE)


def test_load_backbone_missing_file_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.h5 does not exist"):
        load_backbone("small_cnn", weights=str(tmp_path / "nowhere.h5"))


def test_load_weights_other_sha256_is_an_error(weights):
    model = small_cnn(16)
    with pytest.raises(UserError, match=f"sha256 {file_sha256(weights / V1_BODY)}, not {'0' * 64}"):
        load_weights(model, weights / V1_BODY, sha256="0" * 64)


def test_register_backbone_sha256_is_checked_by_file_name(tmp_path):
    model = small_cnn(16)
    model.save_weights(tmp_path / "known.weights.h5")
    digest = file_sha256(tmp_path / "known.weights.h5")
    register_backbone("good", sha256={"known.weights.h5": digest})(lambda size: small_cnn(size))
    register_backbone("bad", sha256={"known.weights.h5": "0" * 64})(
        lambda size: small_cnn(size, 16)
    )
    path = str(tmp_path / "known.weights.h5")
    assert load_backbone("good", weights=path, image_size=16).weights_sha256 == digest
    with pytest.raises(UserError, match="not the expected one"):
        load_backbone("bad", weights=path, image_size=16)


def test_load_backbone_reads_weights_h5_of_keras_3(tmp_path):
    path = tmp_path / "a.weights.h5"
    keras.utils.set_random_seed(1)
    saved = small_cnn(16)
    saved.save_weights(path)
    loaded = load_backbone("small_cnn", weights=str(path), image_size=16, seed=2)
    for ours, theirs in zip(loaded.model.get_weights(), saved.get_weights()):
        np.testing.assert_array_equal(ours, theirs)
    assert loaded.weights_sha256 == file_sha256(path)
    with pytest.raises(UserError, match=r"a\.weights\.h5 does not fit small_cnn"):
        load_backbone("small_cnn:width=8", weights=str(path), image_size=16)
    shutil.copy(path, tmp_path / "cut.weights.h5")
    with (tmp_path / "cut.weights.h5").open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(UserError, match=r"cut\.weights\.h5"):
        load_backbone("small_cnn", weights=str(tmp_path / "cut.weights.h5"), image_size=16)
