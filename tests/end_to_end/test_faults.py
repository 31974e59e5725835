"""Stops, damage, and numbers that are none: nothing is lost, and nothing goes on in silence."""

import contextlib
import importlib.util
import json
import os
import random
import resource
import shutil
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer
from tftransfer.checkpoints import checkpoint, weights
from tftransfer.checkpoints.checkpoint import Checkpoint
from tftransfer.commands import train
from tftransfer.features import autotune
from tftransfer.planning import preflight
from tftransfer.training import domain_adaptation, phase_loop
from tftransfer.training.train_step import TrainStep
from tftransfer.utils import files, signals
from tftransfer.workdir.run_folder import RunFolder

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
PHASES = "fine_tune:unfreeze=2,head_epochs=2,epochs=2,augment=shift,views=2"


def experiment(source_run, digits, **changes):
    fields = {
        "data": str(digits / "target"),
        "backbone": str(source_run.workdir),
        "batch_size": 16,
        "recipe": PHASES,
    }
    return tftransfer.Experiment(**fields | changes)


class At(keras.callbacks.Callback):
    """Does something once, when so many groups of steps have ended."""

    def __init__(self, count, action):
        super().__init__()
        self.count, self.action = count, action

    def on_train_batch_end(self, batch, logs=None):
        self.count -= 1
        if self.count == 0:
            self.action()


