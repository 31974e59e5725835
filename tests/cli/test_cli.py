"""The binary as its users meet it: quick help, nearest names, exit codes, every command."""

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tftransfer
from tftransfer.cli import handlers, main
from tftransfer.utils import signals

ROOT = Path(__file__).resolve().parents[2]
BINARY = [sys.executable, "-m", "tftransfer"]


def call(*arguments, **options):
    return subprocess.run(
        [*BINARY, *map(str, arguments)], capture_output=True, text=True, check=False, **options
    )


def seconds_of(command):
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return time.perf_counter() - started, done


@pytest.mark.parametrize(
    "arguments, code",
    [(["--help"], 0), (["train", "--help"], 0), (["train", "--bakbone=x"], 2), (["trian"], 2)],
)
def test_help_and_misspelt_words_are_quick(arguments, code):
    best = min(seconds_of([*BINARY, *arguments])[0] for _ in range(3))
    _, done = seconds_of([*BINARY, *arguments])
    assert done.returncode == code
    assert best < 0.5


def test_help_does_not_import_tensorflow():
    program = (
        "import sys\nfrom tftransfer.cli.main import main\nmain(['train', '--help'])\n"
        "main(['train', '--dta=1'])\nmain(['train', '--config.recipe.epocs=1'])\n"
        "heavy = {'tensorflow', 'keras', 'numpy'} & set(sys.modules)\nassert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_importing_the_package_is_quick_and_light():
    program = (
        "import sys, time\nt = time.perf_counter()\nimport tftransfer\n"
        "print(time.perf_counter() - t)\nassert 'tensorflow' not in sys.modules"
    )
    times = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        times.append(float(done.stdout))
    assert min(times) < 0.1


@pytest.mark.parametrize(
    "arguments, what, remedy",
    [
        (["trian"], "no command named 'trian'", "Did you mean train?"),
        (["train", "--bakbone=x"], "no flag of tftransfer train named '--bakbone'", "--backbone"),
        (["train", "--batch_size=many"], "batch_size", "Give a whole number"),
        (["train", "photos"], "does not know what to do with 'photos'", "--NAME=VALUE"),
        (["train", "--config=none.py"], "--config=none.py does not exist", "configs/*.py"),
        (["train", "--config.recipe.epocs=2"], "named 'epocs'", "Did you mean epochs"),
        (["train", "--recipe=fine_tun", "--config.seed=2"], "recipe named 'fine_tun'", "fine_tune"),
    ],
)
def test_mistakes_get_two_lines_and_code_2(capsys, arguments, what, remedy):
    assert main.main(arguments) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert what in said[0] and remedy in said[1]


@pytest.mark.slow
def test_an_unknown_name_inside_is_two_lines_too(digits, tmp_path):
    done = call("train", f"--data={digits / 'targt'}", f"--workdir={tmp_path}")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"tftransfer: --data={digits / 'targt'} does not exist.",
        "Did you mean target?",
    ]


def test_train_predict_evaluate_export_inspect(digits, tmp_path, source_run):
    """The commands of a first day, one after the other, as the README has them."""
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
    assert "report:" in trained.stdout and "Next:" in trained.stdout
    picture = digits / "target" / "5" / "0005.png"
    predicted = call("predict", f"--workdir={run}", picture)
    name, label, score = predicted.stdout.strip().split("\t")
    assert (name, predicted.returncode) == (str(picture), 0)
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


def test_a_terminal_with_few_letters_gets_escapes():
    few = os.environ | {"PYTHONIOENCODING": "ascii:strict"}
    done = call("inspect", "--backbone=small_cnn", "--weights=none", env=few)
    assert (done.returncode, done.stderr) == (0, "")
    assert "16\\xd716\\xd716" in done.stdout


def test_predict_tells_what_it_cannot_read(tuned_run, tmp_path):
    (tmp_path / "a.jpg").write_text("no picture")
    done = call("predict", f"--workdir={tuned_run.workdir}", tmp_path)
    assert done.returncode == 2
    assert "\t-\tnot a picture" in done.stdout


def test_a_dry_run_prints_and_trains_nothing(digits, tmp_path, source_run):
    done = call(
        "train",
        "--dry_run",
        f"--data={digits / 'target'}",
        f"--backbone={source_run.workdir}",
        f"--workdir={tmp_path / 'run'}",
    )
    assert done.returncode == 0, done.stderr
    for needed in ("block", "parameters", "phase 1", "peak rate", "cost", "nothing was trained"):
        assert needed in done.stdout
    assert not (tmp_path / "run").exists()


