"""SavedModels as a Keras 3 layer: a real TF-Hub style module and small ones made here."""

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
    """Pooled colours times a kernel; in training it also moves a statistic."""

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
    """A classification module: no argument `training`, one named output, one bool of its own."""

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


def pictures(side=SIDE, count=4):
    return np.random.default_rng(1).uniform(0, 255, (count, side, side, 3)).astype(np.float32)


def tiny_network(folder, **options):
    backbone = load_backbone(str(folder), image_size=SIDE, trust_code=True, **options)
    return Network(backbone, [Head()], units=2)


def one_step(model, variables):
    optimizer = keras.optimizers.SGD(0.1)
    with tf.GradientTape() as tape:
        outputs = model([pictures()], training=True)
        features = outputs if tf.is_tensor(outputs) else outputs["features"]
        loss = tf.reduce_sum(features**2) + tf.add_n([*model.losses, tf.zeros(())])
        if "logits" in (outputs if isinstance(outputs, dict) else ()):
            loss += tf.reduce_sum(outputs["logits"])
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    optimizer.apply(gradients, variables)
    return gradients


def test_a_module_needs_trust(tmp_path):
    folder = saved(tmp_path / "module", Mean)
    with pytest.raises(UserError, match="is a program") as caught:
        load_backbone(str(folder), image_size=SIDE)
    assert "--trust_code" in caught.value.remedy


@pytest.mark.parametrize("kind", [Mean, KeywordOnly, Several])
def test_output_is_the_modules_with_pixels_in_0_to_1(tmp_path, kind):
    folder = saved(tmp_path / "module", kind)
    backbone = load_backbone(str(folder), image_size=SIDE, trust_code=True)
    expected = tf.reduce_mean(pictures() / 255, (1, 2)) @ kind().kernel
    got = backbone.model(pictures(), training=False)
    np.testing.assert_allclose(np.asarray(got), expected, atol=1e-5)
    assert backbone.model.output_shape == (None, 5)
    assert backbone.weights_sha256 == file_sha256(folder / "saved_model.pb")
    assert len(backbone.stages) == 1
    assert [layer.name for layer in backbone.stages[0].layers] == ["to_unit_range", "module"]


def test_a_classification_module_gives_its_scores_as_features(tmp_path):
    folder = saved(tmp_path / "module", Classifier)
    backbone = load_backbone(str(folder), image_size=SIDE, trust_code=True)
    expected = tf.reduce_mean(pictures() / 255, (1, 2)) @ tf.eye(3, 7)
    for training in (False, True):
        got = backbone.model(pictures(), training=training)
        np.testing.assert_allclose(np.asarray(got), expected, atol=1e-5)


@pytest.mark.parametrize("output, factor", [("", 1), ("default", 1), ("doubled", 2)])
def test_an_output_is_chosen_by_name(tmp_path, output, factor):
    folder = saved(tmp_path / "module", Several)
    name = f"{folder}:output={output}" if output else str(folder)
    backbone = load_backbone(name, image_size=SIDE, trust_code=True)
    expected = factor * (tf.reduce_mean(pictures() / 255, (1, 2)) @ Several().kernel)
    np.testing.assert_allclose(np.asarray(backbone.model(pictures())), expected, atol=1e-5)
    assert backbone.architecture == name


@pytest.mark.parametrize(
    "kind, output, said",
    [
        (NoDefault, "", ["several outputs: one, two", "output=NAME"]),
        (Several, "doubel", ["'doubel'", "Did you mean doubled?"]),
    ],
)
def test_an_output_that_is_not_clear_is_a_user_error(tmp_path, kind, output, said):
    folder = saved(tmp_path / "module", kind)
    with pytest.raises(UserError) as caught:
        load_backbone(f"{folder}:output={output}", image_size=SIDE, trust_code=True)
    assert all(words in str(caught.value) for words in said), str(caught.value)