@pytest.fixture(scope="module")
def whole_run(source_run, digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return tftransfer.train(experiment(source_run, digits), folder, export=False)


def interrupted(source_run, digits, folder, callback, **changes):
    return tftransfer.train(
        experiment(source_run, digits, **changes), folder, export=False, callbacks=[callback]
    )


@pytest.fixture(autouse=True)
def interruptible():
    """A shell's jobs in the background ignore SIGINT, and so do the tests among them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("groups", "name"), [(1, "SIGTERM"), (5, "SIGTERM"), (9, "SIGINT")])
def test_a_signal_stops_between_two_groups_and_loses_nothing(
    source_run, digits, whole_run, tmp_path, groups, name, log_lines
):
    callback = At(groups, lambda: os.kill(os.getpid(), getattr(signal, name)))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(signals.Stopped, match=name):
        interrupted(source_run, digits, tmp_path, callback)
    assert signal.getsignal(signal.SIGTERM) is before
    state = checkpoint.load_newest(RunFolder(tmp_path).checkpoints)[0].state
    assert state["phase"] or state["epoch"] or state["step"]
    said = log_lines
    again = tftransfer.train(experiment(source_run, digits), tmp_path, export=False)
    assert any("resuming the unfinished run" in line for line in said)
    assert again.result["weights_sha256"] == whole_run.result["weights_sha256"]
    assert again.result["test"] == whole_run.result["test"]


def test_a_signal_is_heard_while_features_are_computed(
    source_run, digits, tmp_path, monkeypatch, on_log
):
    def stop(line):
        if "phase 1" in line:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setenv("TFTRANSFER_CACHE", str(tmp_path / "cache"))
    on_log(stop)
    with pytest.raises(signals.Stopped):
        tftransfer.train(experiment(source_run, digits), tmp_path / "run", export=False)
    assert not RunFolder(tmp_path / "run").finished


def test_a_second_interrupt_is_heard_at_once():
    with pytest.raises(KeyboardInterrupt) as error, signals.handle_stop_signals():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        assert signals.stop_requested()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
    assert not isinstance(error.value, signals.Stopped)
    assert not signals.stop_requested()


def test_without_time_left_what_is_there_is_saved(monkeypatch):
    done, ended = [], threading.Event()
    monkeypatch.setattr(signals, "_FORCED_EXIT_SECONDS", 0.05)
    monkeypatch.setattr(os, "_exit", lambda code: (done.append(code), ended.set()))
    with signals.handle_stop_signals():
        signals.call_before_forced_exit(lambda: done.append("saved"))
        os.kill(os.getpid(), signal.SIGTERM)
        assert ended.wait(5)
    assert done == ["saved", signals.RESUMABLE_EXIT_CODE]


def test_other_threads_leave_signals_alone():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def inside():
        with signals.handle_stop_signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [before]


def test_a_finished_run_is_left_as_it_is(source_run, digits, whole_run, log_lines):
    said, before = log_lines, whole_run.weights.stat().st_mtime_ns
    tftransfer.train(experiment(source_run, digits), whole_run.workdir)
    assert any("is finished already" in line for line in said)
    assert whole_run.weights.stat().st_mtime_ns == before


def test_a_run_to_resume_must_be_there(source_run, digits, tmp_path):
    with pytest.raises(tftransfer.UserError, match=r"no run in .* to resume"):
        tftransfer.train(experiment(source_run, digits), tmp_path, resume=True)


@pytest.fixture(scope="module")
def half_run(source_run, digits, tmp_path_factory):
    """A copy of the data, and a run on it that was stopped."""
    folder = tmp_path_factory.mktemp("half")
    shutil.copytree(digits / "target", folder / "data")
    with pytest.raises(ZeroDivisionError):
        interrupted(
            source_run, digits, folder / "run", At(3, lambda: 1 / 0), data=str(folder / "data")
        )
    return folder


def repainted(data):
    file = sorted((data / "5").iterdir())[0]
    picture = np.array(keras.utils.load_img(file))
    picture[0, 0] ^= 1
    keras.utils.save_img(file, picture, scale=False)


def added(data):
    shutil.copy(sorted((data / "5").iterdir())[0], data / "6" / "new.png")


def moved(data):
    file = sorted((data / "5").iterdir())[0]
    file.rename(data / "6" / file.name)


def renamed(data):
    (data / "9").rename(data / "nine")


DATA = {"a pixel": repainted, "a file": added, "a label": moved, "a class": renamed}


@pytest.mark.parametrize("change", DATA)
def test_other_data_are_refused(source_run, digits, half_run, tmp_path, change):
    shutil.copytree(half_run, tmp_path / "half")
    DATA[change](tmp_path / "half" / "data")
    # The data's path is a part of the configuration: the copy takes the place of the original.
    with (
        swapped(half_run / "data", tmp_path / "half" / "data"),
        pytest.raises(tftransfer.UserError, match=r"started with different .*data"),
    ):
        resumed(source_run, digits, half_run)


@contextlib.contextmanager
def swapped(first, second):
    for a, b in ((first, first.with_name("aside")), (second, first)):
        shutil.move(a, b)
    try:
        yield
    finally:
        shutil.move(first, second)
        shutil.move(first.with_name("aside"), first)


def resumed(source_run, digits, folder, **changes):
    fields = {"data": str(folder / "data")} | changes
    return tftransfer.train(experiment(source_run, digits, **fields), folder / "run", export=False)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("tensorflow", "2.99.0", r"TensorFlow \(.* then, 2.99.0 now\)"),
        ("keras", "4.0.0", "other Keras"),
        ("numpy", "9.9", "other NumPy"),
        ("tftransfer", "9.9", "other tftransfer"),
        ("cpus", 97, "number of CPUs"),
        ("intra_op_threads", 31, "intra-op threads"),
        ("inter_op_threads", 31, "inter-op"),
        ("machine", "abacus", "processor"),
        ("devices", ["/device:GPU:0"], "devices"),
    ],
)
def test_another_environment_is_refused_by_name(
    source_run, digits, half_run, monkeypatch, key, value, said
):
    real = train.environment()
    monkeypatch.setattr(train, "environment", lambda: real | {key: value})
    with pytest.raises(tftransfer.UserError, match=said):
        resumed(source_run, digits, half_run)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": 5}, "seed"),
        ({"batch_size": 8}, "batch_size"),
        ({"image_size": 16}, "image_size"),
        ({"recipe": PHASES + ",learning_rate=0.01"}, "learning_rate"),
    ],
)
def test_another_configuration_is_refused_by_name(source_run, digits, half_run, changes, said):
    with pytest.raises(tftransfer.UserError, match=said):
        resumed(source_run, digits, half_run, **changes)


def test_other_starting_weights_are_refused(source_run, digits, half_run, monkeypatch):
    real = train.make_plan

    def changed(*arguments, **options):
        plan = real(*arguments, **options)
        variable = plan.network.variables("stage1")[0]
        variable.assign(variable + 1)
        return plan

    monkeypatch.setattr(train, "make_plan", changed)
    with pytest.raises(tftransfer.UserError, match="started with different starting weights"):
        resumed(source_run, digits, half_run)


class Poison:
    """A step whose loss is no number, so many times, from a given step of the epoch on."""

    def __init__(self, times, real):
        self.times, self.real, self.calls = times, real, 0

    def __call__(self, step, group):
        figures = self.real(step, group)
        self.calls += 1
        if self.calls > 1 and self.times > 0:
            self.times -= 1
            loss = figures["loss"].numpy()
            loss[-1] = np.nan
            return {**figures, "loss": tf.constant(loss)}
        return figures


def poisoned(monkeypatch, times):
    poison = Poison(times, TrainStep.__call__)
    monkeypatch.setattr(TrainStep, "__call__", lambda self, group: poison(self, group))


def test_a_loss_that_is_no_number_is_rolled_back(
    source_run, digits, tmp_path, monkeypatch, log_lines
):
    poisoned(monkeypatch, 2)
    said = log_lines
    run = tftransfer.train(experiment(source_run, digits), tmp_path, export=False)
    told = [line for line in said if "the loss became nan" in line]
    assert len(told) == 2
    assert "with 0.5 times the rate" in told[0] and "with 0.25 times the rate" in told[1]
    incidents = [json.loads(line) for line in run.folder.incidents.read_text().splitlines()]
    names = {name for entry in incidents for name in entry["batch"]}
    assert incidents[0]["where"].startswith("phase head, epoch 1, step ")
    assert names <= {row[0] for row in run.split["examples"] if row[1] == "train"}
    assert np.isfinite(run.result["test"]["log_loss"])


def test_after_three_times_it_stops_and_keeps_what_was_good(
    source_run, digits, tmp_path, monkeypatch
):
    poisoned(monkeypatch, 99)
    with pytest.raises(tftransfer.UserError, match=r"the loss became nan, for the 4th time"):
        tftransfer.train(experiment(source_run, digits), tmp_path, export=False)
    found = checkpoint.load_newest(RunFolder(tmp_path).checkpoints)
    values = found[0].groups["weights"].values() if found else []
    assert all(np.isfinite(value).all() for value in values)


def test_a_weight_that_is_no_number_is_not_kept(
    source_run, digits, tmp_path, monkeypatch, log_lines
):
    real, count = TrainStep.__call__, [0]

    def call(self, group):
        figures = real(self, group)
        count[0] += 1
        if count[0] == 2:
            self._variables[0].assign(self._variables[0] * np.nan)
        return figures

    monkeypatch.setattr(TrainStep, "__call__", call)
    said = log_lines
    run = tftransfer.train(experiment(source_run, digits), tmp_path, export=False)
    assert any("became infinite or NaN" in line for line in said) or any(
        "the loss became nan" in line for line in said
    )
    assert np.isfinite(run.result["test"]["log_loss"])


@pytest.mark.parametrize(
    "recipe",
    [
        "feature_extraction:epochs=2,augment=none,dropout=0",
        pytest.param("l2_sp:head_epochs=1,epochs=1,views=fresh", marks=pytest.mark.slow),
    ],
)
def test_out_of_memory_parts_the_batch(
    source_run, digits, tmp_path, monkeypatch, recipe, log_lines
):
    real, fails = TrainStep.__call__, [2]

    def call(self, group):
        if fails[0] and self._parts < 4:
            fails[0] -= 1
            real(self, group)  # it may have done a part of its work
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        return real(self, group)

    settings = experiment(source_run, digits, recipe=recipe)
    plain = tftransfer.train(settings, tmp_path / "plain", export=False)
    monkeypatch.setattr(TrainStep, "__call__", call)
    said = log_lines
    run = tftransfer.train(settings, tmp_path / "parted", export=False)
    assert any("each batch of 16 goes in 2 parts" in line for line in said)
    assert any("each batch of 16 goes in 4 parts" in line for line in said)
    ours, theirs = (weights.read(r.weights) for r in (run, plain))
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], atol=1e-4, err_msg=name)


def test_memory_that_does_not_do_for_one_example_is_an_error(
    source_run, digits, tmp_path, monkeypatch
):
    def call(self, group):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(TrainStep, "__call__", call)
    with pytest.raises(tftransfer.UserError, match="Memory does not do for one example"):
        tftransfer.train(experiment(source_run, digits, batch_size=2), tmp_path, export=False)


def some_checkpoint(number):
    rng = np.random.default_rng(number)
    groups = {
        "weights": {"head/0000/kernel": rng.normal(size=(40, 30)).astype(np.float32)},
        "optimizer": {"0": np.array(number, np.int64)},
    }
    return Checkpoint(groups, {"phase": 0, "epoch": number, "step": 0})


def damaged(path, rng):
    data = bytearray(path.read_bytes())
    ways = ("flip", "cut", "remove", "empty", "grow", "zero")
    way = rng.choice(ways)
    at = rng.randrange(len(data))
    if way == "remove":
        path.unlink()
        return
    if way == "flip":
        data[at] ^= 1 << rng.randrange(8)
    elif way == "zero":
        data[at : at + 64] = bytes(b ^ 255 for b in data[at : at + 64])
    else:
        data = {"cut": data[:at], "empty": b"", "grow": bytes(data) + b"x"}[way]
    path.write_bytes(data)


@pytest.mark.parametrize("seed", range(100))
def test_every_damage_is_seen_named_and_fallen_back_from(tmp_path, seed):
    rng = random.Random(seed)
    for number in (1, 2):
        checkpoint.save(tmp_path, number, some_checkpoint(number))
    damaged(rng.choice(sorted((tmp_path / "00000002").iterdir())), rng)
    found, remarks = checkpoint.load_newest(tmp_path)
    assert found.state["epoch"] == 1
    assert len(remarks) == 1 and "checkpoint 00000002 is damaged" in remarks[0]


def failing(error):
    def fail(*arguments, **options):
        raise error

    return fail


@pytest.mark.parametrize("what", ["write", "fsync", "rename", "full disk"])
def test_a_save_that_fails_leaves_the_one_before(tmp_path, monkeypatch, what):
    checkpoint.save(tmp_path, 1, some_checkpoint(1))
    with monkeypatch.context() as patch, pytest.raises(OSError, match=r"."):
        if what == "write":
            patch.setattr(weights, "write", failing(OSError(28, "No space left on device")))
        elif what == "fsync":
            patch.setattr(files.os, "fsync", failing(OSError(5, "Input/output error")))
        elif what == "rename":
            patch.setattr(Path, "rename", failing(OSError(5, "Input/output error")))
        else:
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            try:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
                checkpoint.save(tmp_path, 2, some_checkpoint(2))
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        checkpoint.save(tmp_path, 2, some_checkpoint(2))
    found, remarks = checkpoint.load_newest(tmp_path)
    assert found.state["epoch"] == 1 and not remarks
    checkpoint.save(tmp_path, 3, some_checkpoint(3))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000001", "00000003"]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_is_published_whole(tmp_path, monkeypatch, can_exchange):
    if not can_exchange:
        monkeypatch.setattr(files, "_exchange", lambda *_: False)
    for content in ("one", "two"):
        part = tmp_path / ".export.part"
        (part / "deep").mkdir(parents=True)
        (part / "deep" / "file").write_text(content)
        files.publish(part, tmp_path / "export")
        assert (tmp_path / "export" / "deep" / "file").read_text() == content
        assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_the_full_disk_is_said_before_anything_is_computed(
    source_run, digits, tmp_path, monkeypatch
):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(tftransfer.UserError, match=r"needs about \d+ MiB, its disk has 0 MiB free"):
        tftransfer.train(experiment(source_run, digits), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ["{", "[]", '"x"', '{"cluster": 3}'])
def test_a_malformed_tf_config_is_named(source_run, digits, tmp_path, monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(tftransfer.UserError, match="TF_CONFIG is malformed"):
        tftransfer.train(experiment(source_run, digits), tmp_path)


def test_preflight_is_before_the_data(source_run, digits, tmp_path):
    (tmp_path / "file").write_text("x")
    settings = replace(experiment(source_run, digits), data="nowhere")
    with pytest.raises(tftransfer.UserError, match="file is a file"):
        tftransfer.train(settings, tmp_path / "file" / "run")
    settings = replace(settings, backbone="small_cnn", weights="gone.h5")
    with pytest.raises(tftransfer.UserError, match=r"gone\.h5 does not exist"):
        tftransfer.train(settings, tmp_path / "run")


def faults():
    spec = importlib.util.spec_from_file_location("faults", BENCHMARKS / "faults.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_runs_that_are_killed_or_stopped_end_as_if_nothing_had_been(tmp_path):
    module = faults()
    module.prepare(tmp_path)
    for number, name in enumerate(module.SCENARIOS):
        for how, count in ((signal.SIGKILL, 6), (signal.SIGTERM, 2)):
            found = module.disturb(name, tmp_path, count, how, number)
            assert found["equal"] and not found["unequal"]
            if how == signal.SIGTERM:
                assert {each["code"] for each in found["seen"]} == {signals.RESUMABLE_EXIT_CODE}
                assert max(each["seconds"] for each in found["seen"]) < 10


def test_a_line_that_was_cut_short_is_passed_over(tmp_path):
    run = RunFolder(tmp_path)
    run.append_metrics({"phase": "head", "epoch": 1, "loss": 0.5})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"phase": "head", "epo')
    run.append_metrics({"phase": "head", "epoch": 2, "loss": 0.4})
    assert [record["epoch"] for record in run.metrics()] == [1, 2]


def test_on_a_plateau_the_rate_falls_to_a_third(source_run, digits, tmp_path, monkeypatch):
    monkeypatch.setattr(phase_loop.PhaseLoop, "_validate", lambda self: {"val_log_loss": 1.0})
    scales = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda *_: scales.append(float(watch.model.optimizer.scale.numpy()))
    )
    tftransfer.train(
        experiment(
            source_run,
            digits,
            recipe="feature_extraction:epochs=8,patience=0,schedule=plateau,augment=none",
        ),
        tmp_path,
        export=False,
        callbacks=[watch],
    )
    np.testing.assert_allclose(scales, [1, 1, 1, 1, 1 / 3, 1 / 3, 1 / 3, 1 / 9], rtol=1e-6)


def test_two_processes_in_one_folder_are_one_too_many(source_run, digits, tmp_path):
    with (
        files.locked(tmp_path / ".lock", wait=False),
        pytest.raises(tftransfer.UserError, match="Another process is using"),
    ):
        tftransfer.train(experiment(source_run, digits), tmp_path)


def test_a_stop_between_two_recipes_ends_the_comparison(
    source_run, digits, tmp_path, on_log, log_lines
):
    def stop(line):
        if line.startswith("report:"):
            os.kill(os.getpid(), signal.SIGTERM)

    on_log(stop)
    settings = experiment(source_run, digits, recipe="fine_tune")
    recipes = ["feature_extraction:epochs=1", "scratch:epochs=1"]
    with pytest.raises(signals.Stopped):
        tftransfer.compare(settings, tmp_path, recipes, epochs=1)
    assert sum(line.startswith("\n== ") for line in log_lines) == 1


def test_autotune_selection_of_the_run_precedes_the_caches(tmp_path, monkeypatch, log_lines):
    pixels = keras.Input((32, 32, 3))
    model = keras.Model([pixels], [keras.layers.Conv2D(8, 3)(pixels)])
    rates = iter([1.0, 2.0, 2.0, 1.0])
    monkeypatch.setattr(autotune, "_rate", lambda *_: next(rates))
    cache_file, run_file = tmp_path / "autotune.json", tmp_path / "run" / "autotune.json"

    def selections():
        return [line for line in log_lines if "frozen layers run by" in line]

    autotune.fastest_forward(model, 10**8, cache_file=cache_file, run_file=run_file)
    cache_file.unlink()
    autotune.fastest_forward(model, 10**8, cache_file=cache_file, run_file=run_file)
    assert len(selections()) == 1 and not cache_file.exists()
    autotune.fastest_forward(model, 10**8, cache_file=cache_file, run_file=None)
    assert "by constants" in selections()[0] and "by litert" in selections()[1]
    autotune.fastest_forward(model, 10**8, cache_file=cache_file, run_file=run_file)
    assert len(selections()) == 2


TUNED = "fine_tune:unfreeze=2,head_epochs=1,epochs=3,augment=shift,batch_norm=train"
METHODS = {
    "two streams, a discriminator and the source's weights": f"{TUNED}+dann+l2_sp",
    "low-rank updates": f"{TUNED}+lora",
    "low-rank updates beside a reference": f"{TUNED}+lora+lwf+l2_sp",
    "a reference of the phase": f"{TUNED}+adda:epochs=3",
    "low-rank updates and a reference of the phase": f"{TUNED}+adda:epochs=3+lora",
    "densities of the source's features": f"{TUNED}+reweight",
}


class In(At):
    """Does something once, in a phase's epoch, when so many groups of its steps have ended."""

    def __init__(self, phase, epoch, count, action):
        super().__init__(count, action)
        self.phase, self.epoch, self.there = phase, epoch, False

    def on_train_begin(self, logs=None):
        self.phase -= 1

    def on_epoch_begin(self, epoch, logs=None):
        self.there = (self.phase, epoch) == (0, self.epoch - 1)

    def on_train_batch_end(self, batch, logs=None):
        if self.there:
            super().on_train_batch_end(batch, logs)


def ask_to_stop():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def short_groups(monkeypatch):
    """Every epoch has several groups of steps."""
    monkeypatch.setattr(phase_loop, "_MOST_STEPS", 8)


def two_domains(source_run, digits, folder, recipe, *callbacks):
    settings = experiment(
        source_run, digits, recipe=recipe, target_data=str(digits / "source"), labels_per_class=40
    )
    return tftransfer.train(settings, folder, export=False, callbacks=callbacks)


def without_times(value):
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k not in ("seconds", "time")}
    return [without_times(each) for each in value] if isinstance(value, list) else value


