"""Bad environments: no space, damaged files, a loss of NaN, files that change during a run."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
from bad_input_tools import first_of_two_lines, run_command, train_in_folder

from tftransfer.checkpoints import checkpoint
from tftransfer.checkpoints import weights as weight_arrays
from tftransfer.checkpoints.async_saver import AsyncSaver
from tftransfer.commands import train
from tftransfer.planning import preflight
from tftransfer.training.train_step import TrainStep


def read_only(place):
    """Simulates missing permissions, which do not stop root."""
    place.patch.setattr(preflight.os, "access", lambda path, mode: False)


def full(place):
    usage = shutil.disk_usage(place.outside)
    place.patch.setattr(preflight.shutil, "disk_usage", lambda _: usage._replace(free=1000))


BEFORE_TRAINING = {
    "output folder read-only": (read_only, "--workdir=.*run cannot be written"),
    "disk full": (full, "--workdir=.*run needs about .* MiB, its disk has 0 MiB free"),
    "TF_CONFIG malformed": (
        lambda place: place.patch.setenv("TF_CONFIG", "{"),
        "variable TF_CONFIG is malformed",
    ),
}


@pytest.mark.parametrize("case", BEFORE_TRAINING)
def test_environment_that_would_fail_later_stops_before_training(place, capsys, case):
    make, message = BEFORE_TRAINING[case]
    make(place)
    assert run_command(place, f"--workdir={place.outside / 'run'}") == 2
    assert re.search(message, first_of_two_lines(capsys))
    assert not (place.outside / "run").exists()


def incidents(run):
    return [json.loads(line) for line in (run / "incidents.jsonl").read_text().splitlines()]


def test_quarantine_is_a_file_of_the_run_and_another_run_is_refused(place, capsys):
    place.write("red/a\nb.jpg")
    code, run = train_in_folder(place)
    with (run / "quarantine.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert code == 0
    assert rows == [["name", "reason"], ["red/a\\nb.jpg", "the file is empty (0 bytes)"]]
    before = (run / "weights.npz").read_bytes()
    capsys.readouterr()
    assert train_in_folder(place, "--seed=5")[0] == 2
    assert (
        "holds another run; it differs in: experiment.seed (0 there, 5 here)"
        in first_of_two_lines(capsys)
    )
    assert (run / "weights.npz").read_bytes() == before


def test_full_disk_keeps_the_previous_checkpoint(place, capsys):
    real = weight_arrays.write

    def write(path, values):
        if checkpoint.load_newest(place.outside / "run" / "checkpoints"):
            raise OSError(28, "No space left on device", str(path))
        return real(path, values)

    place.patch.setattr(checkpoint.weights, "write", write)
    place.patch.setattr(AsyncSaver, "due", lambda self: True)
    code, run = train_in_folder(place, "--recipe=scratch:epochs=3", "--batch_size=8")
    assert code == 2 and "No space left on device" in first_of_two_lines(capsys)
    assert checkpoint.load_newest(run / "checkpoints")


def make_loss_nan(place, times):
    """Makes the loss NaN so many times, from the second group of steps."""
    real, calls = TrainStep.__call__, []

    def call(self, group):
        values = real(self, group)
        calls.append(group)
        if 1 < len(calls) <= 1 + times:
            return {**values, "loss": values["loss"] * np.nan}
        return values

    place.patch.setattr(TrainStep, "__call__", call)


def test_loss_of_nan_is_rolled_back_and_its_files_are_named(place, capsys):
    make_loss_nan(place, 1)
    code, run = train_in_folder(place, "--recipe=scratch:epochs=2")
    output = capsys.readouterr().out
    assert code == 0 and "the loss became nan" in output and "with 0.5 times the rate" in output
    (record,) = incidents(run)
    assert record["batch"] and all((place.root / name).is_file() for name in record["batch"])


def test_loss_of_nan_stops_the_run_after_three_rollbacks(place, capsys):
    make_loss_nan(place, 99)
    code, run = train_in_folder(place, "--recipe=scratch:epochs=2")
    assert code == 2 and "the loss became nan, for the 4th time" in first_of_two_lines(capsys)
    assert len(incidents(run)) >= 3 and not (run / "weights.npz").exists()


def delete(path):
    path.unlink()


def damage(path):
    path.write_bytes(path.read_bytes()[:-30])


@pytest.mark.parametrize(
    ("change", "reason"),
    [(delete, "No such file"), (damage, "cannot be decoded")],
    ids=["deleted", "damaged"],
)
def test_file_that_changes_during_a_run_stops_it_until_it_is_restored(
    place, capsys, change, reason
):
    """The file is not quarantined, since order and result of a run depend on every example."""
    path, real = place.root / "red" / "red03.png", train.check_disk_space
    before = path.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "check_disk_space", lambda *some: (change(path), real(*some)))
        assert train_in_folder(place)[0] == 2
    line = first_of_two_lines(capsys)
    assert f"{path} changed since the start of the run" in line and reason in line
    assert train_in_folder(place)[0] == 2
    assert "started with different data" in first_of_two_lines(capsys)
    path.write_bytes(before)
    assert train_in_folder(place)[0] == 0
