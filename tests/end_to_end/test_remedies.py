"""Each rule of the verdict fires in a real run, and the command that it prints is followed."""

import dataclasses
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tftransfer
from tftransfer.cli import main
from tftransfer.reports.issues import RULES

RANDOM = ("--backbone=small_cnn:width=4", "--weights=none", "--image_size=16")
SIDES = {"left": slice(0, 8), "right": slice(8, 16)}
COLORS = {"a": (200, 60, 60), "b": (60, 60, 200)}


def write_image(path, color, seed, bright=None):
    """An image of one color with noise; its columns `bright` are brighter."""
    pixels = np.random.default_rng(seed).normal(color, 8, (16, 16, 3))
    if bright is not None:
        pixels[:, bright] += 90
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


def write_colors(folder, a, b, *, start=0):
    """Writes images of the classes `a` and `b`, numbered from `start`."""
    for name, count in (("a", a), ("b", b)):
        for number in range(start, start + count):
            path = folder / name / f"{number:03}.png"
            write_image(path, COLORS[name], 1000 * ord(name) + number)
    return folder


def write_sides(folder, count):
    for each, (name, bright) in enumerate(SIDES.items()):
        for number in range(count):
            path = folder / name / f"{number:03}.png"
            write_image(path, (80, 80, 80), 1000 * each + number, bright)
    return folder


def write_split(folder, name, rows):
    """Writes a table of (path, label, split)."""
    lines = [",".join(row) for row in [("path", "label", "split"), *rows]]
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


def rows_of(folder, *, train=20, val=20, test=20):
    write_colors(folder, *[train + val + test] * 2)
    splits = ["train"] * train + ["val"] * val + ["test"] * test
    return [(f"{k}/{n:03}.png", k, split) for k in "ab" for n, split in enumerate(splits)]


def train(data, workdir, *flags):
    """Trains by the command line; returns the run."""
    words = ["train", f"--data={data}", f"--workdir={workdir}", "--noexport", *flags]
    assert main.main(words) == 0
    return tftransfer.load(workdir)


def step(run, text):
    """Returns the next step for the issue that has this text; None without such an issue."""
    lines = run.result["verdict"]
    issues = [(lines[1], lines[2]), *(line.split(". Next step: ", 1) for line in lines[3:])]
    return next((found for issue, found in issues if text in issue), None)


def follow(text):
    """Runs the command of a step, word by word as a shell reads it; returns the new run, if any."""
    program, *words = shlex.split(text[text.index("tftransfer ") :])
    assert program == "tftransfer" and main.main(words) == 0
    folders = [word.partition("=")[2] for word in words if word.startswith("--workdir=")]
    return tftransfer.load(folders[0]) if folders else None


def check_gone(run, text):
    """Follows the step for an issue, which must then be gone; returns the new run."""
    assert step(run, text), run.result["verdict"]
    found = follow(step(run, text))
    assert step(found, text) is None, found.result["verdict"]
    return found


def phases_of(run):
    return run.experiment.recipe.phases


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A run that knows the left from the right."""
    folder = tmp_path_factory.mktemp("source")
    flags = ("--recipe=scratch:augment=none", "--epochs=6", "--batch_size=16", *RANDOM)
    return str(train(write_sides(folder / "data", 60), folder / "run", *flags).workdir)


@pytest.fixture(scope="module")
def damaged(source, tmp_path_factory):
    """A run of two easy classes that a high learning rate spoils."""
    folder = tmp_path_factory.mktemp("damaged")
    recipe = "--recipe=fine_tune:head_epochs=1,epochs=1,learning_rate=5"
    data = write_colors(folder / "data", 60, 60)
    return train(data, folder / "run", f"--backbone={source}", recipe)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A run of few examples."""
    folder = tmp_path_factory.mktemp("small")
    data = write_colors(folder / "data", 24, 24)
    flags = ("--recipe=scratch:augment=none", "--epochs=2", "--batch_size=8")
    return train(data, folder / "run", *flags, *RANDOM)