def lines(path):
    return [without_times(json.loads(line)) for line in path.read_text().splitlines()]


def what_became(run):
    """All that a run says of itself, but when and how long."""
    records = lines(run.workdir / "metrics.jsonl")
    return without_times(run.result), {(each["phase"], each["epoch"]): each for each in records}


@pytest.mark.parametrize(
    "method", [pytest.param(method, marks=pytest.mark.slow) for method in METHODS]
)
def test_a_method_stopped_inside_an_epoch_ends_as_if_nothing_had_been(
    source_run, digits, tmp_path, request, method
):
    recipe = METHODS[method]
    whole = two_domains(source_run, digits, tmp_path / "whole", recipe)
    request.getfixturevalue("short_groups")
    last = len(whole.result["phases"])
    with pytest.raises(signals.Stopped):
        two_domains(source_run, digits, tmp_path / "run", recipe, In(last, 2, 1, ask_to_stop))
    state = checkpoint.load_newest(tmp_path / "run" / "checkpoints")[0].state
    assert (state["phase"], state["epoch"]) == (last - 1, 1) and state["step"] > 0
    again = two_domains(source_run, digits, tmp_path / "run", recipe)
    assert what_became(again) == what_became(whole)


@pytest.mark.parametrize(
    ("recipe", "ended"),
    [
        pytest.param(f"{TUNED}+wise_ft", "tune", marks=pytest.mark.slow),
        pytest.param("few_shot+simclr:pretrain_epochs=1", "simclr", marks=pytest.mark.slow),
        pytest.param(f"{TUNED}+adabn", "tune", marks=pytest.mark.slow),
        pytest.param(f"{TUNED}+lora+adda:epochs=1", "tune", marks=pytest.mark.slow),
    ],
)
def test_a_stop_between_two_phases_loses_nothing(
    source_run, digits, tmp_path, recipe, ended, on_log
):
    def stop(line):
        if line.startswith(f"  {ended}: best epoch"):
            ask_to_stop()

    whole = two_domains(source_run, digits, tmp_path / "whole", recipe)
    with on_log(stop), pytest.raises(signals.Stopped):
        two_domains(source_run, digits, tmp_path / "run", recipe)
    state = checkpoint.load_newest(tmp_path / "run" / "checkpoints")[0].state
    assert state["phase"] == len(state["phases"]) > 0 and "step" not in state
    again = two_domains(source_run, digits, tmp_path / "run", recipe)
    assert what_became(again) == what_became(whole)


