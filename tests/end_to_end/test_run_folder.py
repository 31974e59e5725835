"""The folder that a run leaves, and when it is continued, refused or found finished."""

import shutil

import keras
import numpy as np
import pytest
from digits_experiment import tune

import tftransfer
from tftransfer.checkpoints import weights
from tftransfer.core.serialization import read_json


def test_workdir_holds_the_documented_files(tuned_run):
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


def test_result_holds_the_documented_keys(tuned_run):
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
    assert len(result["verdict"]) >= 3
    assert set(result["seconds"]) >= {
        "planning",
        "scan",
        "features",
        "training",
        "evaluation",
        "total",
    }


def test_environment_holds_versions_data_and_weights(tuned_run, source_run):
    environment = read_json(tuned_run.workdir / "environment.json")
    assert environment["keras"] == keras.__version__
    assert environment["intra_op_threads"] is not None
    assert len(environment["data_sha256"]) == 64
    assert environment["weights"] == f"the run {source_run.workdir}"


def test_result_weights_sha256_is_that_of_the_final_weights(tuned_run):
    stored = weights.read(tuned_run.weights)
    assert tuned_run.result["weights_sha256"] == weights.digest(stored.values())


def test_metrics_have_every_epoch(tuned_run):
    records = tuned_run.metrics()
    assert [(r["phase"], r["epoch"]) for r in records][:2] == [("head", 1), ("head", 2)]
    assert all(np.isfinite(r["loss"]) for r in records)


def test_train_with_the_stored_experiment_gives_the_same_weights(tuned_run, tmp_path):
    again = tftransfer.train(tuned_run.experiment, tmp_path / "again", export=False)
    assert again.result["weights_sha256"] == tuned_run.result["weights_sha256"]


def test_resume_of_a_finished_run_changes_nothing(tuned_run, source_run, digits, log_lines):
    tftransfer.train(tune(source_run, digits), tuned_run.workdir, resume=True)
    assert any("finished already" in line for line in log_lines)


@pytest.mark.parametrize("resume", [True, False])
def test_train_into_another_run_names_the_difference(tuned_run, source_run, digits, resume):
    experiment = tune(source_run, digits, seed=1)
    with pytest.raises(tftransfer.UserError, match=r"experiment\.seed \(0 there, 1 here\)"):
        tftransfer.train(experiment, tuned_run.workdir, resume=resume)


def test_train_into_a_folder_with_other_files_is_refused(source_run, digits, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(tftransfer.UserError, match="holds files that do not belong to a run"):
        tftransfer.train(tune(source_run, digits), tmp_path)


def test_second_run_uses_the_features_of_the_first(source_run, digits, tmp_path, log_lines):
    experiment = tune(source_run, digits, recipe="feature_extraction:epochs=2")
    cache = str(tmp_path / "cache")
    first, second = (
        tftransfer.train(experiment, tmp_path / name, export=False, cache_dir=cache).result
        for name in ("first", "second")
    )
    assert "features" in first["seconds"] and "features" not in second["seconds"]
    assert first["weights_sha256"] == second["weights_sha256"]
    assert first["baselines"] == second["baselines"]
    (values,) = (tmp_path / "cache" / "values").iterdir()
    assert read_json(values) == {"baselines": first["baselines"]}
    assert any(f"on disk in {tmp_path}" in line for line in log_lines)


def test_unreadable_files_are_quarantined_and_reported(
    source_run, digits, tmp_path, capfd, log_lines
):
    data = tmp_path / "data"
    shutil.copytree(digits / "target", data)
    (data / "5" / "notes.jpg").write_text("no image")
    whole = next((data / "6").iterdir()).read_bytes()
    (data / "6" / "half.png").write_bytes(whole[: len(whole) // 2])
    run = tftransfer.train(
        tune(source_run, digits, data=str(data), recipe="feature_extraction:epochs=1"),
        tmp_path / "run",
        export=False,
    )
    logged = "\n".join(log_lines)
    assert "quarantine.csv; the first is 5/notes.jpg" in logged
    assert "2 files were skipped; see quarantine.csv" in (run.workdir / "report.md").read_text()
    assert "function_node" not in (run.workdir / "quarantine.csv").read_text()
    assert "Rendezvous" not in capfd.readouterr().err


def test_resume_without_one_of_the_examples_is_refused(source_run, digits, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(digits / "target", data)
    experiment = tune(source_run, digits, data=str(data))
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tftransfer.train(experiment, tmp_path / "run", callbacks=[stop])
    next((data / "5").iterdir()).unlink()
    with pytest.raises(tftransfer.UserError, match="started with different data"):
        tftransfer.train(experiment, tmp_path / "run", resume=True)
