"""A run resumes only with the data, configuration, weights and environment that it began with."""

import contextlib
import shutil

import keras
import numpy as np
import pytest
from interruptions import RECIPE, AfterSteps, experiment, train

import tftransfer
from tftransfer.commands import resume as resume_module
from tftransfer.commands import train as train_module


@pytest.fixture(scope="module")
def half_run(source_run, digits, tmp_path_factory):
    """A copy of the data, and a run on it that was interrupted."""
    folder = tmp_path_factory.mktemp("half")
    shutil.copytree(digits / "target", folder / "data")
    with pytest.raises(ZeroDivisionError):
        callback = AfterSteps(3, lambda: 1 / 0)
        train(source_run, digits, folder / "run", callback, data=str(folder / "data"))
    return folder


def resume(source_run, digits, folder, **changes):
    fields = {"data": str(folder / "data")} | changes
    return train(source_run, digits, folder / "run", **fields)


def change_a_pixel(data):
    file = sorted((data / "5").iterdir())[0]
    image = np.array(keras.utils.load_img(file))
    image[0, 0] ^= 1
    keras.utils.save_img(file, image, scale=False)


def add_a_file(data):
    shutil.copy(sorted((data / "5").iterdir())[0], data / "6" / "new.png")


def change_a_label(data):
    file = sorted((data / "5").iterdir())[0]
    file.rename(data / "6" / file.name)


def rename_a_class(data):
    (data / "9").rename(data / "nine")


@pytest.mark.parametrize(
    "change", [change_a_pixel, add_a_file, change_a_label, rename_a_class], ids=lambda f: f.__name__
)
def test_resume_with_changed_data_is_refused(source_run, digits, half_run, tmp_path, change):
    shutil.copytree(half_run, tmp_path / "half")
    change(tmp_path / "half" / "data")
    # The path of the data is in the configuration, so the copy takes the place of the original.
    with (
        swapped(half_run / "data", tmp_path / "half" / "data"),
        pytest.raises(tftransfer.UserError, match=r"started with different .*data"),
    ):
        resume(source_run, digits, half_run)


@contextlib.contextmanager
def swapped(first, second):
    spare = first.with_name("spare")
    for a, b in ((first, spare), (second, first)):
        shutil.move(a, b)
    try:
        yield
    finally:
        shutil.move(first, second)
        shutil.move(spare, first)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("tensorflow", "2.99.0", r"TensorFlow \(.* then, 2.99.0 now\)"),
        ("keras", "4.0.0", "different Keras"),
        ("numpy", "9.9", "different NumPy"),
        ("tftransfer", "9.9", "different tftransfer"),
        ("cpus", 97, "number of CPUs"),
        ("intra_op_threads", 31, "intra-op threads"),
        ("inter_op_threads", 31, "inter-op"),
        ("machine", "abacus", "processor"),
        ("devices", ["/device:GPU:0"], "devices"),
    ],
)
def test_resume_in_another_environment_is_refused_by_name(
    source_run, digits, half_run, monkeypatch, key, value, message
):
    real = resume_module.environment()
    monkeypatch.setattr(resume_module, "environment", lambda: real | {key: value})
    with pytest.raises(tftransfer.UserError, match=message):
        resume(source_run, digits, half_run)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 5}, "seed"),
        ({"batch_size": 8}, "batch_size"),
        ({"image_size": 16}, "image_size"),
        ({"recipe": RECIPE + ",learning_rate=0.01"}, "learning_rate"),
    ],
)
def test_resume_with_another_configuration_is_refused_by_name(
    source_run, digits, half_run, changes, message
):
    with pytest.raises(tftransfer.UserError, match=message):
        resume(source_run, digits, half_run, **changes)


def test_resume_with_other_starting_weights_is_refused(source_run, digits, half_run, monkeypatch):
    real = train_module.make_plan

    def changed(*arguments, **options):
        plan = real(*arguments, **options)
        variable = plan.network.variables("stage1")[0]
        variable.assign(variable + 1)
        return plan

    monkeypatch.setattr(train_module, "make_plan", changed)
    with pytest.raises(tftransfer.UserError, match="started with different starting weights"):
        resume(source_run, digits, half_run)


def test_resume_without_a_run_is_refused(source_run, digits, tmp_path):
    with pytest.raises(tftransfer.UserError, match=r"no run in .* to resume"):
        tftransfer.train(experiment(source_run, digits), tmp_path, resume=True)
