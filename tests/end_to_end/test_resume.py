"""A resumed run of any method ends as an uninterrupted one."""

import importlib.util
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from interruptions import (
    InsideEpoch,
    failing,
    outcome,
    request_stop,
    train,
    train_two_domains,
)

from tftransfer.checkpoints import checkpoint, weights
from tftransfer.commands import finish as finish_module
from tftransfer.training import domain_adaptation
from tftransfer.utils import signals

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
TUNE = "fine_tune:unfreeze=2,head_epochs=1,epochs=3,augment=shift,batch_norm=train"
METHODS = {
    "two streams, a discriminator and the source's weights": f"{TUNE}+dann+l2_sp",
    "low-rank updates": f"{TUNE}+lora",
    "low-rank updates with a reference": f"{TUNE}+lora+lwf+l2_sp",
    "a reference of the phase": f"{TUNE}+adda:epochs=3",
    "low-rank updates and a reference of the phase": f"{TUNE}+adda:epochs=3+lora",
    "densities of the source's features": f"{TUNE}+reweight",
}


def state_of(folder):
    return checkpoint.load_newest(folder / "checkpoints")[0].state


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_resume_inside_an_epoch_has_the_outcome_of_a_whole_run(
    source_run, digits, tmp_path, request, method
):
    recipe = METHODS[method]
    whole = train_two_domains(source_run, digits, tmp_path / "whole", recipe)
    request.getfixturevalue("short_groups")
    *before, _ = whole.result["phases"]
    with pytest.raises(signals.Stopped):
        epoch = sum(phase["epochs"] for phase in before) + 1  # the second epoch of the last phase
        stop = InsideEpoch(epoch, 1, request_stop)
        train_two_domains(source_run, digits, tmp_path / "run", recipe, stop)
    state = state_of(tmp_path / "run")
    assert (state["phase"], state["epoch"]) == (len(before), 1) and state["step"] > 0
    resumed = train_two_domains(source_run, digits, tmp_path / "run", recipe)
    assert outcome(resumed) == outcome(whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "ended"),
    [
        (f"{TUNE}+wise_ft", "tune"),
        ("few_shot+simclr:pretrain_epochs=1", "simclr"),
        (f"{TUNE}+adabn", "tune"),
        (f"{TUNE}+lora+adda:epochs=1", "tune"),
    ],
)
def test_resume_between_two_phases_has_the_outcome_of_a_whole_run(
    source_run, digits, tmp_path, recipe, ended, on_log
):
    def stop(line):
        if line.startswith(f"  {ended}: best epoch"):
            request_stop()

    whole = train_two_domains(source_run, digits, tmp_path / "whole", recipe)
    with on_log(stop), pytest.raises(signals.Stopped):
        train_two_domains(source_run, digits, tmp_path / "run", recipe)
    state = state_of(tmp_path / "run")
    assert state["phase"] == len(state["phases"]) > 0 and "step" not in state
    resumed = train_two_domains(source_run, digits, tmp_path / "run", recipe)
    assert outcome(resumed) == outcome(whole)


@pytest.mark.parametrize("where", ["inside an epoch", "at its end"])
def test_resume_keeps_the_request_of_a_callback_to_stop(
    source_run, digits, tmp_path, short_groups, where
):
    class StopTraining(InsideEpoch):
        def __init__(self, then):
            super().__init__(2, 1, self.stop_training)
            self.then = then

        def stop_training(self):
            self.model.stop_training = True
            self.then()

        def on_train_batch_end(self, batch, logs=None):
            if where == "inside an epoch":
                super().on_train_batch_end(batch, logs)

        def on_epoch_end(self, epoch, logs=None):
            if self.inside and where == "at its end":
                self.stop_training()

    recipe = "fine_tune:unfreeze=1,head_epochs=1,epochs=4,augment=shift"
    callback = StopTraining(lambda: None)
    whole = train(source_run, digits, tmp_path / "whole", callback, recipe=recipe)
    with pytest.raises(signals.Stopped):
        train(source_run, digits, tmp_path / "run", StopTraining(request_stop), recipe=recipe)
    resumed = train(source_run, digits, tmp_path / "run", recipe=recipe)
    assert whole.result["phases"][1]["stopped"] == "a callback requested the stop"
    assert whole.result["phases"][1]["epochs"] == 2
    assert outcome(resumed) == outcome(whole)


@pytest.mark.slow
@pytest.mark.parametrize("stop", ["after the first phase", "in the repeated one", "after the last"])
def test_resume_of_an_adaptation_that_failed_falls_back_to_the_same_phase(
    source_run, digits, tmp_path, monkeypatch, stop, on_log
):
    real = domain_adaptation.evaluate_phase

    def evaluate_phase(context, phases, logits):
        real(context, phases, logits)
        reverse = 0.9 - 0.8 * (len(phases) - 1)
        return {"domain_gap": 1.0, "class_frequency_distance": 0.0, "reverse_validation": reverse}

    def stop_there(line):
        if line.startswith("  head: best epoch") and stop == "after the first phase":
            request_stop()
        if line.startswith("  tune without the target 2/") and stop == "in the repeated one":
            request_stop()

    recipe = f"{TUNE}+dann"
    monkeypatch.setattr(domain_adaptation, "evaluate_phase", evaluate_phase)
    whole = train_two_domains(source_run, digits, tmp_path / "whole", recipe)
    with monkeypatch.context() as patch, on_log(stop_there), pytest.raises(signals.Stopped):
        if stop == "after the last":
            patch.setattr(finish_module, "evaluate_logits", failing(signals.Stopped()))
        train_two_domains(source_run, digits, tmp_path / "run", recipe)
    resumed = train_two_domains(source_run, digits, tmp_path / "run", recipe)
    assert [phase.get("kept") for phase in resumed.result["phases"]] == [True, None, None]
    assert outcome(resumed) == outcome(whole)
    assert resumed.result["phases"][2]["rates"]["domain"] == 0
    # No worse than without adaptation: the same, except for rounding.
    plain = train_two_domains(source_run, digits, tmp_path / "plain", TUNE)
    ours, theirs = (weights.read(run.weights) for run in (resumed, plain))
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, atol=1e-5)
    assert not list((tmp_path / "run").glob(".phase-*"))


def faults():
    spec = importlib.util.spec_from_file_location("faults", BENCHMARKS / "faults.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_resume_after_kills_and_stops_has_equal_weights(tmp_path):
    module = faults()
    module.prepare(tmp_path)
    for number, name in enumerate(module.SCENARIOS):
        for how, count in ((signal.SIGKILL, 6), (signal.SIGTERM, 2)):
            found = module.disturb(name, tmp_path, count, how, number)
            assert found["equal"] and not found["unequal"]
            if how == signal.SIGTERM:
                assert {each["code"] for each in found["stops"]} == {signals.RESUMABLE_EXIT_CODE}
                # A stop waits for a step, which takes longer where other processes run.
                busy = max(1.0, os.getloadavg()[0] / os.cpu_count())
                assert max(each["seconds"] for each in found["stops"]) < 10 * busy
