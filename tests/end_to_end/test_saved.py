"""A finished run, opened again: evaluate, predict, load, inspect."""

import functools
import shutil

import numpy as np
import pytest
import tensorflow as tf

import tftransfer
from tftransfer.checkpoints import weights
from tftransfer.utils import progress


def test_evaluate_own_data_equals_the_result(tuned_run):
    again = tuned_run.evaluate()
    expected = dict(tuned_run.result["test"])
    assert {k: tuple(v) for k, v in again.intervals.items()} == {
        k: tuple(v) for k, v in expected.pop("intervals").items()
    }
    assert again.metrics == pytest.approx(expected)
    assert again.confusion_matrix.tolist() == tuned_run.result["confusion_matrix"]
    assert (again.split, again.examples) == ("test", tuned_run.result["examples"])


def test_evaluate_other_data_uses_all_of_it(tuned_run, digits, tmp_path):
    for label in ("9", "6"):
        shutil.copytree(digits / "target" / label, tmp_path / label)
    found = tftransfer.evaluate(tuned_run.workdir, str(tmp_path))
    assert found.examples == len(list(tmp_path.rglob("*.png")))
    assert (found.confusion_matrix.sum(axis=1) > 0).tolist() == [False, True, False, False, True]


def test_evaluate_unknown_classes_are_named(tuned_run, digits):
    with pytest.raises(tftransfer.UserError, match="unknown classes: 0, 1"):
        tftransfer.evaluate(tuned_run.workdir, str(digits / "source"))


def test_evaluate_images_added_since_training_are_skipped_and_reported(
    tuned_run, digits, tmp_path, log_lines
):
    moved = tmp_path / "target"
    shutil.copytree(digits / "target", moved)
    shutil.copy(digits / "source" / "0" / "0000.png", moved / "5" / "new.png")
    tested = next(row[0] for row in tuned_run.split["examples"] if row[1] == "test")
    (moved / tested).unlink()
    config = (tuned_run.workdir / "config.json").read_text()
    run = tmp_path / "run"
    shutil.copytree(tuned_run.workdir, run)
    (run / "config.json").write_text(config.replace(str(digits / "target"), str(moved)))
    found = tftransfer.evaluate(run)
    assert any("were added, 1 are missing" in line for line in log_lines)
    assert found.examples == tuned_run.result["examples"] - 1


def test_predict_paths_folders_bytes_and_arrays_agree(tuned_run, digits):
    files = sorted((digits / "target" / "7").iterdir())[:3]
    by_path = tftransfer.predict(tuned_run.workdir, files)
    by_bytes = tftransfer.predict(tuned_run.workdir, [f.read_bytes() for f in files])
    import tensorflow as tf

    pixels = [tf.io.decode_png(f.read_bytes()).numpy() for f in files]
    by_array = tftransfer.predict(tuned_run.workdir, pixels)
    folder = tftransfer.predict(tuned_run.workdir, [digits / "target" / "7"])
    for a, b, c, d in zip(by_path, by_bytes, by_array, folder):
        assert a["scores"] == b["scores"] == c["scores"]
        assert a["label"] == d["label"]
        assert a["scores"] == pytest.approx(d["scores"], abs=1e-5)
    assert len(folder) == len(list((digits / "target" / "7").iterdir()))


def test_predict_unreadable_files_get_an_error(tuned_run, tmp_path):
    (tmp_path / "a.jpg").write_text("<html>")
    (tmp_path / "b.png").write_bytes(b"")
    rows = tftransfer.predict(tuned_run.workdir, [tmp_path])
    assert [row["error"] for row in rows] == [
        "not an image: HTML, XML or SVG text",
        "the file is empty (0 bytes)",
    ]


def test_predict_missing_path_is_an_error(tuned_run):
    with pytest.raises(tftransfer.UserError, match=r"nowhere.jpg does not exist"):
        tftransfer.predict(tuned_run.workdir, ["nowhere.jpg"])