def test_flags_win_over_the_config(digits, tmp_path):
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


def test_every_experiment_field_is_a_flag_with_help(capsys):
    from dataclasses import fields

    from tftransfer.core.experiment import Experiment

    assert main.main(["train", "--help"]) == 0
    said = capsys.readouterr().out
    for field in fields(Experiment):
        assert f"  --{field.name}=" in said


def test_interrupting_says_how_to_go_on(monkeypatch, capsys):
    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "_dispatch", interrupted)
    assert main.main(["train"]) == 130
    assert "begins again" in capsys.readouterr().err


def test_a_stop_tells_its_code_and_that_the_same_command_goes_on(monkeypatch, capsys):
    def stopped(arguments):
        raise signals.Stopped("stopped by SIGTERM")

    monkeypatch.setattr(main, "_dispatch", stopped)
    assert main.main(["train"]) == 75
    said = capsys.readouterr().err.splitlines()
    assert said == ["tftransfer: stopped by SIGTERM", "The same command goes on from there."]


@pytest.mark.parametrize(
    "recipe", [["--recipe=scratch"], ["--recipe", "scratch"], ["--recipe=scratch:batch_norm=train"]]
)
def test_options_of_the_config_reach_the_recipe_of_the_flag(recipe):
    _, _, found = main._parse(
        "train", main.COMMANDS["train"], [*recipe, "--config.recipe.epochs=3", "--data=x"]
    )
    made = tftransfer.recipes.make_recipe(found["recipe"])
    assert made.name == "scratch" and made.phases[0].epochs == 3
    assert found["data"] == "x"


def test_a_recipe_flag_replaces_the_configs_and_takes_its_options():
    file = str(ROOT / "configs" / "flowers.py")
    words = [f"--config={file}", "--recipe=l2_sp", "--config.recipe.strength=0.5"]
    _, _, found = main._parse("train", main.COMMANDS["train"], words)
    made = tftransfer.recipes.make_recipe(found["recipe"])
    assert made.name == "l2_sp" and made.phases[1].losses[1].weight == 0.5
    assert found["image_size"] == 160


@pytest.mark.slow
def test_a_run_with_ones_own_backbone_is_used_by_registering_it(digits, tmp_path):
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
    picture = str(next((digits / "target" / "5").iterdir()))
    refused = call("predict", f"--workdir={run}", picture)
    assert refused.returncode == 2 and "no backbone named 'mine'" in refused.stderr
    done = call("predict", f"--workdir={run}", f"--register={tmp_path / 'mine.py'}", picture)
    assert done.returncode == 0 and len(done.stdout.split("\t")) == 3


@pytest.mark.parametrize(
    "flag, remedy",
    [
        ("--epochs=two", "Give a whole number, such as 20."),
        ("--validation_fraction=x", "Give a number, such as 0.1."),
        ("--resume=maybe", "Give true or false."),
    ],
)
def test_values_of_flags_of_another_kind(flag, remedy, capsys):
    assert main.main(["train", flag]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said == [f"tftransfer: {flag} is not understood.", remedy]


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
def test_recipe_options_are_checked_before_anything_runs(digits, recipe, what):
    experiment = tftransfer.Experiment(
        data=str(digits / "target"), backbone="small_cnn", weights="none", recipe=recipe
    )
    with pytest.raises(tftransfer.UserError) as caught:
        tftransfer.plan(experiment)
    assert what in str(caught.value)


def test_one_hidden_layer_may_be_written_as_a_number(digits):
    experiment = tftransfer.Experiment(
        data=str(digits / "target"),
        backbone="small_cnn",
        weights="none",
        recipe="feature_extraction:hidden=64",
    )
    assert tftransfer.plan(experiment).recipe.heads[0].hidden == (64,)


@pytest.mark.slow
def test_a_run_on_pictures_imports_nothing_of_text_or_audio(image_folder, tmp_path):
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
        "'keras_hub', 'tensorflow_text', 'soundfile', 'safetensors', "
        "'tftransfer.preprocessing.text', 'tftransfer.preprocessing.audio', "
        "'tftransfer.backbones.text', 'tftransfer.backbones.audio'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_each_line_of_the_standard_input_is_a_text(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"one\r\n\n two\n")))
    assert list(handlers._given(["-", "a.txt"])) == [b"one", b"", b" two", Path("a.txt")]