def poisoned_once(monkeypatch, epoch, step):
    """The loss of the last phase is no number, once, from a step of an epoch on."""
    real, left = phase_loop.PhaseLoop._count, [1]

    def count(self, figures, now):
        if left[0] and (self.phase.name, now + 1) == ("tune", epoch) and self.step_done >= step:
            left[0] = 0
            figures = {**figures, "loss": figures["loss"] * np.nan}
        real(self, figures, now)

    monkeypatch.setattr(phase_loop.PhaseLoop, "_count", count)


@pytest.mark.slow
def test_after_a_resume_inside_an_epoch_a_rollback_goes_to_its_start(
    source_run, digits, tmp_path, short_groups, monkeypatch, log_lines
):
    recipe, said = f"{TUNED}+dann", log_lines
    with monkeypatch.context() as patch:
        poisoned_once(patch, epoch=2, step=8)
        whole = two_domains(source_run, digits, tmp_path / "whole", recipe)
    with pytest.raises(signals.Stopped):
        two_domains(source_run, digits, tmp_path / "run", recipe, In(2, 2, 1, ask_to_stop))
    poisoned_once(monkeypatch, epoch=2, step=8)
    again = two_domains(source_run, digits, tmp_path / "run", recipe)
    assert sum("back to epoch 2, step 0, with 0.5 times" in line for line in said) == 1
    assert lines(again.incidents) == lines(whole.incidents)
    assert what_became(again) == what_became(whole)


