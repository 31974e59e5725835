"""Bad files of weights and modules on the command line."""

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from bad_input_tools import assert_stops_before_training, run_command

from tftransfer.backbones.load import load_backbone


class Writes(tf.Module):
    """A module that writes a file when it is called."""

    def __init__(self, path):
        super().__init__()
        self.path = str(path)

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.float32)])
    def __call__(self, pixels):
        tf.io.write_file(self.path, "secret")
        return tf.reduce_mean(pixels, (1, 2))


def module(place):
    tf.saved_model.save(Writes(place.outside / "written"), str(place.outside / "module"))
    return f"--backbone={place.outside / 'module'}"


def weights(change=None, backbone="small_cnn"):
    """Returns a function that writes weights of a backbone, changes the file, returns flags."""

    def make(place):
        path = place.outside / "x.weights.h5"
        load_backbone(backbone, weights="none", image_size=32).model.save_weights(path)
        if change:
            change(path)
        return f"--weights={path}", "--recipe=feature_extraction"

    return make


def truncate(path):
    path.write_bytes(path.read_bytes()[:5000])


def write_keras_2(path):
    """Writes the format of Keras 2, in which the first layer has another shape."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["conv1a"]
        group = file.create_group("conv1a")
        group.attrs["weight_names"] = ["kernel"]
        group["kernel"] = np.zeros((5, 5, 3, 16), np.float32)


def with_lambda(place):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1)(inputs))
    model.save(place.outside / "x.keras")
    return f"--weights={place.outside / 'x.keras'}", "--recipe=feature_extraction"


def wrong_hash(place):
    (place.outside / "mine.py").write_text(
        "import tftransfer\nfrom tftransfer.backbones.image.small_cnn import small_cnn\n\n"
        "known = {'x.weights.h5': 'ab' * 32}\n\n\n"
        "@tftransfer.register_backbone('pinned', image_size=32, sha256=known)\n"
        "def build(image_size):\n    return small_cnn(image_size)\n"
    )
    return *weights()(place), f"--register={place.outside / 'mine.py'}", "--backbone=pinned"


UNUSABLE = {
    "weights file truncated": (weights(truncate), "x.weights.h5 cannot be read"),
    "weights of other shape": (
        weights(backbone="small_cnn:width=8"),
        "x.weights.h5 does not fit small_cnn: layer conv1a has shape (3, 3, 3, 16), the file's "
        "has (3, 3, 3, 8)",
    ),
    "weights of other shape, from Keras 2": (
        weights(write_keras_2),
        "conv1a has shapes [(3, 3, 3, 16)]",
    ),
    "weights of another model": (
        weights(backbone="small_cnn:depth=2"),
        "x.weights.h5 does not fit small_cnn: layer conv3a is missing in the file",
    ),
    "weights of wrong hash": (wrong_hash, "is not the expected one: sha256"),
    "weights that are not there": (
        lambda p: ("--weights=gone.h5", "--recipe=fine_tune"),
        "gone.h5 does not exist",
    ),
    "a Lambda layer": (with_lambda, "x.keras is a whole model, which may contain code"),
    "a SavedModel with file operations": (
        module,
        "a program that runs with your permissions (it uses WriteFile)",
    ),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_unusable_weights_stop_before_training(place, capsys, case):
    assert_stops_before_training(place, capsys, UNUSABLE[case])


def test_trusted_module_with_file_operations_gets_a_warning(place, capsys):
    flags = (module(place), "--trust_code", "--recipe=feature_extraction", "--image_size=8")
    assert run_command(place, "--dry_run", *flags) == 0
    assert "the module uses WriteFile; it was trusted" in capsys.readouterr().out
