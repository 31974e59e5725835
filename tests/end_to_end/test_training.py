"""One run from end to end on handwritten digits: what it leaves, what it proves, how it resumes."""

import shutil

import keras
import numpy as np
import pytest

import tftransfer
from tftransfer.checkpoints import weights
from tftransfer.core.serialization import read_json
from tftransfer.planning import phase_plan
from tftransfer.training import phase_loop as loop_module
from tftransfer.workdir.run_folder import RunFolder


def tune(source_run, digits, **changes):
    settings = {
        "data": str(digits / "target"),
        "backbone": str(source_run.workdir),
        "recipe": "fine_tune:unfreeze=2,head_epochs=3,epochs=3,augment=shift",
        "batch_size": 16,
        "labels_per_class": 12,
        "test_fraction": 0.5,
        "validation_fraction": 0.25,
    }
    return tftransfer.Experiment(**{**settings, **changes})


def test_the_folder_of_a_run_holds_what_is_promised(tuned_run):
    there = {path.name for path in tuned_run.workdir.iterdir()}
    assert there >= {
        "config.json",
        "environment.json",
        "metrics.jsonl",
        "result.json",
        "quarantine.csv",
        "split.json",
        "checkpoints",
        "report.md",
        "plots",
        "tensorboard",
        "export",
        "weights.npz",
        "predictions.csv",
    }
    assert {p.name for p in (tuned_run.workdir / "plots").iterdir()} == {
        "learning_curves.png",
        "confusion_matrix.png",
        "trained_blocks.png",
    }
    assert list((tuned_run.workdir / "tensorboard").rglob("events.*"))


def test_the_result_says_what_is_promised(tuned_run):
    result = tuned_run.result
    assert set(result["test"]) >= {
        "accuracy",
        "top_3_accuracy",
        "balanced_accuracy",
        "macro_f1",
        "log_loss",
        "ece",
        "intervals",
    }
    low, high = result["test"]["intervals"]["accuracy"]
    assert low <= result["test"]["accuracy"] <= high
    assert set(result["baselines"]) == {"majority", "linear_probe"}
    assert len(result["per_class"]) == len(result["confusion_matrix"]) == 5
    assert np.sum(result["confusion_matrix"]) == result["examples"]
    assert len(result["verdict"]) == 3
    assert set(result["seconds"]) >= {
        "planning",
        "scan",
        "features",
        "training",
        "evaluation",
        "total",
    }


def test_the_environment_tells_versions_data_and_weights(tuned_run, source_run):
    told = read_json(tuned_run.workdir / "environment.json")
    assert told["keras"] == keras.__version__
    assert told["intra_op_threads"] is not None
    assert len(told["data_sha256"]) == 64
    assert told["weights"] == f"the run {source_run.workdir}"


def test_weights_sha256_is_that_of_the_final_weights(tuned_run):
    stored = weights.read(tuned_run.weights)
    assert tuned_run.result["weights_sha256"] == weights.digest(stored.values())


def test_frozen_blocks_are_the_sources_bit_by_bit(tuned_run, source_run):
    before, after = weights.read(source_run.weights), weights.read(tuned_run.weights)
    for key, value in before.items():
        block = key.split("/")[0]
        if block == "stage1":
            np.testing.assert_array_equal(after[key], value)
    assert all("stage1" in phase["frozen_verified"] for phase in tuned_run.result["phases"])


def test_batch_norm_of_trained_stages_stays_frozen_unless_asked(
    tuned_run, source_run, digits, tmp_path
):
    before, after = weights.read(source_run.weights), weights.read(tuned_run.weights)
    norms = [key for key in before if "_bn/" in key and key.startswith("stage3")]
    assert norms
    for key in norms:
        np.testing.assert_array_equal(after[key], before[key])
    experiment = tune(
        source_run, digits, recipe="fine_tune:unfreeze=1,head_epochs=1,epochs=1,batch_norm=train"
    )
    asked = weights.read(tftransfer.train(experiment, tmp_path, export=False).weights)
    assert all(not np.array_equal(asked[key], before[key]) for key in norms)