def test_predict_answers_the_inputs_that_exist(tuned_run, digits, tmp_path):
    file = next(iter((digits / "target" / "7").iterdir()))
    rows = tftransfer.predict(tuned_run.workdir, [file, tmp_path / "nowhere.jpg", file])
    assert [row.get("error") for row in rows] == [None, "does not exist", None]
    assert rows[0]["label"] == rows[2]["label"]
    table = tmp_path / "t.csv"
    table.write_text(f"path\n{file}\ngone.png\n\\{str(file)[1:]}\n")
    rows = tftransfer.predict(tuned_run.workdir, [table])
    assert [row.get("error") for row in rows] == [None, "gone.png does not exist", None]


def test_load_returns_the_network_with_its_weights(tuned_run):
    run = tftransfer.load(tuned_run.workdir)
    network = run.trained_model.network
    assert network.digest(network.blocks) == tuned_run.result["weights_sha256"]
    assert run.classes == run.trained_model.classes == ("5", "6", "7", "8", "9")
    assert network.model.output["logits"].shape == (None, 5)


def test_load_without_the_source_run_succeeds(tuned_run, source_run, tmp_path):
    """The run holds all weights and the name of the architecture."""
    assert tuned_run.result["architecture"] == "small_cnn"
    run = tmp_path / "run"
    shutil.copytree(tuned_run.workdir, run)
    config = (run / "config.json").read_text()
    (run / "config.json").write_text(config.replace(str(source_run.workdir), "/gone"))
    assert tftransfer.load(run).trained_model.network.parameters("stage1") > 0


@pytest.mark.parametrize("missing", ["config.json", "weights.npz"])
def test_load_unfinished_run_is_an_error(tuned_run, tmp_path, missing):
    run = tmp_path / "run"
    shutil.copytree(tuned_run.workdir, run)
    (run / missing).unlink()
    message = "has no config.json" if missing == "config.json" else "is not finished"
    with pytest.raises(tftransfer.UserError, match=message):
        tftransfer.load(run)