@pytest.fixture(scope="module")
def labeled_more(small):
    """The run that follows the same step for each of its issues, once there are more examples."""
    texts = ("4 validation examples decide", "test examples is wide", "has few training examples")
    steps = {step(small, text) for text in texts}
    assert len(steps) == 1
    write_colors(Path(str(small.experiment.data)), 120, 120, start=24)
    return follow(steps.pop())


def contradictory_labels(tmp_path, capsys):
    data = write_colors(tmp_path / "my data", 24, 24)
    shutil.copy(data / "a/003.png", data / "b/again.png")
    run = train(data, tmp_path / "it's a run", "--recipe=scratch", "--epochs=1", *RANDOM)
    assert step(run, "1 content has more than one label").startswith("Next step: correct them: ")
    capsys.readouterr()
    follow(step(run, "more than one label"))
    assert "with different labels: a/003.png, b/again.png" in capsys.readouterr().out
    (data / "b/again.png").unlink()
    assert step(follow(step(run, "is wide")), "more than one label") is None


def leaking_examples(tmp_path, capsys):
    """Prevented: the plan drops the examples, and reports it."""
    rows = rows_of(tmp_path, train=10, val=5, test=5)
    shutil.copy(tmp_path / "a/001.png", tmp_path / "a/copy.png")
    table = write_split(tmp_path, "table.csv", [*rows, ("a/copy.png", "a", "test")])
    run = train(table, tmp_path / "run", "--recipe=scratch", "--epochs=1", *RANDOM)
    dropped = "Dropped 1 training image that is also in the given test split. First: a/001.png"
    assert dropped in capsys.readouterr().out
    assert step(run, "are also in the training split") is None


def leaking_near_copies(tmp_path, capsys):
    scenes = np.random.default_rng(0).integers(0, 256, (48, 12, 12, 3), np.uint8)
    for k, colors in enumerate(scenes):
        split, label = "train" if k < 32 else "test", "ab"[k % 2]
        path = tmp_path / "data" / split / label / f"{k:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(colors).resize((96, 96), Image.Resampling.BICUBIC).save(path)
    copy = tmp_path / "data/test/a/copy.png"
    Image.open(tmp_path / "data/train/a/000.png").crop((4, 4, 92, 92)).save(copy)
    run = train(tmp_path / "data", tmp_path / "run", "--recipe=scratch", "--epochs=1", *RANDOM)
    assert step(run, "1 test example is a near copy of training or validation examples")
    capsys.readouterr()
    follow(step(run, "is a near copy"))
    printed = capsys.readouterr().out
    assert "in different splits: test/a/copy.png and train/a/000.png" in printed
    copy.unlink()
    assert step(follow(step(run, "is wide")), "near copy") is None


def mirrored_classes(tmp_path, source):
    recipe = "--recipe=fine_tune:head_epochs=1,epochs=1,augment=flip"
    data = write_sides(tmp_path / "data", 60)
    run = train(data, tmp_path / "run", f"--backbone={source}", recipe)
    found = check_gone(run, "mirrored images have other labels")
    assert [phase.augment for phase in phases_of(found)] == ["shift", "shift"]
    assert [phase.epochs for phase in phases_of(found)] == [1, 1]


def worse_than_the_probe(damaged):
    found = check_gone(damaged, "the linear probe is better on the validation split (1.000)")
    assert found.result["recipe"] == "feature_extraction"
    assert found.result["test"]["accuracy"] == 1.0


def no_better_than_a_guess(damaged, capsys):
    capsys.readouterr()
    follow(step(damaged, "the run is no better than a guess"))
    assert "120 examples, single_label, 2 classes" in capsys.readouterr().out