def test_trained_blocks_move(tuned_run, source_run):
    before, after = weights.read(source_run.weights), weights.read(tuned_run.weights)
    kernels = [k for k in before if k.startswith("stage3") and k.endswith("kernel")]
    assert kernels
    assert all(not np.array_equal(after[key], before[key]) for key in kernels)


def test_metrics_and_tensorboard_have_every_epoch(tuned_run):
    records = tuned_run.metrics()
    assert [(r["phase"], r["epoch"]) for r in records][:2] == [("head", 1), ("head", 2)]
    assert all(np.isfinite(r["loss"]) for r in records)


def test_a_run_starts_again_from_its_stored_config(tuned_run, tmp_path):
    again = tftransfer.train(tuned_run.experiment, tmp_path / "again", export=False)
    assert again.result["weights_sha256"] == tuned_run.result["weights_sha256"]


class Interrupt(keras.callbacks.Callback):
    """Raises at the end of an epoch of a phase, as a pulled plug would."""

    def __init__(self, countdown):
        super().__init__()
        self.countdown = countdown

    def on_epoch_begin(self, epoch, logs=None):
        self.countdown -= 1
        if self.countdown < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("epochs_before", [0, 2, 3, 5])
def test_a_resumed_run_equals_an_uninterrupted_one(
    source_run, digits, tuned_run, tmp_path, epochs_before
):
    experiment = tune(source_run, digits)
    with pytest.raises(KeyboardInterrupt):
        tftransfer.train(experiment, tmp_path, callbacks=[Interrupt(epochs_before)], export=False)
    assert not RunFolder(tmp_path).finished
    resumed = tftransfer.train(experiment, tmp_path, resume=True, export=False)
    assert resumed.result["weights_sha256"] == tuned_run.result["weights_sha256"]
    assert [p["name"] for p in resumed.result["phases"]] == ["head", "tune"]


def test_a_finished_run_resumes_to_itself(tuned_run, source_run, digits, log_lines):
    said = log_lines
    tftransfer.train(tune(source_run, digits), tuned_run.workdir, resume=True)
    assert any("finished already" in line for line in said)


@pytest.mark.parametrize("resume", [True, False])
def test_another_run_in_the_folder_is_named(tuned_run, source_run, digits, resume):
    experiment, said = tune(source_run, digits, seed=1), r"experiment\.seed \(0 there, 1 here\)"
    with pytest.raises(tftransfer.UserError, match=said):
        tftransfer.train(experiment, tuned_run.workdir, resume=resume)


