"""A run that is stopped by a signal loses nothing and resumes to the same weights."""

import os
import signal
import threading
import time

import pytest
from interruptions import AfterSteps, experiment, request_stop, train

import tftransfer
from tftransfer.checkpoints import checkpoint
from tftransfer.utils import signals
from tftransfer.workdir.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("interruptible")


@pytest.mark.parametrize(("groups", "name"), [(1, "SIGTERM"), (5, "SIGTERM"), (9, "SIGINT")])
def test_signal_between_two_groups_stops_a_run_that_resumes_to_the_same_weights(
    source_run, digits, whole_run, tmp_path, groups, name, log_lines
):
    callback = AfterSteps(groups, lambda: os.kill(os.getpid(), getattr(signal, name)))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(signals.Stopped, match=name):
        train(source_run, digits, tmp_path, callback)
    assert signal.getsignal(signal.SIGTERM) is before
    state = checkpoint.load_newest(RunFolder(tmp_path).checkpoints)[0].state
    assert state["phase"] or state["epoch"] or state["step"]
    resumed = train(source_run, digits, tmp_path)
    assert any("unfinished" in line for line in log_lines)
    assert resumed.result["weights_sha256"] == whole_run.result["weights_sha256"]
    assert resumed.result["test"] == whole_run.result["test"]


def test_signal_while_features_are_computed_stops_the_run(
    source_run, digits, tmp_path, monkeypatch, on_log
):
    monkeypatch.setenv("TFTRANSFER_CACHE", str(tmp_path / "cache"))
    on_log(lambda line: request_stop() if "phase 1" in line else None)
    with pytest.raises(signals.Stopped):
        train(source_run, digits, tmp_path / "run")
    assert not RunFolder(tmp_path / "run").finished


def test_signal_between_two_recipes_stops_the_comparison(
    source_run, digits, tmp_path, on_log, log_lines
):
    on_log(lambda line: request_stop() if line.startswith("report:") else None)
    recipes = ["feature_extraction:epochs=1", "scratch:epochs=1"]
    with pytest.raises(signals.Stopped):
        tftransfer.compare(experiment(source_run, digits), tmp_path, recipes, epochs=1)
    assert sum(line.startswith("\n== ") for line in log_lines) == 1


def test_second_interrupt_raises_at_once():
    with pytest.raises(KeyboardInterrupt) as error, signals.handle_stop_signals():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        assert signals.stop_requested()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
    assert not isinstance(error.value, signals.Stopped)
    assert not signals.stop_requested()


def test_forced_exit_saves_first(monkeypatch):
    done, ended = [], threading.Event()
    monkeypatch.setattr(signals, "_FORCED_EXIT_SECONDS", 0.05)
    monkeypatch.setattr(os, "_exit", lambda code: (done.append(code), ended.set()))
    with signals.handle_stop_signals():
        signals.call_before_forced_exit(lambda: done.append("saved"))
        os.kill(os.getpid(), signal.SIGTERM)
        assert ended.wait(5)
    assert done == ["saved", signals.RESUMABLE_EXIT_CODE]


def test_handlers_are_not_changed_in_other_threads():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def inside():
        with signals.handle_stop_signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [before]


def test_train_into_a_finished_run_changes_nothing(source_run, digits, whole_run, log_lines):
    before = whole_run.weights.stat().st_mtime_ns
    tftransfer.train(experiment(source_run, digits), whole_run.workdir)
    assert any("finished already" in line for line in log_lines)
    assert whole_run.weights.stat().st_mtime_ns == before


def test_metrics_skip_a_line_that_was_cut_short(tmp_path):
    run = RunFolder(tmp_path)
    run.append_metrics({"phase": "head", "epoch": 1, "loss": 0.5})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"phase": "head", "epo')
    run.append_metrics({"phase": "head", "epoch": 2, "loss": 0.4})
    assert [record["epoch"] for record in run.metrics()] == [1, 2]
