"""What the project shows: configs, the notebook, the README's commands, the demo."""

import importlib.util
import json
import re
import shlex
from pathlib import Path

import pytest

import tftransfer
from tftransfer.cli import main
from tftransfer.cli.config import experiment_from

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.py"))
README = (ROOT / "README.md").read_text()


def load_config(path):
    spec = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_runs_shrunk_and_without_a_network(path, digits, source_run, tmp_path):
    module = load_config(path)
    config = module.get_config()
    config.data, config.backbone, config.weights = str(digits / "target"), "small_cnn", "none"
    config.image_size, config.labels_per_class, config.epochs = 32, 8, 4
    if config.problem_type == "multi_task":
        config.data = str(_table_of_tasks(digits / "target", tmp_path / "table.csv"))
    if config.target_data:
        config.target_data = str(digits / "source")
    if not isinstance(config.recipe, tftransfer.Recipe) and config.recipe.get("teacher"):
        config.recipe.teacher = str(source_run.workdir)
    run = tftransfer.train(experiment_from(_plain(config)), tmp_path / "run", export=False)
    assert run.experiment.recipe.name == config.recipe.name
    assert 0 <= run.result["test"]["accuracy"] <= 1


def _table_of_tasks(folder, path):
    rows = [
        f"{file},{file.parent.name},{int(file.parent.name) % 2}"
        for file in sorted(folder.glob("*/*.png"))
    ]
    path.write_text("\n".join(["path,digit,parity", *rows]))
    return path


def _plain(config):
    return {k: v.to_dict() if hasattr(v, "to_dict") else v for k, v in config.items()}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_configs_docstring_is_its_command_and_result(path):
    text = load_config(path).__doc__
    command = re.search(r"^    (tftransfer train (?:.|\\\n)*?)(?<!\\)$", text, re.MULTILINE)[1]
    assert f"--config=configs/{path.name}" in command
    assert "TODO" not in text
    _parses(command)


def _parses(command):
    words = shlex.split(command.replace("\\\n", " "))
    words = words[words.index("tftransfer") + 1 :]
    name, rest = words[0], [w for w in words[1:] if not w.startswith("--config")]
    assert name in main.COMMANDS, command
    if rest == ["--help"]:
        return
    main._parse(name, main.COMMANDS[name], rest)


def test_each_recipe_has_a_config():
    names = {load_config(path).get_config().recipe.name for path in CONFIGS}
    assert names >= set(tftransfer.recipes.RECIPES) - {"all_at_once"}


@pytest.mark.parametrize(
    "command",
    [
        line.strip()
        for block in re.findall(r"```(?:sh|bash)\n(.*?)```", README, re.DOTALL)
        for line in block.replace("\\\n", " ").splitlines()
        if line.strip().startswith("tftransfer ")
    ],
)
def test_a_command_of_the_readme_is_understood(command):
    _parses(command.split("  #")[0])


def test_the_readmes_python_names_exist():
    code = "\n".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL))
    used = set(re.findall(r"tftransfer\.(\w+)", code))
    assert used and used <= set(dir(tftransfer))
    compile(code, "README.md", "exec")


def test_every_public_name_loads_and_is_documented():
    for name in tftransfer.__all__:
        value = getattr(tftransfer, name)
        if name != "__version__":
            assert value.__doc__, name


@pytest.mark.slow
def test_the_notebook_runs(tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    path = ROOT / "notebooks" / "first_run.ipynb"
    book = nbformat.read(path, as_version=4)
    assert "colab" in book.cells[0].source and "@param" in path.read_text()
    assert not any(cell.get("outputs") for cell in book.cells)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = json.dumps([cell.get("outputs", []) for cell in book.cells])
    assert "recipe fine_tune" in printed and "image/png" in printed
    assert (tmp_path / "runs" / "notebook" / "export" / "saved_model.pb").is_file()


@pytest.mark.slow
def test_the_notebook_of_texts_runs(tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.read(ROOT / "notebooks" / "text.ipynb", as_version=4)
    assert "colab" in book.cells[0].source and not any(cell.get("outputs") for cell in book.cells)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = json.dumps([cell.get("outputs", []) for cell in book.cells])
    assert "good {'bad'" in printed and "[b'good']" in printed


@pytest.mark.slow
def test_the_demo_transfers(tmp_path, log_lines):
    from tftransfer.cli.demo import run_demo

    said = log_lines
    found = run_demo(str(tmp_path / "demo"))
    reached = {row["recipe"]: row["figure"] for row in found.rows}
    assert set(reached) == {"scratch", "feature_extraction", "fine_tune", "l2_sp"}
    assert reached["fine_tune"] > reached["scratch"] + 0.1
    assert found.runs[found.winner].export.is_dir()
    assert any("the SavedModel says" in line for line in said)
    run_demo(str(tmp_path / "demo"))


def test_the_demo_does_not_replace_other_files(tmp_path):
    from tftransfer.cli.demo import run_demo

    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(tftransfer.UserError, match="holds other files"):
        run_demo(str(tmp_path))


def test_the_demo_keeps_a_folder_that_only_looks_like_its_own(tmp_path):
    from tftransfer.cli.demo import run_demo

    (tmp_path / "digits").mkdir()
    for place in (tmp_path / "thesis.txt", tmp_path / "digits" / "a.txt"):
        place.write_text("mine")
        with pytest.raises(tftransfer.UserError, match="holds other files"):
            run_demo(str(tmp_path))
    assert (tmp_path / "thesis.txt").read_text() == "mine"
