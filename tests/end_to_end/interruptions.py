"""What the tests of interrupted runs share."""

import json
import os
import signal

import keras

import tftransfer

RECIPE = "fine_tune:unfreeze=2,head_epochs=2,epochs=2,augment=shift,views=2"


def experiment(source_run, digits, **changes):
    """A small experiment in two phases, from the digits 0 to 4 to the digits 5 to 9."""
    fields = {
        "data": str(digits / "target"),
        "backbone": str(source_run.workdir),
        "batch_size": 16,
        "recipe": RECIPE,
    }
    return tftransfer.Experiment(**fields | changes)


def train(source_run, digits, folder, *callbacks, **changes):
    """Trains `experiment` into a folder."""
    settings = experiment(source_run, digits, **changes)
    return tftransfer.train(settings, folder, export=False, callbacks=callbacks)


def train_two_domains(source_run, digits, folder, recipe, *callbacks):
    """Trains a recipe that has a target domain."""
    changes = {"target_data": str(digits / "source"), "labels_per_class": 40, "recipe": recipe}
    return train(source_run, digits, folder, *callbacks, **changes)


class AfterSteps(keras.callbacks.Callback):
    """Calls a function once, after a number of groups of steps."""

    def __init__(self, count, action):
        super().__init__()
        self.count, self.action = count, action

    def on_train_batch_end(self, batch, logs=None):
        self.count -= 1
        if self.count == 0:
            self.action()


class InsideEpoch(AfterSteps):
    """Calls a function once, in an epoch of the run, after a number of its groups of steps."""

    def __init__(self, epoch, count, action):
        super().__init__(count, action)
        self.epoch, self.inside = epoch, False

    def on_epoch_begin(self, epoch, logs=None):
        self.inside = epoch == self.epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.inside:
            super().on_train_batch_end(batch, logs)


def request_stop():
    os.kill(os.getpid(), signal.SIGTERM)


def failing(error):
    """A function that raises an error."""

    def fail(*arguments, **options):
        raise error

    return fail


def without_times(value):
    """A JSON value without what differs between two equal runs: times and durations."""
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k not in ("seconds", "time")}
    return [without_times(each) for each in value] if isinstance(value, list) else value


def json_lines(path):
    return [without_times(json.loads(line)) for line in path.read_text().splitlines()]


def outcome(run):
    """Everything that a run records, without times."""
    records = json_lines(run.workdir / "metrics.jsonl")
    # The verdict names the run's own folder in its commands.
    result = json.loads(json.dumps(run.result).replace(str(run.workdir), "WORKDIR"))
    return without_times(result), {(each["phase"], each["epoch"]): each for each in records}
