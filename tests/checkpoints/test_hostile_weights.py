"""Weight files of unknown origin: no code, no links, and no more in memory than on disk."""

import zipfile

import h5py
import keras
import numpy as np
import pytest

from tftransfer.backbones.load import load_backbone
from tftransfer.checkpoints.weight_files import load_weights
from tftransfer.utils.errors import UserError


@pytest.fixture
def model():
    return load_backbone("small_cnn", weights="none", image_size=16).model


def saved(model, path):
    model.save_weights(path)
    return path


def with_entry(model, tmp_path, change):
    path = saved(model, tmp_path / "x.weights.h5")
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def external(file):
    file.create_dataset("bias", (4,), "f4", external=[("/etc/passwd", 0, 16)])


def virtual(file):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4,))
    file.create_virtual_dataset("bias", layout)


def cycle(file):
    file["layers/again"] = file["layers"]


def huge(file):
    file.create_dataset("bias", (1 << 40,), "f4", chunks=(1 << 20,))


ENTRIES = {
    "soft link": lambda file: file.__setitem__("a", h5py.SoftLink("/layers")),
    "external link": lambda file: file.__setitem__("a", h5py.ExternalLink("/etc/passwd", "/")),
    "external data": external,
    "virtual data": virtual,
    "cycle": cycle,
    "huge": huge,
    "references": lambda file: file.create_dataset("a", (2,), h5py.ref_dtype),
}


@pytest.mark.parametrize("case", ENTRIES)
def test_load_weights_hostile_entry_is_an_error(model, tmp_path, case):
    path = with_entry(model, tmp_path, ENTRIES[case])
    with pytest.raises(UserError, match=r"refused: its entry /"):
        load_weights(model, path)


def lambda_model():
    pixels = keras.Input((4,))
    return keras.Model(pixels, keras.layers.Lambda(lambda x: x + 1)(pixels))


@pytest.mark.parametrize("make", [lambda_model, lambda: keras.Sequential([keras.layers.Dense(2)])])
def test_load_weights_whole_model_is_an_error(model, tmp_path, make):
    whole = make()
    whole.build((None, 4)) if not whole.built else None
    whole.save(tmp_path / "x.keras")
    with pytest.raises(UserError, match="a whole model, which may contain code"):
        load_weights(model, tmp_path / "x.keras")


def test_load_weights_renamed_zip_is_an_error(model, tmp_path):
    with zipfile.ZipFile(tmp_path / "x.h5", "w") as file:
        file.writestr("config.json", "{}")
    with pytest.raises(UserError, match="a whole model, which may contain code"):
        load_weights(model, tmp_path / "x.h5")


def test_load_weights_reads_valid_files(model, tmp_path):
    path = saved(model, tmp_path / "x.weights.h5")
    other = load_backbone("small_cnn", weights="none", image_size=16, seed=9).model
    load_weights(other, path)
    for a, b in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