def class_without_examples(tmp_path):
    rows = rows_of(tmp_path, val=25)
    table = write_split(tmp_path, "table.csv", [r for r in rows if r[1] == "a" or r[2] == "val"])
    run = train(table, tmp_path / "run", "--recipe=scratch", "--epochs=1", *RANDOM)
    texts = ("no training example is of class b", "no evaluated example is of class b")
    steps = [step(run, text) for text in texts]
    write_split(tmp_path, "table.csv", rows)
    assert steps[0].split("tftransfer ")[1] == steps[1].split("tftransfer ")[1]
    found = follow(steps[0])
    assert not any(step(found, text) for text in texts)


def few_validation_examples(damaged, labeled_more):
    assert step(labeled_more, "validation examples decide") is None
    found = check_gone(damaged, "10 validation examples decide")
    assert found.experiment.validation_fraction == 0.21
    assert phases_of(found)[0].learning_rate == phases_of(damaged)[0].learning_rate


def validation_far_from_test(tmp_path, capsys):
    rows = rows_of(tmp_path)
    other = {"a": "b", "b": "a"}
    wrong = [(path, other[k] if split == "test" else k, split) for path, k, split in rows]
    flags = ("--recipe=scratch:augment=none", "--epochs=12", "--batch_size=8", *RANDOM)
    run = train(write_split(tmp_path, "table.csv", wrong), tmp_path / "run", *flags)
    assert step(run, "the accuracy is 1.000 on the validation split and 0.000 on the test split")
    capsys.readouterr()
    follow(step(run, "not of the same kind"))
    assert "120 examples, single_label, 2 classes" in capsys.readouterr().out
    table = write_split(tmp_path, "right.csv", rows)
    assert step(train(table, tmp_path / "right", *flags), "not of the same kind") is None


def better_middle_stage(tmp_path):
    weights = tmp_path / "blind.weights.h5"
    _write_tones(tmp_path / "tones", 30)
    _save_without_the_last_stage(weights)
    flags = ("--backbone=small_cnn:width=4", f"--weights={weights}", "--recipe=feature_extraction")
    run = train(tmp_path / "tones", tmp_path / "run", "--epochs=1", *flags)
    found = check_gone(run, "is better than on the last stage")
    assert found.result["baselines"]["linear_probe"]["accuracy"] == 1.0


def few_test_examples(labeled_more):
    assert step(labeled_more, "is wide") is None
    assert labeled_more.result["test"]["accuracy"] == 1.0


def imbalance(tmp_path):
    data = write_colors(tmp_path / "data", 60, 5)
    flags = ("--recipe=fine_tune:unfreeze=1,head_epochs=1,epochs=1", *RANDOM)
    run = train(data, tmp_path / "run", *flags)
    assert step(run, "class b has 3 training examples, 23 is the mean over classes")
    found = follow(step(run, "class b has 3 training examples"))
    assert [each.losses[0].class_weight for each in phases_of(found)] == ["balanced"] * 2
    assert [each.train for each in phases_of(found)] == [each.train for each in phases_of(run)]
    again = step(found, "class b has 3 training examples")
    assert "add examples of it, then tftransfer train " in again  # balanced is done already
    write_colors(data, 0, 55, start=5)
    assert step(follow(again), "is the mean over classes") is None


def few_training_examples(labeled_more):
    assert step(labeled_more, "has few training examples") is None


def weak_class(damaged):
    row = step(damaged, "has an F1 of 0.00").removeprefix("look at the rows of the class in ")
    assert sum(line.count(",b,") for line in Path(row).read_text().splitlines()) == 12


def early_end(small, labeled_more):
    found = follow(step(small, "the last of the 2 epochs was the best"))
    assert sum(phase["epochs"] for phase in found.result["phases"]) == 4


def nothing_transferred(small, source, tmp_path):
    assert step(small, "nothing is transferred").endswith(
        f"--config={small.workdir}/config.json --recipe=fine_tune --weights=pretrained "
        f"--backbone=mobilenet_v2 --image_size=0 --workdir={small.workdir}-fine_tune"
    )  # small_cnn has no published weights
    data = write_sides(tmp_path / "data", 12)
    flags = (f"--backbone={source}", "--recipe=scratch:augment=none", "--epochs=2")
    found = check_gone(train(data, tmp_path / "run", *flags), "nothing is transferred")
    assert found.result["recipe"] == "fine_tune"


