"""The names of `tftransfer`: listed once, typed for editors, loaded when they are first used."""

import ast
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import tftransfer

ROOT = Path(__file__).resolve().parents[1]
USE = """
import numpy as np
import tftransfer

experiment = tftransfer.Experiment(data="photos", backbone="mobilenet_v2", recipe="fine_tune")
reveal_type(tftransfer.plan(experiment))
run = tftransfer.train(experiment, "runs/photos", overwrite=True)
reveal_type(run)
reveal_type(run.evaluate().metrics["accuracy"])
reveal_type(run.predict(["a.jpg", np.zeros((8, 8, 3), np.uint8)])[0]["scores"])
reveal_type(run.embed(["a.jpg"]))
reveal_type(tftransfer.compare(experiment, "runs/compared").winner)
reveal_type(tftransfer.load("runs/photos"))
reveal_type(tftransfer.losses.CrossEntropy(weight=0.5))
reveal_type(tftransfer.recipes.fine_tune(unfreeze=2))
again = tftransfer.Experiment(data="photos", backbone=run)
"""
REVEALED = [
    "tftransfer.planning.plan.Plan",
    "tftransfer.runs.run.Run",
    "float",
    "dict[str, float]",
    "numpy.ndarray[",
    "str",
    "tftransfer.runs.run.Run",
    "tftransfer.losses.supervised.CrossEntropy",
    "tftransfer.core.recipe.Recipe",
]
MISUSE = """
import tftransfer

tftransfer.Experiment(bakbone="mobilenet_v2")
tftransfer.trian
tftransfer.load("runs/photos").evaluat()
"""


def typed_names():
    """Name to module in the block for type checkers; a submodule has itself."""
    tree = ast.parse((ROOT / "tftransfer" / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [(alias.name, node.module) for node in block.body for alias in node.names]
    return {
        name: f"tftransfer.{name}" if module == "tftransfer" else module for name, module in imports
    }


def test_names_for_type_checkers_are_those_that_are_loaded():
    loaded = tftransfer._MODULE_OF | {each: f"tftransfer.{each}" for each in tftransfer._SUBMODULES}
    assert typed_names() == loaded
    assert sorted([*loaded, "__version__"]) == sorted(tftransfer.__all__)


@pytest.mark.parametrize("name", tftransfer.__all__)
def test_name_is_loaded_and_documented(name):
    value = getattr(tftransfer, name)
    assert name in dir(tftransfer)
    assert name == "__version__" or value.__doc__


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        _ = tftransfer.trian


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The Python of a new environment with the built wheel; its requirements are those of ours."""
    source = tmp_path_factory.mktemp("source")
    names = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "tftransfer", "*.cfg", "*.toml", "*.md", "LICENSE"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in filter(lambda name: (ROOT / name).is_file(), names):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    program = "from setuptools import build_meta; build_meta.build_wheel('dist')"
    command = [sys.executable, "-W", "ignore", "-c", program]
    subprocess.run(command, cwd=source, capture_output=True, check=True)
    (wheel,) = (source / "dist").glob("*.whl")
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (site,) = environment.glob("lib/*/site-packages")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site]
    subprocess.run([*install, wheel], check=True)
    (site / "requirements.pth").write_text(sysconfig.get_path("purelib"))
    return environment / "bin" / "python"


def strict_mypy(python, folder, text):
    (folder / "use.py").write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", python, "use.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout


@pytest.mark.slow
def test_installed_wheel_reveals_types_to_strict_mypy(installed, tmp_path):
    lines = strict_mypy(installed, tmp_path, USE).splitlines()
    revealed = [line.partition('Revealed type is "')[2].rstrip('"') for line in lines[:-1]]
    assert len(revealed) == len(REVEALED), lines
    for found, expected in zip(revealed, REVEALED):
        assert found.removeprefix("builtins.").startswith(expected)
    assert lines[-1] == "Success: no issues found in 1 source file"


@pytest.mark.slow
def test_installed_wheel_misspelled_names_are_errors_of_mypy(installed, tmp_path):
    output = strict_mypy(installed, tmp_path, MISUSE)
    assert 'Unexpected keyword argument "bakbone" for "Experiment"; did you mean' in output
    assert 'Module has no attribute "trian"' in output
    assert '"Run" has no attribute "evaluat"; maybe "evaluate"?' in output
