"""A `keras.Model` as a backbone: unfolded, without its top, stored with the run."""

import json
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

import tftransfer
from tftransfer.backbones.keras_model import check_keras_model
from tftransfer.backbones.load import check_backbone, load_backbone, max_length
from tftransfer.checkpoints.architecture import build_from_json
from tftransfer.core.recipe import Head
from tftransfer.models.network import FEATURES, Network
from tftransfer.utils.errors import UserError

SIZE = 32


def body(name="body", *, rescaling=True, size=SIZE):
    """Three convolutions that halve the resolution, with BatchNorm."""
    x = pixels = keras.Input((size, size, 3), name=f"{name}_pixels")
    if rescaling:
        x = layers.Rescaling(1 / 255, name="rescale")(x)
    for number in (1, 2, 3):
        x = layers.Conv2D(4 * number, 3, strides=2, padding="same", name=f"conv{number}")(x)
        x = layers.BatchNormalization(name=f"norm{number}")(x)
        x = layers.ReLU(name=f"relu{number}")(x)
    return trained(keras.Model(pixels, x, name=name))


def trained(model):
    """The model with weights that no initializer draws, statistics included."""
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.1, 0.5, weight.shape) for weight in model.get_weights()])
    return model


def classifier(inner, *, top):
    """The usual transfer model: `inner` called as a layer, below the layers of `top`."""
    x = pixels = keras.Input((SIZE, SIZE, 3), name="images")
    x = inner(x, training=False)
    for layer in top:
        x = layer(x)
    return trained(keras.Model(pixels, x, name="classifier"))


def images(count=2, size=SIZE):
    return np.random.default_rng(1).uniform(0, 255, (count, size, size, 3)).astype(np.float32)


def output(backbone, pixels=None):
    pixels = images() if pixels is None else pixels
    return np.asarray(backbone.model([pixels], training=False))


def test_load_backbone_model_without_top_computes_the_same_in_stages():
    model = body()
    backbone = load_backbone(model)
    np.testing.assert_allclose(output(backbone), model(images()), rtol=1e-5)
    assert [stage.stride for stage in backbone.stages] == [2, 4, 8]
    assert backbone.preprocessor.shape == (SIZE, SIZE, 3)
    assert backbone.pretrained and backbone.weights == "the given keras.Model body"
    assert len(backbone.weights_sha256) == 64


def test_load_backbone_does_not_change_the_given_model():
    model = body()
    before = model.get_weights()
    backbone = load_backbone(model)
    for variable in backbone.model.variables:
        variable.assign(variable + 1)
    for ours, theirs in zip(before, model.get_weights()):
        np.testing.assert_array_equal(ours, theirs)
    assert len(model.get_layer("conv1")._inbound_nodes) == 1


POOLED = (layers.GlobalAveragePooling2D, "average_pool")
TOPS = {
    "pooling": (["pool"], "relu3"),
    "pooling and dense": (["pool", "dropout", "scores"], "relu3"),
    "hidden layers": (["pool", "hidden", "dropout", "scores", "softmax"], "relu3"),
    "flatten and dense": (["flatten", "scores", "softmax"], "relu3"),
    "dense above a dense": (["flatten", "hidden", "dropout", "scores"], "hidden"),
    "max pooling": (["max_pool", "scores"], "max_pool"),
    "convolution of one pixel": (["pool_map", "conv_scores", "flatten", "softmax"], "relu3"),
    "none": ([], "relu3"),
}
MAKERS = {
    "pool": lambda: layers.GlobalAveragePooling2D(name="pool"),
    "pool_map": lambda: layers.GlobalAveragePooling2D(keepdims=True, name="pool_map"),
    "max_pool": lambda: layers.GlobalMaxPooling2D(name="max_pool"),
    "flatten": lambda: layers.Flatten(name="flatten"),
    "dropout": lambda: layers.Dropout(0.5, name="dropout"),
    "hidden": lambda: layers.Dense(6, "relu", name="hidden"),
    "scores": lambda: layers.Dense(5, name="scores"),
    "conv_scores": lambda: layers.Conv2D(5, 1, name="conv_scores"),
    "softmax": lambda: layers.Softmax(name="softmax"),
}


@pytest.mark.parametrize("case", TOPS)
def test_load_backbone_removes_the_top_of_a_nested_model_and_reports_it(case):
    names, last = TOPS[case]
    inner = body()
    model = classifier(inner, top=[MAKERS[name]() for name in names])
    backbone = load_backbone(model)
    assert backbone.model.layers[-1].name == last
    removed = [
        name for name in names if name not in {layer.name for layer in backbone.model.layers}
    ]
    if removed:
        assert f"top is removed ({', '.join(removed)})" in backbone.remarks[0]
        assert f"the output of {last}" in backbone.remarks[0]
    else:
        assert not any("removed" in remark for remark in backbone.remarks)
    if last == "relu3":
        np.testing.assert_allclose(output(backbone), inner(images()), rtol=1e-5)
        assert [stage.stride for stage in backbone.stages] == [2, 4, 8]
    else:
        expected = keras.Model(model.input, model.get_layer(last).output)(images())
        np.testing.assert_allclose(output(backbone), expected, rtol=1e-4)