def test_what_is_known_of_memory_and_rate_stays_when_an_epoch_begins_anew(
    source_run, digits, tmp_path, monkeypatch, log_lines
):
    real, said = TrainStep.__call__, log_lines

    def call(self, group):
        if self._parts < 2:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        return real(self, group)

    monkeypatch.setattr(TrainStep, "__call__", call)
    poisoned_once(monkeypatch, epoch=1, step=0)
    run = tftransfer.train(experiment(source_run, digits), tmp_path, export=False)
    told = [line for line in said if "out of memory" in line or "became nan" in line]
    assert len(told) == 3 and "with 0.5 times the rate" in told[2]
    assert np.isfinite(run.result["test"]["log_loss"])


@pytest.mark.parametrize("where", ["inside an epoch", "at its end"])
def test_a_callbacks_wish_to_stop_outlives_an_interruption(
    source_run, digits, tmp_path, short_groups, where
):
    class Wish(In):
        def __init__(self, also):
            super().__init__(2, 2, 1, self.wish)
            self.also = also

        def wish(self):
            self.model.stop_training = True
            self.also()

        def on_train_batch_end(self, batch, logs=None):
            if where == "inside an epoch":
                super().on_train_batch_end(batch, logs)

        def on_epoch_end(self, epoch, logs=None):
            if self.there and where == "at its end":
                self.wish()

    settings = {"recipe": "fine_tune:unfreeze=1,head_epochs=1,epochs=4,augment=shift"}
    whole = interrupted(source_run, digits, tmp_path / "whole", Wish(lambda: None), **settings)
    with pytest.raises(signals.Stopped):
        interrupted(source_run, digits, tmp_path / "run", Wish(ask_to_stop), **settings)
    again = tftransfer.train(
        experiment(source_run, digits, **settings), tmp_path / "run", export=False
    )
    assert whole.result["phases"][1]["stopped"] == "a callback asked to stop"
    assert whole.result["phases"][1]["epochs"] == 2
    assert what_became(again) == what_became(whole)


