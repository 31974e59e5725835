"""The commands as their users run them, one process each."""

import io
import json
from pathlib import Path

import pytest

import tftransfer
from tftransfer.cli import handlers


def test_commands_of_a_first_day_work_one_after_the_other(call, digits, tmp_path, source_run):
    """As the README has them."""
    run = tmp_path / "run"
    trained = call(
        "train",
        f"--data={digits / 'target'}",
        f"--backbone={source_run.workdir}",
        f"--workdir={run}",
        "--recipe=feature_extraction",
        "--epochs=2",
        "--seed=3",
    )
    assert trained.returncode == 0, trained.stderr
    assert trained.stderr == ""
    assert "report:" in trained.stdout and "Next step: " in trained.stdout
    image = digits / "target" / "5" / "0005.png"
    predicted = call("predict", f"--workdir={run}", image)
    name, label, score = predicted.stdout.strip().split("\t")
    assert (name, predicted.returncode) == (str(image), 0)
    assert label in "56789" and 0 < float(score) <= 1
    evaluated = call("evaluate", f"--workdir={run}")
    accuracy = json.loads((run / "result.json").read_text())["test"]["accuracy"]
    assert f"{accuracy:.4f}" in evaluated.stdout
    exported = call("export", f"--workdir={run}", f"--folder={tmp_path / 'served'}")
    assert exported.returncode == 0 and (tmp_path / "served" / "saved_model.pb").is_file()
    inspected = call("inspect", f"--workdir={run}")
    assert "feature_extraction" in inspected.stdout
    again = call("train", f"--config={run / 'config.json'}", f"--workdir={run}", "--resume")
    assert "finished already" in again.stdout


def test_predict_unreadable_file_is_printed_with_its_reason(call, tuned_run, tmp_path):
    (tmp_path / "a.jpg").write_text("no image")
    done = call("predict", f"--workdir={tuned_run.workdir}", tmp_path)
    assert done.returncode == 2
    assert "\t-\tnot a" in done.stdout


def test_train_dry_run_prints_the_plan_and_writes_nothing(call, digits, tmp_path, source_run):
    done = call(
        "train",
        "--dry_run",
        f"--data={digits / 'target'}",
        f"--backbone={source_run.workdir}",
        f"--workdir={tmp_path / 'run'}",
    )
    assert done.returncode == 0, done.stderr
    for needed in (
        "block",
        "parameters",
        "phase 1",
        "learning rate",
        "cost",
        "nothing was trained",
    ):
        assert needed in done.stdout
    assert not (tmp_path / "run").exists()


def test_train_flags_win_over_the_config(call, digits, tmp_path):
    config = tmp_path / "mine.py"
    config.write_text(
        "import tftransfer\n\n\ndef get_config():\n"
        "    return tftransfer.config(backbone='small_cnn', weights='none', seed=4, batch_size=8)\n"
    )
    done = call(
        "train",
        "--dry_run",
        f"--config={config}",
        f"--data={digits / 'target'}",
        "--batch_size=64",
        "--config.recipe.unfreeze=2",
    )
    assert "steps of 64" in done.stdout
    assert "stage2, stage3, head" in done.stdout


@pytest.mark.slow
def test_register_makes_a_backbone_available_to_every_command(call, digits, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import keras\nimport tftransfer\n\n\n"
        "@tftransfer.register_backbone('mine', image_size=16)\n"
        "def build(image_size):\n"
        "    x = pixels = keras.Input((image_size, image_size, 3))\n"
        "    for width in (4, 8, 16):\n"
        "        x = keras.layers.Conv2D(width, 3, 2, 'same', activation='relu')(x)\n"
        "    return keras.Model(pixels, x)\n"
    )
    run = tmp_path / "run"
    done = call(
        "train",
        f"--register={tmp_path / 'mine.py'}",
        "--backbone=mine",
        "--weights=none",
        f"--data={digits / 'target'}",
        "--recipe=scratch:epochs=1",
        "--noexport",
        f"--workdir={run}",
    )
    assert done.returncode == 0, done.stderr
    image = str(next((digits / "target" / "5").iterdir()))
    refused = call("predict", f"--workdir={run}", image)
    assert refused.returncode == 2 and "no backbone named 'mine'" in refused.stderr
    done = call("predict", f"--workdir={run}", f"--register={tmp_path / 'mine.py'}", image)
    assert done.returncode == 0 and len(done.stdout.split("\t")) == 3


@pytest.mark.parametrize(
    "recipe, what",
    [
        ("feature_extraction:epochs=ten", "Option epochs of recipe feature_extraction is 'ten'"),
        ("fine_tune:unfreeze=all", "Give a whole number, such as 2"),
        ("fine_tune:epochs=2.5", "is 2.5"),
        ("fine_tune:optimizer=addam", "Did you mean adam"),
        ("fine_tune:mixup=-1", "mixup=-1"),
        ("fine_tune:dropout=1.5", "dropout=1.5"),
        ("fine_tune:class_weight=balance", "Did you mean balanced"),
        ("l2_sp:name=foo", "named 'name'"),
    ],
)
def test_plan_impossible_recipe_option_raises(digits, recipe, what):
    experiment = tftransfer.Experiment(
        data=str(digits / "target"), backbone="small_cnn", weights="none", recipe=recipe
    )
    with pytest.raises(tftransfer.UserError) as caught:
        tftransfer.plan(experiment)
    assert what in str(caught.value)


def test_plan_one_hidden_layer_may_be_a_number(digits):
    experiment = tftransfer.Experiment(
        data=str(digits / "target"),
        backbone="small_cnn",
        weights="none",
        recipe="feature_extraction:hidden=64",
    )
    assert tftransfer.plan(experiment).recipe.heads[0].hidden == (64,)


@pytest.mark.slow
def test_train_on_images_imports_no_package_for_text_or_audio(run_python, image_folder, tmp_path):
    arguments = [
        "train",
        f"--data={image_folder}",
        "--backbone=small_cnn",
        "--weights=none",
        "--image_size=16",
        "--recipe=scratch:epochs=1",
        f"--workdir={tmp_path / 'run'}",
    ]
    program = (
        "import sys\nfrom tftransfer.cli.main import main\n"
        f"assert main({arguments!r}) == 0\n"
        "print([m for m in sys.modules if m.startswith(("
        "'keras_hub', 'tensorflow_text', 'soundfile', 'safetensors'))])"
    )
    done = run_python(program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_predict_dash_reads_a_text_per_line_of_the_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"one\r\n\n two\n")))
    assert list(handlers._inputs(["-", "a.txt"])) == [b"one", b"", b" two", Path("a.txt")]