def test_load_backbone_unfolds_models_in_models_with_equal_layer_names():
    first = keras.Sequential([keras.Input((SIZE, SIZE, 3)), layers.Conv2D(3, 3, name="conv1")])
    x = pixels = keras.Input((SIZE, SIZE, 3), name="pixels")
    x = body(size=None)(body_of_one(first)(x))
    model = trained(keras.Model(pixels, x, name="outer"))
    backbone = load_backbone(model)
    assert not any(isinstance(layer, keras.Model) for layer in backbone.model.layers)
    np.testing.assert_allclose(output(backbone), model(images()), rtol=1e-5)
    names = [layer.name for layer in backbone.model.layers if "conv1" in layer.name]
    assert len(names) == len(set(names)) == 2


def body_of_one(layer):
    pixels = keras.Input((SIZE, SIZE, 3))
    return keras.Model(pixels, layer(pixels), name="one")


def test_load_backbone_keeps_a_shared_layer_shared():
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    pixels = keras.Input((SIZE, SIZE, 3))
    model = trained(keras.Model(pixels, layers.Add()([shared(pixels), shared(shared(pixels))])))
    backbone = load_backbone(model)
    assert len(backbone.model.weights) == 2
    np.testing.assert_allclose(output(backbone), model(images()), rtol=1e-5)


def test_load_backbone_of_a_sequential():
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.RandomFlip(name="flip"),
            keras.Sequential([layers.RandomZoom(0.1, name="zoom")]),
            layers.Rescaling(1 / 255, name="rescale"),
            layers.Conv2D(4, 3, strides=2, name="conv1"),
            layers.Conv2D(8, 3, strides=2, name="conv2"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(3, "softmax", name="scores"),
        ]
    )
    backbone = load_backbone(trained(model))
    expected = keras.Model(model.inputs, model.get_layer("conv2").output)(images(), training=False)
    np.testing.assert_allclose(output(backbone), expected, rtol=1e-5)
    assert [stage.stride for stage in backbone.stages] == [2, 4]
    assert "random layers are removed (flip, zoom)" in backbone.remarks[1]
    assert [layer.name for layer in backbone.model.layers][1:] == ["rescale", "conv1", "conv2"]


def test_load_backbone_of_mobilenet_v2_has_the_stages_of_the_name():
    inner = keras.applications.MobileNetV2(
        input_shape=(96, 96, 3), alpha=0.35, weights=None, include_top=True, classes=7
    )
    x = pixels = keras.Input((96, 96, 3))
    x = keras.applications.mobilenet_v2.preprocess_input(x)
    backbone = load_backbone(keras.Model(pixels, inner(x)))
    named = load_backbone("mobilenet_v2:alpha=0.35", weights="none", image_size=96)
    assert [stage.stride for stage in backbone.stages] == [stage.stride for stage in named.stages]
    for ours, theirs in zip(backbone.stages, named.stages):
        assert [layer.count_params() for layer in ours.layers if layer.weights] == [
            layer.count_params() for layer in theirs.layers if layer.weights
        ]
    assert "scales them itself" in backbone.remarks[-1]
    named.model.set_weights(backbone.model.get_weights())
    pixels = images(size=96)
    np.testing.assert_allclose(output(backbone, pixels), output(named, pixels), atol=1e-4)


def test_remarks_report_the_range_of_pixels_and_how_to_change_it():
    assert "scales them itself (rescale)" in load_backbone(body()).remarks[-1]
    model = body(rescaling=False)
    remark = load_backbone(model).remarks[-1]
    assert "0 to 255, since it has no Rescaling" in remark
    code = re.search(r"keras\.Sequential\(.*\)", remark)[0]
    changed = load_backbone(eval(code, {"keras": keras, "model": model}))
    np.testing.assert_allclose(output(changed), model(images() / 127.5 - 1), rtol=1e-4)


def test_normalization_layers_keep_their_statistics():
    normalization = layers.Normalization(name="standardize")
    normalization.adapt(images(8))
    pixels = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(pixels, body(rescaling=False)(normalization(pixels)))
    backbone = load_backbone(model)
    np.testing.assert_allclose(output(backbone), model(images()), rtol=1e-4)
    assert "scales them itself (standardize)" in backbone.remarks[-1]


