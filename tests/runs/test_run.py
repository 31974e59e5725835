"""The `Run`: what `train` returns and `load` opens."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import tftransfer


@pytest.fixture(scope="module")
def images(digits):
    return sorted((digits / "target" / "7").iterdir())[:5]


def test_run_model_on_preprocessed_images_equals_predict(tuned_run, images):
    inputs = tuned_run.preprocess(images)
    assert inputs.shape == (5, 32, 32, 3) and inputs.dtype == np.float32
    expected = [list(row["scores"].values()) for row in tuned_run.predict(images)]
    np.testing.assert_allclose(tuned_run.model.predict(inputs, verbose=0), expected, atol=1e-6)


def test_run_model_is_the_same_object_each_time(tuned_run):
    assert isinstance(tuned_run.model, keras.Model)
    assert tuned_run.model is tuned_run.model


def test_run_embed_returns_the_features_of_the_export(tuned_run, images):
    import tensorflow as tf

    found = tuned_run.embed(images)
    signature = tf.saved_model.load(str(tuned_run.export_dir)).signatures["embed"]
    served = signature(tf.constant([path.read_bytes() for path in images]))["embedding"]
    assert found.shape == (5, 64) and found.dtype == np.float32
    np.testing.assert_allclose(found, served, atol=1e-4)


def test_run_embed_unreadable_file_is_named(tuned_run, images, tmp_path):
    (tmp_path / "page.jpg").write_text("<html>")
    with pytest.raises(tftransfer.UserError, match=r"1 of 2 inputs cannot be read: .*page.jpg"):
        tuned_run.embed([images[0], tmp_path / "page.jpg"])


def test_run_predict_single_path_is_one_example(tuned_run, images):
    for given in (images[0], str(images[0]), images[0].read_bytes()):
        (row,) = tuned_run.predict(given)
        assert row["scores"] == tuned_run.predict([images[0]])[0]["scores"]


def test_run_predict_nothing_returns_nothing(tuned_run):
    assert tuned_run.predict([]) == []
    assert tuned_run.embed([]).shape == (0, 64)
    assert tuned_run.preprocess([]).shape == (0, 32, 32, 3)


def test_run_records_are_those_of_its_folder(tuned_run):
    assert tuned_run.experiment.recipe.name == tuned_run.result["recipe"] == "fine_tune"
    assert [row["phase"] for row in tuned_run.metrics()] == ["head"] * 3 + ["tune"] * 3
    assert tuned_run.report.read_text().startswith("# fine_tune of ")
    assert tuned_run.classes == ("5", "6", "7", "8", "9")
    assert os.fspath(tuned_run) == str(tuned_run.workdir)


def test_run_in_a_notebook_shows_settings_and_metrics(tuned_run):
    html = tuned_run._repr_html_()
    assert f"<caption>Run {tuned_run.workdir}</caption>" in html
    assert "<td>accuracy</td>" in html and "test split, 448 examples" in html


def test_run_to_csv_writes_a_row_per_epoch(tuned_run, tmp_path):
    tuned_run.to_csv(tmp_path / "history.csv")
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert len(lines) == 7 and "val_accuracy" in lines[0]


def test_run_unfinished_shows_itself_and_names_the_command(tuned_run, tmp_path):
    folder = tmp_path / "a run"
    folder.mkdir()
    for name in ("config.json", "metrics.jsonl"):
        (folder / name).write_bytes((tuned_run.workdir / name).read_bytes())
    run = tftransfer.Run(folder)
    assert "not finished; 6 epochs done" in run._repr_html_()
    command = f"tftransfer train --config='{folder}/config.json' --workdir='{folder}' --resume"
    for use in (lambda: tftransfer.load(folder), lambda: run.model, run.evaluate):
        with pytest.raises(tftransfer.UserError, match="is not finished") as caught:
            use()
        assert caught.value.remedy == f"Finish it: {command}"


def test_load_of_a_run_returns_the_run(tuned_run):
    assert tftransfer.load(tuned_run) is tuned_run
    assert tftransfer.load(tuned_run.workdir) == tuned_run


@pytest.mark.slow
def test_run_as_backbone_and_as_teacher_equals_its_folder(source_run, digits, tmp_path):
    results = []
    for number, source in enumerate((source_run, str(source_run.workdir))):
        experiment = tftransfer.Experiment(
            data=str(digits / "target"),
            backbone=source,
            recipe={"name": "fine_tune+distill_features", "teacher": source, "epochs": 1},
            labels_per_class=5,
        )
        run = tftransfer.train(experiment, tmp_path / str(number), export=False)
        results.append((run.result["weights_sha256"], run.experiment))
    assert results[0] == results[1]


def test_import_of_the_package_imports_no_tensorflow():
    script = "import sys, tftransfer; assert not {'tensorflow', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.slow
def test_use_from_python_writes_nothing_to_stderr(tuned_run):
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    script = f"import tftransfer; tftransfer.load({str(tuned_run.workdir)!r}).model"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stderr == ""
