"""SavedModels as a Keras 3 layer: a real module of TF-Hub and small ones made here."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.backbones import tfhub
from tftransfer.backbones.load import load_backbone
from tftransfer.backbones.tfhub import TFHubLayer
from tftransfer.core.recipe import Head
from tftransfer.models.network import Network
from tftransfer.utils.errors import UserError
from tftransfer.utils.files import file_sha256

V2_BODY = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
SIDE = 8
PENALTY = 0.25


class Mean(tf.Module):
    """Pooled colors times a kernel; in training it also moves a statistic."""

    def __init__(self, side=None):
        super().__init__()
        self.side = side
        kernel = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
        self.kernel = tf.Variable(kernel, name="block/kernel")
        self.statistic = tf.Variable(tf.zeros(5), trainable=False, name="block/statistic")
        self.regularization_losses = [tf.function(self.penalty, input_signature=[])]

    def penalty(self):
        return PENALTY * tf.reduce_sum(self.kernel**2)

    def features(self, pixels, training):
        out = tf.reduce_mean(pixels, (1, 2)) @ self.kernel
        if training:
            self.statistic.assign(0.5 * self.statistic + 0.5 * tf.reduce_mean(out, 0))
        return out + self.statistic

    @tf.function
    def __call__(self, pixels, training=False):
        return self.features(pixels, training)


class KeywordOnly(Mean):
    @tf.function
    def __call__(self, pixels, *, training=False):
        return self.features(pixels, training)


class Several(Mean):
    @tf.function
    def __call__(self, pixels, training=False):
        out = self.features(pixels, training)
        return {"default": out, "doubled": 2 * out, "positive": tf.nn.relu(out)}


class NoDefault(Mean):
    @tf.function
    def __call__(self, pixels, training=False):
        out = self.features(pixels, training)
        return {"one": out, "two": 2 * out}


class Classifier(tf.Module):
    """A classification module: no argument `training`, one named output, another bool."""

    def __init__(self, side=None):
        super().__init__()
        self.side = side
        self.kernel = tf.Variable(tf.eye(3, 7), name="kernel")

    @tf.function
    def __call__(self, pixels, normalize=False):
        pixels = pixels * 2 - 1 if normalize else pixels
        return {"logits": tf.reduce_mean(pixels, (1, 2)) @ self.kernel}


class NotCallable(tf.Module):
    def __init__(self, side=None):
        super().__init__()
        self.side = side
        self.kernel = tf.Variable(1.0)


def saved(folder, kind, side=None):
    module = kind(side)
    if kind is not NotCallable:
        spec = tf.TensorSpec((None, side, side, 3), tf.float32)
        for flag in (True, False):
            word = "normalize" if kind is Classifier else "training"
            module.__call__.get_concrete_function(spec, **{word: flag})
    tf.saved_model.save(module, str(folder))
    return folder


def images(side=SIDE, count=4):
    return np.random.default_rng(1).uniform(0, 255, (count, side, side, 3)).astype(np.float32)


def tiny_network(folder, **options):
    backbone = load_backbone(str(folder), image_size=SIDE, trust_code=True, **options)
    return Network(backbone, [Head()], units=2)


def one_step(model, variables):
    optimizer = keras.optimizers.SGD(0.1)
    with tf.GradientTape() as tape:
        outputs = model([images()], training=True)
        features = outputs if tf.is_tensor(outputs) else outputs["features"]
        loss = tf.reduce_sum(features**2) + tf.add_n([*model.losses, tf.zeros(())])
        if "logits" in (outputs if isinstance(outputs, dict) else ()):
            loss += tf.reduce_sum(outputs["logits"])
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    optimizer.apply(gradients, variables)
    return gradients


def test_load_backbone_module_needs_trust_code(tmp_path):
    folder = saved(tmp_path / "module", Mean)
    with pytest.raises(UserError, match="a program that runs") as caught:
        load_backbone(str(folder), image_size=SIDE)
    assert "--trust_code" in caught.value.remedy


@pytest.mark.parametrize("kind", [Mean, KeywordOnly, Several])
def test_module_receives_pixels_in_0_to_1(tmp_path, kind):
    folder = saved(tmp_path / "module", kind)
    backbone = load_backbone(str(folder), image_size=SIDE, trust_code=True)
    expected = tf.reduce_mean(images() / 255, (1, 2)) @ kind().kernel
    got = backbone.model(images(), training=False)
    np.testing.assert_allclose(np.asarray(got), expected, atol=1e-5)
    assert backbone.model.output_shape == (None, 5)
    assert backbone.weights_sha256 == file_sha256(folder / "saved_model.pb")
    assert len(backbone.stages) == 1
    assert [layer.name for layer in backbone.stages[0].layers] == ["to_unit_range", "module"]


def test_classification_module_returns_scores_as_features(tmp_path):
    folder = saved(tmp_path / "module", Classifier)
    backbone = load_backbone(str(folder), image_size=SIDE, trust_code=True)
    expected = tf.reduce_mean(images() / 255, (1, 2)) @ tf.eye(3, 7)
    for training in (False, True):
        got = backbone.model(images(), training=training)
        np.testing.assert_allclose(np.asarray(got), expected, atol=1e-5)


@pytest.mark.parametrize("output, factor", [("", 1), ("default", 1), ("doubled", 2)])
def test_output_option_selects_an_output(tmp_path, output, factor):
    folder = saved(tmp_path / "module", Several)
    name = f"{folder}:output={output}" if output else str(folder)
    backbone = load_backbone(name, image_size=SIDE, trust_code=True)
    expected = factor * (tf.reduce_mean(images() / 255, (1, 2)) @ Several().kernel)
    np.testing.assert_allclose(np.asarray(backbone.model(images())), expected, atol=1e-5)
    assert backbone.architecture == name


@pytest.mark.parametrize(
    "kind, output, expected",
    [
        (NoDefault, "", ["several outputs: one, two", "output=NAME"]),
        (Several, "doubel", ["'doubel'", "Did you mean doubled?"]),
    ],
)
def test_output_option_ambiguous_or_unknown_is_an_error(tmp_path, kind, output, expected):
    folder = saved(tmp_path / "module", kind)
    with pytest.raises(UserError) as caught:
        load_backbone(f"{folder}:output={output}", image_size=SIDE, trust_code=True)
    assert all(words in str(caught.value) for words in expected), str(caught.value)


@pytest.mark.parametrize("kind", [Mean, KeywordOnly])
def test_trainable_module_updates_variables_and_statistics(tmp_path, kind):
    network = tiny_network(saved(tmp_path / "module", kind))
    network.set_trainable({"stage1": 1.0, "head": 1.0}, batch_norm="train")
    variables = network.variables("stage1", trainable=True)
    assert [variable.name for variable in variables] == ["block_kernel"]
    before = [variable.numpy() for variable in network.variables("stage1")]
    gradients = one_step(network.model, variables)

    mean = (images() / 255).mean(axis=(1, 2), dtype=np.float64)
    kernel, zeros = before
    moved = 0.5 * (mean @ kernel).mean(axis=0)
    by_hand = mean.T @ (2 * (mean @ kernel + moved))
    # The statistic depends on the kernel, but an assignment stops the gradient.
    np.testing.assert_allclose(gradients[0], by_hand + 2 * PENALTY * kernel, rtol=1e-4)
    after = [variable.numpy() for variable in network.variables("stage1")]
    np.testing.assert_allclose(after[0], kernel - 0.1 * np.asarray(gradients[0]), rtol=1e-5)
    np.testing.assert_allclose(after[1], moved, rtol=1e-4)
    assert not zeros.any()


def test_frozen_module_does_not_change_in_training(tmp_path):
    network = tiny_network(saved(tmp_path / "module", Mean))
    network.set_trainable({"stage1": 0.0, "head": 1.0}, batch_norm="train")
    before, digest = np.asarray(network.predict(images())["features"]), network.digest(["stage1"])
    assert not network.variables("stage1", trainable=True)
    one_step(network.model, network.variables("head", trainable=True))
    assert network.digest(["stage1"]) == digest
    np.testing.assert_array_equal(network.predict(images())["features"], before)


def test_frozen_batch_norm_keeps_statistics_of_a_trained_module(tmp_path):
    network = tiny_network(saved(tmp_path / "module", Mean))
    network.set_trainable({"stage1": 1.0, "head": 1.0}, batch_norm="frozen")
    kernel, statistic = [variable.numpy() for variable in network.variables("stage1")]
    one_step(network.model, network.variables("stage1", trainable=True))
    after = [variable.numpy() for variable in network.variables("stage1")]
    assert not np.array_equal(after[0], kernel)
    np.testing.assert_array_equal(after[1], statistic)


def test_regularization_losses_count_once_per_call(tmp_path):
    layer = TFHubLayer(str(saved(tmp_path / "module", Mean)))
    model = keras.Sequential([keras.Input((SIDE, SIDE, 3)), layer])
    for _ in range(2):
        model(images())
        assert len(model.losses) == 1
        expected = PENALTY * (Mean().kernel.numpy() ** 2).sum()
        np.testing.assert_allclose(float(model.losses[0]), expected, rtol=1e-6)


def test_trainable_variables_of_a_module_are_what_trains(tmp_path):
    module, reusable = Mean(), tf.train.Checkpoint()
    spec = tf.TensorSpec((None, SIDE, SIDE, 3), tf.float32)
    module.__call__.get_concrete_function(spec)
    reusable.__call__ = module.__call__
    reusable.other = tf.Variable(1.0)
    reusable.variables, reusable.trainable_variables = [module.statistic, module.kernel], []
    tf.saved_model.save(reusable, str(tmp_path / "module"))
    layer = TFHubLayer(str(tmp_path / "module"))
    assert [weight.name for weight in layer.weights] == ["block_statistic", "block_kernel"]
    assert not layer.trainable_weights


def test_layer_shares_variables_with_the_module(tmp_path):
    layer = TFHubLayer(str(saved(tmp_path / "module", Mean)))
    layer.trainable_weights[0].assign(np.zeros((3, 5)))
    assert not np.asarray(layer(images())).any()


def test_module_weights_and_model_are_saved_and_loaded(tmp_path):
    folder = saved(tmp_path / "module", Mean)
    model = load_backbone(str(folder), image_size=SIDE, trust_code=True).model
    one_step(model, model.trainable_variables)
    expected = np.asarray(model(images(), training=False))
    other = load_backbone(str(folder), image_size=SIDE, trust_code=True).model
    assert not np.allclose(np.asarray(other(images(), training=False)), expected)

    model.save_weights(tmp_path / "a.weights.h5")
    other.load_weights(tmp_path / "a.weights.h5")
    np.testing.assert_array_equal(np.asarray(other(images(), training=False)), expected)
    model.save(tmp_path / "a.keras")
    again = keras.models.load_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(np.asarray(again(images(), training=False)), expected)


def test_trained_module_is_exported_by_keras(tmp_path):
    folder = saved(tmp_path / "module", Mean)
    model = load_backbone(str(folder), image_size=SIDE, trust_code=True).model
    one_step(model, model.trainable_variables)
    model.export(tmp_path / "exported", verbose=False)
    shutil.rmtree(folder)
    served = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(served.serve(images()), np.asarray(model(images())), atol=1e-6)


@pytest.mark.parametrize("side, requested, expected", [(None, 0, 224), (None, 16, 16), (12, 0, 12)])
def test_declared_image_size_is_that_of_the_signature(tmp_path, side, requested, expected):
    folder = saved(tmp_path / "module", Mean, side)
    assert tfhub.declared_image_size(TFHubLayer(str(folder))) == (side or 0)
    backbone = load_backbone(str(folder), image_size=requested, trust_code=True)
    assert backbone.preprocessor.image_size == expected
    assert backbone.model.input_shape == (None, expected, expected, 3)


def test_load_backbone_other_size_than_declared_is_an_error(tmp_path):
    folder = saved(tmp_path / "module", Mean, 12)
    with pytest.raises(UserError, match="takes images of 12 px, not 16"):
        load_backbone(str(folder), image_size=16, trust_code=True)


def test_load_backbone_accepts_a_relative_folder_without_slash(tmp_path, monkeypatch):
    saved(tmp_path / "module", Mean)
    monkeypatch.chdir(tmp_path)
    backbone = load_backbone("module", image_size=SIDE, trust_code=True)
    assert backbone.model.output_shape == (None, 5)


def no_saved_model(folder):
    folder.mkdir()
    (folder / "readme.txt").write_text("nothing")


def not_callable(folder):
    saved(folder, NotCallable)


def garbled(folder):
    saved(folder, Mean)
    (folder / "saved_model.pb").write_bytes(b"\x93garbled")


def without_variables(folder):
    saved(folder, Mean)
    shutil.rmtree(folder / "variables")


def cut_variables(folder):
    saved(folder, Mean)
    (file,) = (folder / "variables").glob("*.data-*")
    file.write_bytes(file.read_bytes()[:10])


@pytest.mark.parametrize(
    "make, expected",
    [
        (no_saved_model, "no saved_model.pb"),
        (not_callable, "cannot be called"),
        (garbled, "cannot be loaded"),
        (without_variables, "cannot be loaded"),
        (cut_variables, "cannot be loaded"),
    ],
)
def test_load_backbone_folder_without_module_is_an_error(tmp_path, make, expected):
    make(tmp_path / "module")
    with pytest.raises(UserError, match=expected) as caught:
        load_backbone(str(tmp_path / "module"), image_size=SIDE, trust_code=True)
    assert str(tmp_path / "module") in caught.value.what


def test_a_text_module_takes_no_images(shared_data):
    folder = shared_data / "hub_modules" / "text_words_50d"
    with pytest.raises(UserError, match="does not take images of 32 px"):
        load_backbone(str(folder), image_size=32, trust_code=True)


def test_random_weights_of_a_module_is_an_error(tmp_path):
    backbone = load_backbone(str(saved(tmp_path / "m", Mean)), image_size=SIDE, trust_code=True)
    with pytest.raises(UserError, match="no random weights"):
        backbone.random_weights(0)


def test_resolve_handle_without_network_is_an_error(monkeypatch):
    import tensorflow_hub

    urls = []

    def resolve(url):
        urls.append(url)
        raise OSError("Name or service not known\nat line 3")

    monkeypatch.setattr(tensorflow_hub, "resolve", resolve)
    with pytest.raises(
        UserError, match="could not be downloaded: Name or service not known"
    ) as error:
        tfhub.resolve_handle("google/x/tensorFlow2/y")
    assert urls == ["https://www.kaggle.com/models/google/x/tensorFlow2/y"]
    assert "local folder" in error.value.remedy


@pytest.mark.slow
def test_published_module_equals_keras_applications_and_trains(shared_data):
    folder = shared_data / "hub_modules" / "mobilenet_v2_035_feature_vector"
    module = load_backbone(str(folder), image_size=96, trust_code=True)
    plain = load_backbone(
        "mobilenet_v2:alpha=0.35", weights=str(shared_data / "weights" / V2_BODY), image_size=96
    )
    ours = Network(module, [Head()], units=3)
    theirs = Network(plain, [Head()], units=3)
    batch = images(96, 2)
    got, expected = (np.asarray(n.predict(batch)["features"]) for n in (ours, theirs))
    assert expected.max() > 0.1
    np.testing.assert_allclose(got, expected, atol=1e-3)

    assert (len(ours.variables("stage1")), len(module.model.trainable_weights)) == (260, 156)
    ours.set_trainable({"stage1": 1.0, "head": 1.0}, batch_norm="train")
    digest = ours.digest(["stage1"])
    variables = ours.variables("stage1", trainable=True)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(ours.model([batch], training=True)["features"] ** 2)
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    assert all(g is not None and np.isfinite(g).all() for g in gradients)
    keras.optimizers.SGD(1e-4).apply(gradients, variables)
    assert ours.digest(["stage1"]) != digest


class Reads(Mean):
    """A module that reads a file of the user who runs it."""

    @tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3])])
    def __call__(self, pixels):
        size = tf.strings.length(tf.io.read_file("/etc/hostname"))
        return tf.reduce_mean(pixels, [1, 2]) + 0 * tf.cast(size, tf.float32)


def test_unsafe_operations_are_those_that_read_files(tmp_path, shared_data):
    folder = tmp_path / "module"
    tf.saved_model.save(Reads(), str(folder))
    assert tfhub.unsafe_operations(folder) == ["ReadFile"]
    with pytest.raises(UserError, match=r"with your permissions \(it uses ReadFile\)"):
        load_backbone(str(folder), image_size=SIDE)
    trusted = load_backbone(str(folder), image_size=SIDE, trust_code=True)
    assert "the module uses ReadFile; it was trusted" in trusted.remarks
    assert tfhub.unsafe_operations(saved(tmp_path / "plain", Mean)) == []
    modules = shared_data / "hub_modules"
    assert tfhub.unsafe_operations(modules / "mobilenet_v2_035_feature_vector") == []
    words = tfhub.unsafe_operations(modules / "text_words_50d")
    assert words == ["InitializeTableFromTextFileV2"]