def only_the_head(source, tmp_path):
    data = write_sides(tmp_path / "data", 12)
    flags = (f"--backbone={source}", "--recipe=feature_extraction", "--epochs=2")
    found = check_gone(train(data, tmp_path / "run", *flags), "only the head was trained")
    assert found.result["recipe"] == "fine_tune"


def _write_tones(folder, count):
    wavfile = pytest.importorskip("scipy.io.wavfile")
    noise, time = np.random.default_rng(0), np.arange(16000) / 16000
    for name, hertz in (("low", 400), ("high", 900)):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            wave = 0.4 * np.sin(2 * np.pi * hertz * time) + noise.normal(0, 0.02, time.size)
            wavfile.write(folder / name / f"{number}.wav", 16000, np.int16(wave * 20000))


def _save_without_the_last_stage(path):
    """Saves weights of a network for clips of one second whose last stage outputs zeros."""
    from tftransfer.backbones.load import load_backbone

    backbone = load_backbone("small_cnn:width=4", weights="none", modality="audio", length=1.0)
    for layer in backbone.stages[-1].layers:
        layer.set_weights([np.zeros_like(each) for each in layer.get_weights()])
    backbone.model.save_weights(path)


FOLLOWED = (
    contradictory_labels,
    leaking_examples,
    leaking_near_copies,
    mirrored_classes,
    worse_than_the_probe,
    no_better_than_a_guess,
    class_without_examples,
    few_validation_examples,
    validation_far_from_test,
    better_middle_stage,
    few_test_examples,
    imbalance,
    few_training_examples,
    weak_class,
    early_end,
    nothing_transferred,
    only_the_head,
)


def test_every_rule_has_a_remedy_that_is_followed():
    assert [each.__name__ for each in FOLLOWED] == [rule.__name__ for rule in RULES]


@pytest.mark.slow
@pytest.mark.parametrize("check", FOLLOWED, ids=lambda check: check.__name__)
def test_remedy_of_a_rule(check, request):
    check(**{name: request.getfixturevalue(name) for name in _arguments(check)})


def _arguments(function):
    return function.__code__.co_varnames[: function.__code__.co_argcount]


@pytest.mark.slow
def test_printed_commands_run_in_a_shell_unchanged(tmp_path):
    program = tmp_path / "bin" / "tftransfer"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m tftransfer "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    data = write_colors(tmp_path / "my $photos; it's", 30, 30)
    recipe = "--recipe=scratch:augment=none"
    run = train(data, tmp_path / "a run's & 'b'", recipe, "--epochs=2", *RANDOM)
    for text in ("test examples is wide", "validation examples decide"):
        command = step(run, text)
        command = command[command.index("tftransfer ") :]
        done = subprocess.run(
            command, shell=True, env=os.environ | {"PATH": path}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


def test_printed_calls_run_in_python_unchanged(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (60, 16, 16, 3), np.uint8)
    experiment = tftransfer.Experiment(
        data=(images, np.arange(60) % 2),
        backbone="small_cnn:width=4",
        weights="none",
        recipe="scratch:epochs=2",
        problem_type="single_label",
    )
    run = tftransfer.train(experiment, tmp_path / "it's", export=False)
    names = {"tftransfer": tftransfer, "dataclasses": dataclasses, "experiment": experiment}
    lines = [line for line in run.result["verdict"] if "experiment" in line]
    calls = {line[line.index("tftransfer.") :] for line in lines if "pretrained" not in line}
    assert len(calls) >= 2
    for call in calls:
        found = eval(call, names | {"images": list(images)})
        assert found.result["test"] if "train(" in call else "60 examples" in found
