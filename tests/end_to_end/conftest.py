"""Runs on scikit-learn's digits: of single methods, and interrupted ones."""

import functools
import signal

import interruptions
import pytest
from bad_input_tools import Place
from digit_runs import DARK, KNOWN, NEW, SIZE, WHOLE

import tftransfer
from tftransfer.training import pacing


@pytest.fixture(scope="session")
def train_recipe(source_run, tmp_path_factory):
    """`train_recipe(recipe, **settings)` transfers the source network to the digits 5 to 9."""

    def train(recipe, *, export=False, **settings):
        defaults = {
            "data": NEW,
            "backbone": str(source_run.workdir),
            "image_size": SIZE,
            "seed": 1,
            "batch_size": 16,
            "validation_fraction": 0.2,
            "test_fraction": 0.2,
        }
        experiment = tftransfer.Experiment(recipe=recipe, **defaults | settings)
        return tftransfer.train(experiment, tmp_path_factory.mktemp("method"), export=export)

    return train


@pytest.fixture(scope="session")
def recipe_run(train_recipe):
    """`recipe_run(recipe)`: the same, with each recipe trained once."""
    return functools.cache(train_recipe)


@pytest.fixture(scope="session")
def adapted_run(train_recipe):
    """`adapted_run(recipe)` adapts the digits 0 to 4 to darker images of others, once."""
    settings = {"data": KNOWN, "target_data": DARK, "batch_size": 32}
    return functools.cache(functools.partial(train_recipe, **settings))


@pytest.fixture(scope="session")
def digit_teacher(recipe_run):
    return recipe_run(WHOLE.format("train", 10))


@pytest.fixture(scope="session")
def whole_run(source_run, digits, tmp_path_factory):
    """The run that `interruptions.train` makes when nothing interrupts it."""
    return interruptions.train(source_run, digits, tmp_path_factory.mktemp("whole"))


@pytest.fixture
def interruptible():
    """Handles SIGINT even where a shell runs the tests as a background job."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def short_groups(monkeypatch):
    """Every epoch has several groups of steps."""
    monkeypatch.setattr(pacing, "_MAX_STEPS", 8)


@pytest.fixture
def place(image_folder, tmp_path, monkeypatch):
    """A folder of good images for tests of bad inputs, and room for other files."""
    return Place(image_folder, tmp_path, monkeypatch)