@pytest.mark.parametrize("kind", [Mean, KeywordOnly])
def test_trainable_the_variables_and_the_statistics_move(tmp_path, kind):
    network = tiny_network(saved(tmp_path / "module", kind))
    network.set_trainable({"stage1": 1.0, "head": 1.0}, batch_norm="train")
    variables = network.variables("stage1", trainable=True)
    assert [variable.name for variable in variables] == ["block_kernel"]
    before = [variable.numpy() for variable in network.variables("stage1")]
    gradients = one_step(network.model, variables)

    mean = (pictures() / 255).mean(axis=(1, 2), dtype=np.float64)
    kernel, zeros = before
    moved = 0.5 * (mean @ kernel).mean(axis=0)
    by_hand = mean.T @ (2 * (mean @ kernel + moved))
    # The statistic depends on the kernel, but an assignment stops the gradient.
    np.testing.assert_allclose(gradients[0], by_hand + 2 * PENALTY * kernel, rtol=1e-4)
    after = [variable.numpy() for variable in network.variables("stage1")]
    np.testing.assert_allclose(after[0], kernel - 0.1 * np.asarray(gradients[0]), rtol=1e-5)
    np.testing.assert_allclose(after[1], moved, rtol=1e-4)
    assert not zeros.any()


def test_frozen_nothing_moves_in_training_mode(tmp_path):
    network = tiny_network(saved(tmp_path / "module", Mean))
    network.set_trainable({"stage1": 0.0, "head": 1.0}, batch_norm="train")
    before, digest = np.asarray(network.predict(pictures())["features"]), network.digest(["stage1"])
    assert not network.variables("stage1", trainable=True)
    one_step(network.model, network.variables("head", trainable=True))
    assert network.digest(["stage1"]) == digest
    np.testing.assert_array_equal(network.predict(pictures())["features"], before)


def test_frozen_batch_norm_keeps_the_statistics_while_the_rest_trains(tmp_path):
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
        model(pictures())
        assert len(model.losses) == 1
        expected = PENALTY * (Mean().kernel.numpy() ** 2).sum()
        np.testing.assert_allclose(float(model.losses[0]), expected, rtol=1e-6)


def test_the_lists_of_tf_hubs_reusable_form_say_what_trains(tmp_path):
    module, module_form = Mean(), tf.train.Checkpoint()
    spec = tf.TensorSpec((None, SIDE, SIDE, 3), tf.float32)
    module.__call__.get_concrete_function(spec)
    module_form.__call__ = module.__call__
    module_form.other = tf.Variable(1.0)
    module_form.variables, module_form.trainable_variables = [module.statistic, module.kernel], []
    tf.saved_model.save(module_form, str(tmp_path / "module"))
    layer = TFHubLayer(str(tmp_path / "module"))
    assert [weight.name for weight in layer.weights] == ["block_statistic", "block_kernel"]
    assert not layer.trainable_weights


def test_the_variables_are_shared_with_the_module(tmp_path):
    layer = TFHubLayer(str(saved(tmp_path / "module", Mean)))
    layer.trainable_weights[0].assign(np.zeros((3, 5)))
    assert not np.asarray(layer(pictures())).any()


def test_weights_and_whole_models_come_back(tmp_path):
    folder = saved(tmp_path / "module", Mean)
    model = load_backbone(str(folder), image_size=SIDE, trust_code=True).model
    one_step(model, model.trainable_variables)
    expected = np.asarray(model(pictures(), training=False))
    fresh = load_backbone(str(folder), image_size=SIDE, trust_code=True).model
    assert not np.allclose(np.asarray(fresh(pictures(), training=False)), expected)

    model.save_weights(tmp_path / "a.weights.h5")
    fresh.load_weights(tmp_path / "a.weights.h5")
    np.testing.assert_array_equal(np.asarray(fresh(pictures(), training=False)), expected)
    model.save(tmp_path / "a.keras")
    again = keras.models.load_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(np.asarray(again(pictures(), training=False)), expected)


def test_keras_exports_the_trained_module(tmp_path):
    folder = saved(tmp_path / "module", Mean)
    model = load_backbone(str(folder), image_size=SIDE, trust_code=True).model
    one_step(model, model.trainable_variables)
    model.export(tmp_path / "exported", verbose=False)
    shutil.rmtree(folder)
    served = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(served.serve(pictures()), np.asarray(model(pictures())), atol=1e-6)


@pytest.mark.parametrize("side, asked, got", [(None, 0, 224), (None, 16, 16), (12, 0, 12)])
def test_the_declared_image_size_is_read(tmp_path, side, asked, got):
    folder = saved(tmp_path / "module", Mean, side)
    assert tfhub.declared_image_size(TFHubLayer(str(folder))) == (side or 0)
    backbone = load_backbone(str(folder), image_size=asked, trust_code=True)
    assert backbone.preprocessor.image_size == got
    assert backbone.model.input_shape == (None, got, got, 3)


