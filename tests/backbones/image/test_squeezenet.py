"""A registered backbone, from the configuration that shows how, with its real weights."""

import importlib.util
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from tftransfer.backbones.load import load_backbone
from tftransfer.backbones.registry import BACKBONES, register_backbone
from tftransfer.utils.errors import UserError

CONFIG = Path(__file__).resolve().parents[3] / "configs" / "squeezenet.py"
FILE = "squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5"
SHA256 = "2d935d8c102ad1232484a77da8e6fbdf3ff4ab608974a0d8b6283115ffff204f"


@pytest.fixture
def config():
    return import_config()


def import_config():
    spec = importlib.util.spec_from_file_location("squeezenet_config", CONFIG)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pretrained(config, shared_data):
    return load_backbone("squeezenet", weights=str(shared_data / "weights" / FILE))


def images():
    return np.random.default_rng(0).uniform(0, 255, (3, 160, 160, 3)).astype(np.float32)


def numpy_relu_convolution(x, kernel, bias, stride):
    side = (x.shape[0] - kernel.shape[0]) // stride + 1
    out = np.zeros((side, side, kernel.shape[-1]))
    for i in range(side):
        for j in range(side):
            patch = x[i * stride : i * stride + 3, j * stride : j * stride + 3]
            out[i, j] = np.tensordot(patch, kernel, 3) + bias
    return np.maximum(out, 0)


def test_get_config_names_what_it_registers(config):
    values = config.get_config()
    assert (values.backbone, values.image_size) == ("squeezenet", 160)
    assert values.recipe["name"] == "feature_extraction"
    assert BACKBONES["squeezenet"].build.__code__ == config.build.__code__
    assert "--config=squeezenet " in config.__doc__


def test_register_backbone_accepts_the_same_function_again_but_no_other(config):
    again = import_config()
    assert again.build is not config.build
    with pytest.raises(ValueError, match="squeezenet"):
        register_backbone("squeezenet")(lambda size: None)


def test_load_backbone_assigns_every_weight_of_the_file(pretrained):
    assert pretrained.weights_sha256 == SHA256
    assert pretrained.preprocessor.image_size == 160
    assert pretrained.model.count_params() == 722_496
    assert pretrained.model.output_shape == (None, 9, 9, 512)
    conv1 = pretrained.model.get_layer("conv1")
    assert np.abs(conv1.bias.numpy()).max() > 0


def test_stages_end_at_poolings_and_compose_exactly(pretrained):
    model, stages = pretrained.model, pretrained.stages
    assert [stage.stride for stage in stages] == [4, 8, 16, 16]
    assert [stage.layers[-1].name for stage in stages] == [
        "pool1",
        "pool3",
        "pool5",
        "fire9_concat",
    ]
    whole = np.asarray(model(images(), training=False))
    for stage in stages[:-1]:
        first = keras.Model(model.inputs[0], stage.outputs[0])
        second = keras.Model(stage.outputs[0], model.outputs[0])
        composed = second(first(images(), training=False), training=False)
        assert np.abs(np.asarray(composed) - whole).max() == 0.0


def test_preprocessing_is_bgr_minus_the_means(pretrained):
    conv1 = pretrained.model.get_layer("conv1")
    image = images()[0]
    small = image[:9, :9, ::-1].astype(np.float64) - (103.939, 116.779, 123.68)
    expected = numpy_relu_convolution(small, conv1.kernel.numpy(), conv1.bias.numpy(), 2)
    submodel = keras.Model(pretrained.model.inputs[0], conv1.output)
    got = np.asarray(submodel(image[None], training=False))[0, :4, :4]
    np.testing.assert_allclose(got, expected, atol=1e-2, rtol=1e-4)


def test_features_of_a_photograph_are_nearest_to_its_mirror_image(
    pretrained, shared_data, tmp_path
):
    from PIL import Image

    shutil.unpack_archive(shared_data / "imagenet_sample" / "imagenet_sample.zip", tmp_path)
    files = sorted(tmp_path.rglob("*.jpg"))[:4]
    photographs = np.stack(
        [np.asarray(Image.open(f).convert("RGB").resize((160, 160)), np.float32) for f in files]
    )
    features = np.asarray(pretrained.model(photographs, training=False)).mean(axis=(1, 2))
    mirrored = np.asarray(pretrained.model(photographs[:, :, ::-1], training=False))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    mirrored = mirrored.mean(axis=(1, 2))
    mirrored /= np.linalg.norm(mirrored, axis=1, keepdims=True)
    similarity = unit @ mirrored.T
    assert (similarity.argmax(axis=1) == np.arange(len(files))).all()
    assert np.diag(similarity).min() > 0.9


def test_load_backbone_altered_file_is_an_error(config, shared_data, tmp_path):
    data = bytearray((shared_data / "weights" / FILE).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(UserError, match=f"not {SHA256}"):
        load_backbone("squeezenet", weights=str(tmp_path / FILE))