def test_a_folder_with_other_files_is_refused(source_run, digits, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(tftransfer.UserError, match="holds files that do not belong to a run"):
        tftransfer.train(tune(source_run, digits), tmp_path)


def test_a_loss_that_is_not_finite_stops_with_a_remedy(source_run, digits, tmp_path):
    experiment = tune(
        source_run,
        digits,
        recipe="feature_extraction:learning_rate=90,optimizer=sgd,clip_norm=0,epochs=30,"
        "schedule=constant,warmup=0,weight_decay=50",
    )
    with pytest.raises(
        tftransfer.UserError, match=r"the loss became (nan|inf), for the 4th[\s\S]*lower"
    ):
        tftransfer.train(experiment, tmp_path)


def test_a_frozen_block_that_moves_is_found(source_run, digits, tmp_path, monkeypatch):
    epoch = loop_module.PhaseLoop._epoch

    def moves(self, number, callbacks):
        epoch(self, number, callbacks)
        self.network.variables("stage1")[0].assign_add(
            np.full(self.network.variables("stage1")[0].shape, 1e-6, np.float32)
        )

    monkeypatch.setattr(loop_module.PhaseLoop, "_epoch", moves)
    with pytest.raises(RuntimeError, match=r"frozen blocks moved in phase head: \['stage1'\]"):
        tftransfer.train(tune(source_run, digits), tmp_path)


def test_early_stopping_and_best_epoch(source_run, digits, tmp_path, monkeypatch):
    figures = iter([0.9, 0.5, 0.7, *[0.6] * 60])
    monkeypatch.setattr(
        loop_module.PhaseLoop, "_validate", lambda self: {"val_log_loss": next(figures)}
    )
    weights = []
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: weights.append(keep.model.get_weights())
    )
    experiment = tune(source_run, digits, recipe="feature_extraction:epochs=60,patience=2")
    run = tftransfer.train(experiment, tmp_path, export=False, callbacks=[keep])
    phase = run.result["phases"][0]
    wait = -(-100 // 3)  # 100 steps at least, and an epoch has three
    assert phase["best_epoch"] == 2
    assert phase["epochs"] == len(weights) == 2 + wait < 60
    assert f"no better validation figure for {wait} epochs" in phase["stopped"]
    kernel = tftransfer.load(tmp_path).trained_model.network.blocks["head"][-1].get_weights()[0]
    assert any(np.array_equal(kernel, w) for w in weights[1] if w.shape == kernel.shape)
    assert not any(np.array_equal(kernel, w) for w in weights[-1] if w.shape == kernel.shape)


def test_keras_callbacks_steer_the_loop(source_run, digits, tmp_path):
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen.append("begin")

        def on_train_batch_end(self, batch, logs=None):
            seen.append(("batch", batch))

        def on_epoch_end(self, epoch, logs=None):
            seen.append(("epoch", epoch, sorted(logs)))
            self.model.stop_training = True

    experiment = tune(source_run, digits, recipe="feature_extraction:epochs=9")
    run = tftransfer.train(experiment, tmp_path, callbacks=[Watch()], export=False)
    assert seen[0] == "begin"
    # Once for a group of steps that are one call, as with Keras's steps_per_execution.
    assert seen[1] == ("batch", 2) and run.result["phases"][0]["epochs"] == 1
    first = next(entry for entry in seen if entry[0] == "epoch")
    assert first[2][:2] == ["accuracy", "loss"]
    assert run.result["phases"][0]["epochs"] == 1
    assert "callback" in run.result["phases"][0]["stopped"]


def test_a_profile_is_written_when_asked_for(source_run, digits, tmp_path):
    experiment = tune(source_run, digits, recipe="feature_extraction:epochs=3")
    run = tftransfer.train(experiment, tmp_path, export=False, profile=True)
    assert list((run.workdir / "tensorboard").rglob("*.xplane.pb"))


def test_reduce_lr_on_plateau_reaches_every_block(source_run, digits, tmp_path):
    rates = []

    class Halve(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate))
            self.model.optimizer.learning_rate = rates[-1] / 2

    experiment = tune(
        source_run, digits, recipe="feature_extraction:epochs=3,schedule=constant,warmup=0"
    )
    tftransfer.train(experiment, tmp_path, callbacks=[Halve()], export=False)
    np.testing.assert_allclose(rates, [rates[0], rates[0] / 2, rates[0] / 4], rtol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "mixed_bfloat16"},
        {"xla": "on"},
        {"recipe": "fine_tune:unfreeze=3,head_epochs=1,epochs=1,mixup=0.4"},
        {"recipe": "fine_tune:unfreeze=1,head_epochs=1,epochs=1,class_weight=balanced,dropout=0.3"},
        {"recipe": "fine_tune:unfreeze=1,head_epochs=1,epochs=1,views=fresh,optimizer=sgd"},
        {"recipe": "feature_extraction:epochs=2,hidden=(16)"},
        {"validation_fraction": 0.0},
    ],
    ids=lambda changes: ",".join(f"{k}={v}" for k, v in changes.items())[:60],
)
def test_options_run_to_a_finite_result(source_run, digits, tmp_path, changes):
    changes = {"recipe": "fine_tune:unfreeze=1,head_epochs=1,epochs=1", **changes}
    if "hidden" in str(changes["recipe"]):
        changes["recipe"] = {"name": "feature_extraction", "epochs": 2, "hidden": (16,)}
    run = tftransfer.train(tune(source_run, digits, **changes), tmp_path)
    assert np.isfinite(run.result["test"]["log_loss"])
    assert run.result["export"]["max_difference"] <= 1e-5