def test_another_size_than_the_declared_one_is_a_user_error(tmp_path):
    folder = saved(tmp_path / "module", Mean, 12)
    with pytest.raises(UserError, match="takes pictures of 12 px, not 16"):
        load_backbone(str(folder), image_size=16, trust_code=True)


def test_a_relative_folder_without_a_slash_is_a_module_too(tmp_path, monkeypatch):
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
    "make, said",
    [
        (no_saved_model, "no saved_model.pb"),
        (not_callable, "cannot be called"),
        (garbled, "cannot be loaded"),
        (without_variables, "cannot be loaded"),
        (cut_variables, "cannot be loaded"),
    ],
)
def test_a_folder_that_is_no_module_is_a_user_error(tmp_path, make, said):
    make(tmp_path / "module")
    with pytest.raises(UserError, match=said) as caught:
        load_backbone(str(tmp_path / "module"), image_size=SIDE, trust_code=True)
    assert str(tmp_path / "module") in caught.value.what


def test_a_text_module_takes_no_pictures(shared_data):
    folder = shared_data / "hub_modules" / "text_words_50d"
    with pytest.raises(UserError, match="takes no pictures of 32 px"):
        load_backbone(str(folder), image_size=32, trust_code=True)


def test_a_module_has_no_random_weights(tmp_path):
    backbone = load_backbone(str(saved(tmp_path / "m", Mean)), image_size=SIDE, trust_code=True)
    with pytest.raises(UserError, match="no random weights"):
        backbone.random_weights(0)


def test_a_handle_that_cannot_be_fetched_is_a_user_error(monkeypatch):
    import tensorflow_hub

    asked = []

    def resolve(url):
        asked.append(url)
        raise OSError("Name or service not known\nat line 3")

    monkeypatch.setattr(tensorflow_hub, "resolve", resolve)
    with pytest.raises(UserError, match="could not be fetched: Name or service not known") as error:
        tfhub.resolve_handle("google/x/tensorFlow2/y")
    assert asked == ["https://www.kaggle.com/models/google/x/tensorFlow2/y"]
    assert "local folder" in error.value.remedy


@pytest.mark.slow
def test_the_real_module_equals_keras_applications_and_trains(shared_data):
    folder = shared_data / "hub_modules" / "mobilenet_v2_035_feature_vector"
    module = load_backbone(str(folder), image_size=96, trust_code=True)
    plain = load_backbone(
        "mobilenet_v2:alpha=0.35", weights=str(shared_data / "weights" / V2_BODY), image_size=96
    )
    ours = Network(module, [Head()], units=3)
    theirs = Network(plain, [Head()], units=3)
    images = pictures(96, 2)
    got, expected = (np.asarray(n.predict(images)["features"]) for n in (ours, theirs))
    assert expected.max() > 0.1
    np.testing.assert_allclose(got, expected, atol=1e-3)

    assert (len(ours.variables("stage1")), len(module.model.trainable_weights)) == (260, 156)
    ours.set_trainable({"stage1": 1.0, "head": 1.0}, batch_norm="train")
    digest = ours.digest(["stage1"])
    variables = ours.variables("stage1", trainable=True)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(ours.model([images], training=True)["features"] ** 2)
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    assert all(g is not None and np.isfinite(g).all() for g in gradients)
    keras.optimizers.SGD(1e-4).apply(gradients, variables)
    assert ours.digest(["stage1"]) != digest


class Reads(Mean):
    """A module that looks at a file of whoever runs it."""

    @tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3])])
    def __call__(self, pixels):
        size = tf.strings.length(tf.io.read_file("/etc/hostname"))
        return tf.reduce_mean(pixels, [1, 2]) + 0 * tf.cast(size, tf.float32)


def test_operations_that_touch_files_are_named(tmp_path, shared_data):
    folder = tmp_path / "module"
    tf.saved_model.save(Reads(), str(folder))
    assert tfhub.touching_operations(folder) == ["ReadFile"]
    with pytest.raises(UserError, match=r"with your rights \(it uses ReadFile\)"):
        load_backbone(str(folder), image_size=SIDE)
    trusted = load_backbone(str(folder), image_size=SIDE, trust_code=True)
    assert "the module uses ReadFile; it was trusted" in trusted.remarks
    assert tfhub.touching_operations(saved(tmp_path / "plain", Mean)) == []
    modules = shared_data / "hub_modules"
    assert tfhub.touching_operations(modules / "mobilenet_v2_035_feature_vector") == []
    words = tfhub.touching_operations(modules / "text_words_50d")
    assert words == ["InitializeTableFromTextFileV2"]