def test_model_damaged_weights_are_an_error(tuned_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tuned_run.workdir, run)
    data = (run / "weights.npz").read_bytes()
    (run / "weights.npz").write_bytes(data[: len(data) // 2])
    with pytest.raises(tftransfer.UserError, match=r"weights.npz cannot be read"):
        _ = tftransfer.load(run).model


def test_model_weights_of_another_shape_are_named(tuned_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tuned_run.workdir, run)
    stored = weights.read(run / "weights.npz")
    key = next(iter(stored))
    stored[key] = stored[key][..., :-1]
    weights.write(run / "weights.npz", stored)
    with pytest.raises(tftransfer.UserError, match=key.split("/")[0]):
        _ = tftransfer.load(run).model


def test_inspect_describes_data_backbone_and_run(tuned_run, digits):
    data = tftransfer.inspect(data=str(digits / "target"))
    assert "5 classes" in data and "formats: 896 PNG" in data and "8 × 8" in data
    backbone = tftransfer.inspect(backbone="small_cnn", weights="none")
    assert "stage3" in backbone and "4×4×64" in backbone
    run = tftransfer.inspect(workdir=tuned_run.workdir)
    assert "phase tune" in run and "best epoch" in run and str(tuned_run.export_dir) in run


def test_evaluate_and_inspect_unpack_archives_into_cache_dir(tuned_run, digits, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "data"), "zip", digits / "target")
    of_run = functools.partial(tftransfer.evaluate, tuned_run.workdir)
    for name, command in (("evaluate", of_run), ("inspect", tftransfer.inspect)):
        command(data=archive, cache_dir=str(tmp_path / name))
        assert list((tmp_path / name).glob("*/*/*/*.png"))


def test_inspect_names_skipped_files_and_duplicates(image_folder):
    (image_folder / "red" / "page.jpg").write_text("<!doctype html>")
    red = sorted((image_folder / "red").glob("*.png"))[0]
    shutil.copy(red, image_folder / "blue" / "copy.png")
    text = tftransfer.inspect(data=str(image_folder))
    assert "skipped: 1" in text and "page.jpg: not an image" in text
    assert "with different labels" in text and "copy.png" in text


def test_inspect_counts_what_it_does_not_list(tmp_path):
    rows = [f"text {number},{kind}" for number in range(23) for kind in "ab"]
    (tmp_path / "table.csv").write_text("\n".join(["text,label", *rows, *["x,y,z"] * 21]))
    lines = tftransfer.inspect(data=str(tmp_path / "table.csv")).splitlines()
    assert sum(line.startswith("  with different labels: ") for line in lines) == 20
    assert "  and 3 more with different labels" in lines
    assert lines[lines.index("skipped: 21") + 21] == "  and 1 more"


def test_inspect_without_arguments_is_an_error():
    with pytest.raises(tftransfer.UserError, match="not exactly one thing"):
        tftransfer.inspect()


def moved_run(tuned_run, digits, tmp_path):
    """A copy of the run and of its data, which the test may change."""
    data, run = tmp_path / "target", tmp_path / "run"
    shutil.copytree(digits / "target", data)
    shutil.copytree(tuned_run.workdir, run)
    config = (run / "config.json").read_text()
    (run / "config.json").write_text(config.replace(str(digits / "target"), str(data)))
    return run, data


def test_evaluate_class_added_since_training_is_skipped(tuned_run, digits, tmp_path):
    run, data = moved_run(tuned_run, digits, tmp_path)
    shutil.copytree(digits / "source" / "0", data / "0")
    found = tftransfer.evaluate(run)
    assert found.metrics["accuracy"] == tuned_run.result["test"]["accuracy"]
    assert found.confusion_matrix.tolist() == tuned_run.result["confusion_matrix"]


def test_export_class_renamed_since_training_keeps_its_name(tuned_run, digits, tmp_path):
    run, data = moved_run(tuned_run, digits, tmp_path)
    (data / "5").rename(data / "z")
    found = tftransfer.evaluate(run)
    assert found.metrics["accuracy"] == tuned_run.result["test"]["accuracy"]
    report = tftransfer.export(run, tmp_path / "served")
    assert report["max_difference"] <= 1e-5
    import tensorflow as tf

    served = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    files = sorted((data / "z").iterdir())[:5]
    labels = served(image_bytes=tf.constant([f.read_bytes() for f in files]))["label"].numpy()
    expected = [row["label"] for row in tftransfer.predict(run, files)]
    assert [label.decode() for label in labels] == expected


def test_predict_many_images_logs_progress(tuned_run, digits, monkeypatch, log_lines):
    monkeypatch.setattr(progress, "_FIRST_LINE_SECONDS", 0.0)
    tftransfer.predict(tuned_run.workdir, [digits / "target" / "7"])
    assert any("scanning" in line for line in log_lines)
    assert any("predicting" in line for line in log_lines)


def test_predict_reads_datasets_frames_and_floats_as_the_images(tuned_run, digits):
    """Batches, floats to 255, a data frame of paths and one image give the scores of the files."""
    pandas = pytest.importorskip("pandas")
    files = sorted((digits / "target" / "7").iterdir())[:3]
    pixels = np.stack([tf.io.decode_png(file.read_bytes()).numpy() for file in files])
    expected = [row["scores"] for row in tftransfer.predict(tuned_run.workdir, pixels)]
    batches = tf.data.Dataset.from_tensor_slices((pixels.astype("float32"), [0, 1, 2])).batch(2)
    frame = pandas.DataFrame({"file": [str(file) for file in files], "label": ["7"] * 3})
    for inputs in (
        batches,
        pixels / 255,
        frame,
        frame.file,
        pandas.Series(list(pixels), [5, 6, 7]),
    ):
        rows = tftransfer.predict(tuned_run.workdir, inputs)
        assert [row["scores"] for row in rows] == expected
    (row,) = tftransfer.predict(tuned_run.workdir, pixels[0])
    assert row["scores"] == pytest.approx(expected[0], abs=1e-5)


def test_evaluate_reads_batches_with_class_names(tuned_run, digits):
    import keras

    folder = digits / "target"
    data = keras.utils.image_dataset_from_directory(
        folder, image_size=(8, 8), verbose=False, color_mode="grayscale"
    )
    evaluation = tftransfer.evaluate(tuned_run.workdir, data)
    assert evaluation.examples == sum(len(list(each.iterdir())) for each in folder.iterdir())
    expected = tftransfer.evaluate(tuned_run.workdir, folder).metrics["accuracy"]
    assert evaluation.metrics["accuracy"] == pytest.approx(expected)