def test_mixed_float16_scales_its_loss(source_run, digits, tmp_path, log_lines):
    experiment = tune(
        source_run,
        digits,
        precision="mixed_float16",
        recipe="fine_tune:unfreeze=1,head_epochs=1,epochs=1",
    )
    said = log_lines
    run = tftransfer.train(experiment, tmp_path, export=False)
    assert any("mixed_float16 without a GPU is slow" in line for line in said)
    assert np.isfinite(run.result["test"]["log_loss"])


def test_a_resumed_run_must_have_the_same_data(source_run, digits, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(digits / "target", data)
    experiment = tune(source_run, digits, data=str(data))
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tftransfer.train(experiment, tmp_path / "run", callbacks=[stop])
    next((data / "5").iterdir()).unlink()
    with pytest.raises(tftransfer.UserError, match="started with different data"):
        tftransfer.train(experiment, tmp_path / "run", resume=True)


@pytest.mark.parametrize("recipe", ["feature_extraction", "fine_tune:unfreeze=1,head_epochs=2"])
def test_a_streamed_prefix_computes_what_a_stored_one_does(source_run, digits, tmp_path, recipe):
    text = f"{recipe}{',' if ':' in recipe else ':'}epochs=3,augment=none"
    runs = []
    for name, budget in (("stored", 10**9), ("streamed", 0)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(phase_plan, "memory_budget", lambda: budget)  # noqa: B023
            runs.append(
                tftransfer.train(
                    tune(source_run, digits, recipe=text),
                    tmp_path / name,
                    export=False,
                    cache_bytes=0,
                )
            )
    stored, streamed = (run.result["phases"] for run in runs)
    assert all(phase["views"] == 1 for phase in stored)
    assert all(phase["views"] == "fresh" for phase in streamed)
    assert [phase["cut"] for phase in stored] == [phase["cut"] for phase in streamed]
    first, second = (weights.read(run.weights) for run in runs)
    for key, value in first.items():
        np.testing.assert_allclose(value, second[key], atol=2e-3)


def test_the_second_run_finds_the_features_of_the_first(source_run, digits, tmp_path, log_lines):
    said = log_lines
    for name in ("first", "second"):
        experiment = tune(source_run, digits, recipe="feature_extraction:epochs=2")
        run = tftransfer.train(
            experiment, tmp_path / name, export=False, cache_dir=str(tmp_path / "cache")
        )
        said.append(run.result)
    first, second = (told for told in said if isinstance(told, dict))
    assert "features" in first["seconds"] and "features" not in second["seconds"]
    assert first["weights_sha256"] == second["weights_sha256"]
    assert first["baselines"] == second["baselines"]
    (figures,) = (tmp_path / "cache" / "values").iterdir()
    assert read_json(figures) == {"baselines": first["baselines"]}
    assert any(f"on disk in {tmp_path}" in line for line in said if isinstance(line, str))


def test_files_that_are_left_out_are_said(source_run, digits, tmp_path, capfd, log_lines):
    data = tmp_path / "data"
    shutil.copytree(digits / "target", data)
    (data / "5" / "notes.jpg").write_text("no picture")
    whole = next((data / "6").iterdir()).read_bytes()
    (data / "6" / "half.png").write_bytes(whole[: len(whole) // 2])
    said = log_lines
    run = tftransfer.train(
        tune(source_run, digits, data=str(data), recipe="feature_extraction:epochs=1"),
        tmp_path / "run",
        export=False,
    )
    told = "\n".join(said)
    assert "2 files quarantined, listed in quarantine.csv; the first is 5/notes.jpg" in told
    assert "2 files could not be used" in (run.workdir / "report.md").read_text()
    assert "function_node" not in (run.workdir / "quarantine.csv").read_text()
    assert "Rendezvous" not in capfd.readouterr().err