def test_out_of_memory_parts_the_validation(source_run, digits, tmp_path, monkeypatch, log_lines):
    real, sizes, said = phase_loop.PhaseLoop._build, [], log_lines

    def build(self, reference):
        real(self, reference)
        whole = self.forward

        def forward(*inputs):
            sizes.append(len(inputs[0]))
            if sizes[-1] > 40:
                raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
            return whole(*inputs)

        self.forward = forward

    settings = experiment(
        source_run,
        digits,
        recipe="feature_extraction:epochs=2,augment=none,dropout=0",
        validation_fraction=0.3,
    )
    plain = tftransfer.train(settings, tmp_path / "plain", export=False)
    monkeypatch.setattr(phase_loop.PhaseLoop, "_build", build)
    run = tftransfer.train(settings, tmp_path / "parted", export=False)
    assert max(sizes) > 40 and sizes[-1] <= 32
    assert sum("out of memory" in line for line in said) == 3
    assert [each["epoch"] for each in run.metrics()] == [1, 2]
    for ours, theirs in zip(run.metrics(), plain.metrics(), strict=True):
        assert ours["val_log_loss"] == pytest.approx(theirs["val_log_loss"], abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("stop", ["after the first phase", "again", "after the last"])
def test_an_adaptation_that_is_resumed_knows_how_its_phases_did(
    source_run, digits, tmp_path, monkeypatch, stop, on_log
):
    real = domain_adaptation.judged

    def judged(number, planned, of):
        real(number, planned, of)
        figures = {"domain_gap": 1.0, "moved": 0.0, "reverse_validation": 0.9 - 0.8 * number}
        return {"judged": figures}

    def stop_there(line):
        if line.startswith("  head: best epoch") and stop == "after the first phase":
            ask_to_stop()
        if line.startswith("  tune without the target 2/") and stop == "again":
            ask_to_stop()

    recipe = f"{TUNED}+dann"
    monkeypatch.setattr(domain_adaptation, "judged", judged)
    whole = two_domains(source_run, digits, tmp_path / "whole", recipe)
    with monkeypatch.context() as patch, on_log(stop_there), pytest.raises(signals.Stopped):
        if stop == "after the last":
            patch.setattr(train, "evaluate_logits", failing(signals.Stopped()))
        two_domains(source_run, digits, tmp_path / "run", recipe)
    again = two_domains(source_run, digits, tmp_path / "run", recipe)
    assert [phase.get("kept") for phase in again.result["phases"]] == [True, None, None]
    assert what_became(again) == what_became(whole)
    assert again.result["phases"][2]["rates"]["domain"] == 0
    # No worse than without adaptation: the same, but for rounding.
    plain = two_domains(source_run, digits, tmp_path / "plain", TUNED)
    ours, theirs = (weights.read(run.weights) for run in (again, plain))
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, atol=1e-5)
    assert not list((tmp_path / "run").glob(".phase-*"))