@pytest.mark.parametrize("weights", ["none", "file"])
def test_weights_option_replaces_those_of_the_model(tmp_path, weights):
    model = body()
    path = tmp_path / "other.weights.h5"
    other = keras.models.clone_model(model)
    other.save_weights(path)
    backbone = load_backbone(model, weights="none" if weights == "none" else str(path))
    assert backbone.pretrained is (weights == "file")
    assert not np.allclose(output(backbone), model(images()))
    if weights == "file":
        np.testing.assert_allclose(output(backbone), other(images()), rtol=1e-5)


def test_random_weights_depend_on_the_seed_alone():
    backbone = load_backbone(body())
    first, again, other = (backbone.random_weights(seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first["conv2"][0], again["conv2"][0])
    assert not np.array_equal(first["conv2"][0], other["conv2"][0])


def test_image_size_changes_a_convolutional_model():
    backbone = load_backbone(body(), image_size=48)
    assert backbone.model.input_shape == (None, 48, 48, 3)
    open_model = body(size=None)
    assert load_backbone(open_model).model.input_shape == (None, 224, 224, 3)
    np.testing.assert_allclose(
        output(load_backbone(open_model, image_size=40), images(size=40)),
        open_model(images(size=40)),
        rtol=1e-5,
    )


def test_image_size_that_the_layers_do_not_allow_is_an_error():
    model = classifier(body(), top=[layers.Flatten(), layers.Dense(6), layers.Dense(2)])
    with pytest.raises(UserError, match=r"\n.*image_size"):
        load_backbone(model, image_size=64)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_layers_compute_in_the_present_precision(policy):
    from tftransfer.models.inference import dtype_policy

    model = body()
    with dtype_policy(policy):
        backbone = load_backbone(model)
    assert backbone.model.get_layer("conv2").dtype_policy.name == policy


def test_audio_becomes_spectrograms():
    backbone = load_backbone(body(size=None), modality="audio", length=2.0)
    assert backbone.preprocessor.description == "2 s as spectrograms of 160 px"
    assert "spectrograms of 160 px" in backbone.remarks[-1]
    assert max_length(body(), "audio") == 30.0


def lambda_model():
    pixels = keras.Input((SIZE, SIZE, 3))
    x = layers.Lambda(lambda x: x / 255, name="scale")(pixels)
    return keras.Model(pixels, layers.Conv2D(3, 3)(x), name="scaled")


class Unregistered(layers.Layer):
    def call(self, x):
        return x


def unregistered_model():
    pixels = keras.Input((SIZE, SIZE, 3))
    return keras.Model(pixels, layers.Conv2D(3, 3)(Unregistered(name="own")(pixels)), name="m")


def two_inputs():
    first, second = keras.Input((SIZE, SIZE, 3)), keras.Input((SIZE, SIZE, 3))
    return keras.Model([first, second], layers.Add()([first, second]), name="pair")


def two_outputs():
    pixels = keras.Input((SIZE, SIZE, 3))
    return keras.Model(pixels, [pixels + 1, pixels + 2], name="forked")


class Subclassed(keras.Model):
    def call(self, x):
        return x


class OwnCall(keras.Model):
    """A functional model whose `call` does more than its graph."""

    def call(self, x, training=None, mask=None):
        return super().call(x) + 1


def own_call():
    pixels = keras.Input((SIZE, SIZE, 3))
    return OwnCall(pixels, layers.Conv2D(3, 3)(pixels), name="own")


def flat_input():
    numbers = keras.Input((8,))
    return keras.Model(numbers, layers.Dense(3)(numbers), name="flat")


def only_a_classifier():
    pixels = keras.Input((SIZE, SIZE, 3))
    return keras.Model(pixels, layers.Dense(3)(layers.Flatten()(pixels)), name="linear")


REFUSED = {
    lambda_model: ("The layer scale of the keras.Model is a Lambda", "Replace it"),
    unregistered_model: ("the class Unregistered is not registered", "Register the class"),
    two_inputs: ("pair has 2 inputs", "one input and one output"),
    two_outputs: ("forked has 2 outputs", "one input and one output"),
    Subclassed: ("is a Subclassed, not a functional", "keras.Model(inputs, outputs)"),
    own_call: ("is a OwnCall, not a functional", "keras.Model(inputs, outputs)"),
    lambda: keras.Sequential([layers.Dense(2)]): (
        "is a Sequential",
        "a Sequential that starts with keras.Input",
    ),
    flat_input: ("takes inputs of the shape (None, 8)", "(None, size, size, 3)"),
    only_a_classifier: ("no weights below its classifier", "can be transferred"),
}


@pytest.mark.parametrize("make", REFUSED)
def test_load_backbone_unsuitable_model_is_an_error_of_two_lines(make):
    what, remedy = REFUSED[make]
    with pytest.raises(UserError) as error:
        load_backbone(make())
    assert what in error.value.what and remedy in error.value.remedy
    assert str(error.value).count("\n") == 1


def module_of(package, name):
    """An object whose class is that of another package's network."""
    return type(name, (type("Module", (), {"__module__": f"{package}.nn"}),), {})()


@pytest.mark.parametrize(
    "value, what, remedy",
    [
        (module_of("torch", "Net"), "Keras 3, got test_keras_model.Net", "PyTorch modules are not"),
        (module_of("tf_keras", "Net"), "a keras.Model of Keras 3", "without TF_USE_LEGACY_KERAS=1"),
        (3, "a name or a keras.Model of Keras 3, got int", "functional keras.Model"),
    ],
)
def test_check_backbone_object_of_another_library_is_an_error_of_two_lines(value, what, remedy):
    with pytest.raises(UserError) as error:
        check_backbone(value, "image")
    assert what in error.value.what and remedy in error.value.remedy
    assert str(error.value).count("\n") == 1


def test_check_backbone_texts_need_the_name_of_a_backbone():
    with pytest.raises(UserError, match="takes images, but the data are texts"):
        check_keras_model(body(), "text")


def test_check_backbone_placeholder_of_a_model_is_an_error():
    placeholder = tftransfer.Experiment(backbone=body()).without_memory().backbone
    assert placeholder == "<keras.Model body in memory>"
    with pytest.raises(UserError, match="was given from Python"):
        check_backbone(placeholder, "image")
    with pytest.raises(UserError, match="was in memory"):
        load_backbone("keras_model")


@pytest.mark.parametrize(
    "class_name, config",
    [
        ("Lambda", {"name": "x"}),
        ("TFHubLayer", {"path": "/tmp/module"}),
        ("__lambda__", {"value": ["4wEAAA=="]}),
    ],
)
def test_build_from_json_refuses_programs(class_name, config):
    data = json.loads(load_backbone(body()).assets["keras_model.json"])
    data["config"]["layers"][1] |= {"class_name": class_name, "config": config}
    with pytest.raises(UserError, match="a program, which is not stored"):
        build_from_json(json.dumps(data).encode())


def test_build_from_json_refuses_classes_of_other_modules():
    data = json.loads(load_backbone(body()).assets["keras_model.json"])
    data["config"]["layers"][1] |= {"module": "subprocess", "class_name": "Popen"}
    with pytest.raises(UserError, match="the class Popen is not registered"):
        build_from_json(json.dumps(data).encode())


@keras.saving.register_keras_serializable("tests")
class Registered(layers.Layer):
    """A layer of the user's own, known in this process alone."""

    def call(self, x):
        return x * 2.0


def test_load_backbone_keeps_registered_layers():
    pixels = keras.Input((SIZE, SIZE, 3))
    model = trained(keras.Model(pixels, layers.Conv2D(3, 3)(Registered()(pixels))))
    backbone = load_backbone(model)
    np.testing.assert_allclose(output(backbone), model(images()), rtol=1e-5)


NEW_PROCESS = """
import sys, numpy as np, tftransfer
folder, next_folder, images = sys.argv[1:]
run = tftransfer.load(folder)
np.save("scores.npy", np.asarray(run.model.predict(np.load("pixels.npy"), verbose=0)))
experiment = tftransfer.Experiment(
    data=images, backbone=folder, recipe="feature_extraction:epochs=1", batch_size=8
)
again = tftransfer.train(experiment, next_folder, export=False)
assert again.workdir.joinpath("assets/keras_model.json").is_file()
"""


@pytest.mark.slow
def test_run_of_a_model_is_loaded_exported_and_transferred_in_a_new_process(image_folder, tmp_path):
    model = classifier(body(), top=[layers.GlobalAveragePooling2D(), layers.Dense(9)])
    experiment = tftransfer.Experiment(
        data=str(image_folder),
        backbone=model,
        recipe="fine_tune:unfreeze=1,epochs=1,head_epochs=1",
        batch_size=8,
    )
    run = tftransfer.train(experiment, tmp_path / "run")
    stored = json.loads((tmp_path / "run" / "config.json").read_text())["experiment"]
    assert stored["backbone"] == "<keras.Model classifier in memory>"
    assert (tmp_path / "run" / "export" / "saved_model.pb").is_file()
    pixels = images()
    np.save(tmp_path / "pixels.npy", pixels)
    expected = np.asarray(run.model.predict(pixels, verbose=0))
    arguments = [str(tmp_path / "run"), str(tmp_path / "next"), str(image_folder)]
    subprocess.run([sys.executable, "-c", NEW_PROCESS, *arguments], cwd=tmp_path, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), expected, atol=1e-5)


def test_truncated_model_in_a_network():
    backbone = load_backbone(body()).truncated("stage2")
    assert backbone.architecture == "keras_model:layer=stage2"
    network = Network(backbone, [Head()], units=2)
    assert network.predict(images())[FEATURES].shape == (2, 8)
