"""A loss or weight that is not finite: back to the start of the epoch, with half the rate."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from interruptions import (
    InsideEpoch,
    experiment,
    json_lines,
    outcome,
    request_stop,
    train,
    train_two_domains,
)

import tftransfer
from tftransfer.checkpoints import checkpoint
from tftransfer.training import phase_loop
from tftransfer.training.train_step import TrainStep
from tftransfer.utils import signals
from tftransfer.workdir.run_folder import RunFolder


@pytest.fixture
def loss_not_finite(monkeypatch):
    """`loss_not_finite(times)` makes the last loss of a group NaN, from the second group on."""

    def install(times):
        real, left, calls = TrainStep.__call__, [times], [0]

        def call(self, group):
            values = real(self, group)
            calls[0] += 1
            if calls[0] == 1 or not left[0]:
                return values
            left[0] -= 1
            loss = np.array(values["loss"])
            loss[-1] = np.nan
            return {**values, "loss": tf.constant(loss)}

        monkeypatch.setattr(TrainStep, "__call__", call)

    return install


def loss_of_phase_not_finite_once(monkeypatch, epoch, step):
    """Makes the losses of the phase `tune` NaN once, from a step of an epoch on."""
    real, left = phase_loop.PhaseLoop._count, [1]

    def count(self, values, now):
        if left[0] and (self.phase.name, now + 1) == ("tune", epoch) and self.step_done >= step:
            left[0] = 0
            values = {**values, "loss": values["loss"] * np.nan}
        real(self, values, now)

    monkeypatch.setattr(phase_loop.PhaseLoop, "_count", count)


def test_loss_not_finite_halves_the_rate_and_is_recorded(
    source_run, digits, tmp_path, loss_not_finite, log_lines
):
    loss_not_finite(2)
    run = train(source_run, digits, tmp_path)
    logged = [line for line in log_lines if "the loss became nan" in line]
    assert len(logged) == 2
    assert "with 0.5 times the rate" in logged[0] and "with 0.25 times the rate" in logged[1]
    incidents = [json.loads(line) for line in run.folder.incidents.read_text().splitlines()]
    names = {name for entry in incidents for name in entry["batch"]}
    assert incidents[0]["where"].startswith("phase head, epoch 1, step ")
    assert names <= {row[0] for row in run.split["examples"] if row[1] == "train"}
    assert np.isfinite(run.result["test"]["log_loss"])


def test_loss_not_finite_four_times_is_an_error_that_keeps_the_last_checkpoint(
    source_run, digits, tmp_path, loss_not_finite
):
    loss_not_finite(99)
    with pytest.raises(tftransfer.UserError, match=r"the loss became nan, for the 4th time"):
        train(source_run, digits, tmp_path)
    found = checkpoint.load_newest(RunFolder(tmp_path).checkpoints)
    values = found[0].groups["weights"].values() if found else []
    assert all(np.isfinite(value).all() for value in values)


def test_loss_not_finite_of_a_real_divergence_suggests_a_lower_rate(source_run, digits, tmp_path):
    recipe = (
        "feature_extraction:learning_rate=90,optimizer=sgd,clip_norm=0,epochs=30,"
        "schedule=constant,warmup=0,weight_decay=50"
    )
    message = r"the loss became (nan|inf), for the 4th[\s\S]*lower"
    with pytest.raises(tftransfer.UserError, match=message):
        train(source_run, digits, tmp_path, recipe=recipe)


def test_weight_not_finite_is_not_kept(source_run, digits, tmp_path, monkeypatch, log_lines):
    real, count = TrainStep.__call__, [0]

    def call(self, group):
        values = real(self, group)
        count[0] += 1
        if count[0] == 2:
            self._variables[0].assign(self._variables[0] * np.nan)
        return values

    monkeypatch.setattr(TrainStep, "__call__", call)
    run = train(source_run, digits, tmp_path)
    messages = ("became infinite or NaN", "the loss became nan")
    assert any(message in line for line in log_lines for message in messages)
    assert np.isfinite(run.result["test"]["log_loss"])


@pytest.mark.slow
def test_loss_not_finite_after_a_resume_inside_an_epoch_goes_back_to_its_start(
    source_run, digits, tmp_path, short_groups, monkeypatch, log_lines
):
    recipe = "fine_tune:unfreeze=2,head_epochs=1,epochs=3,augment=shift,batch_norm=train+dann"
    with monkeypatch.context() as patch:
        loss_of_phase_not_finite_once(patch, epoch=2, step=8)
        whole = train_two_domains(source_run, digits, tmp_path / "whole", recipe)
    with pytest.raises(signals.Stopped):
        stop = InsideEpoch(2, 1, request_stop)
        train_two_domains(source_run, digits, tmp_path / "run", recipe, stop)
    loss_of_phase_not_finite_once(monkeypatch, epoch=2, step=8)
    log_lines.clear()
    resumed = train_two_domains(source_run, digits, tmp_path / "run", recipe)
    assert sum("back to epoch 2, step 0, with 0.5 times" in line for line in log_lines) == 1
    assert json_lines(resumed.folder.incidents) == json_lines(whole.folder.incidents)
    assert outcome(resumed) == outcome(whole)


def test_microbatches_and_rate_are_kept_when_an_epoch_is_retried(
    source_run, digits, tmp_path, monkeypatch, log_lines
):
    real = TrainStep.__call__

    def call(self, group):
        if self.microbatches < 2:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        return real(self, group)

    monkeypatch.setattr(TrainStep, "__call__", call)
    loss_of_phase_not_finite_once(monkeypatch, epoch=1, step=0)
    run = train(source_run, digits, tmp_path)
    logged = [line for line in log_lines if "out of memory" in line or "became nan" in line]
    assert len(logged) == 3 and "with 0.5 times the rate" in logged[2]
    assert np.isfinite(run.result["test"]["log_loss"])


def test_schedule_plateau_divides_the_rate_by_three(source_run, digits, tmp_path, monkeypatch):
    monkeypatch.setattr(phase_loop.PhaseLoop, "_validate", lambda self: {"val_log_loss": 1.0})
    scales = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda *_: scales.append(float(watch.model.optimizer.scale.numpy()))
    )
    settings = experiment(
        source_run,
        digits,
        recipe="feature_extraction:epochs=8,patience=0,schedule=plateau,augment=none",
    )
    tftransfer.train(settings, tmp_path, export=False, callbacks=[watch])
    np.testing.assert_allclose(scales, [1, 1, 1, 1, 1 / 3, 1 / 3, 1 / 3, 1 / 9], rtol=1e-6)
