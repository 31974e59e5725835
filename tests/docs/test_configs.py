"""Every configuration file runs, shrunk and offline; its docstring is its command and result."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

import tftransfer
from tftransfer.cli.commands import COMMANDS
from tftransfer.cli.config import experiment_from
from tftransfer.cli.parse import parse_arguments

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.py"))
each_config = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)


def load_config(path):
    spec = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def table_of_tasks(folder, path):
    rows = [
        f"{file},{file.parent.name},{int(file.parent.name) % 2}"
        for file in sorted(folder.glob("*/*.png"))
    ]
    path.write_text("\n".join(["path,digit,parity", *rows]))
    return path


def plain(config):
    return {k: v.to_dict() if hasattr(v, "to_dict") else v for k, v in config.items()}


@each_config
def test_config_shrunk_and_offline_trains(path, digits, source_run, tmp_path):
    config = load_config(path).get_config()
    config.data, config.backbone, config.weights = str(digits / "target"), "small_cnn", "none"
    config.image_size, config.labels_per_class, config.epochs = 32, 8, 4
    if config.problem_type == "multi_task":
        config.data = str(table_of_tasks(digits / "target", tmp_path / "table.csv"))
    if config.target_data:
        config.target_data = str(digits / "source")
    if not isinstance(config.recipe, tftransfer.Recipe) and config.recipe.get("teacher"):
        config.recipe.teacher = str(source_run.workdir)
    run = tftransfer.train(experiment_from(plain(config)), tmp_path / "run", export=False)
    assert run.experiment.recipe.name == config.recipe.name
    assert 0 <= run.result["test"]["accuracy"] <= 1


@each_config
def test_config_docstring_holds_a_command_that_is_parsed(path):
    text = load_config(path).__doc__
    command = re.search(r"^    (tftransfer train (?:.|\\\n)*?)(?<!\\)$", text, re.MULTILINE)[1]
    assert f"--config={path.stem} " in command
    assert "TODO" not in text
    words = shlex.split(command.replace("\\\n", " "))[2:]
    parse_arguments(COMMANDS["train"], [*words, "--data=photos"])


def test_configs_cover_every_recipe():
    names = {load_config(path).get_config().recipe.name for path in CONFIGS}
    ours = {
        name
        for name, function in tftransfer.recipes.RECIPES.items()
        if function.__module__.startswith("tftransfer.")
    }
    assert names >= ours


def test_public_names_load_and_have_docstrings():
    for name in tftransfer.__all__:
        value = getattr(tftransfer, name)
        if name != "__version__":
            assert value.__doc__, name
