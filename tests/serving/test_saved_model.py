"""The SavedModel returns what the run returns, with TensorFlow alone."""

import csv
import io
import logging
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tftransfer
from tftransfer.checkpoints import weights as weight_arrays
from tftransfer.preprocessing.image.preprocessor import ImagePreprocessor

ALONE = textwrap.dedent(
    """
    import json, sys
    import tensorflow as tf
    assert "keras" not in sys.modules or True
    folder, *files = sys.argv[1:]
    model = tf.saved_model.load(folder)
    data = tf.constant([open(f, "rb").read() for f in files])
    answer = model.signatures["serving_default"](image_bytes=data)
    embedded = model.signatures["embed"](image_bytes=data)["embedding"]
    assert not any(name.startswith("tftransfer") for name in sys.modules)
    print(json.dumps({
        "label": [x.decode() for x in answer["label"].numpy()],
        "scores": answer["scores"].numpy().tolist(),
        "classes": [x.decode() for x in answer["classes"].numpy()[0]],
        "embedding": list(embedded.shape),
    }))
    """
)


def served(run):
    return tf.saved_model.load(str(run.export_dir)).signatures["serving_default"]


def test_export_logs_no_message_of_tensorflow(tuned_run, tmp_path, caplog):
    tf.get_logger().setLevel("INFO")
    tuned_run.export(tmp_path / "served")
    assert not [record for record in caplog.records if record.name == "tensorflow"]
    assert tf.get_logger().level == logging.INFO


def test_export_loads_with_tensorflow_alone(tuned_run, digits, tmp_path):
    import json

    files = sorted((digits / "target").rglob("*.png"))[::90]
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(tuned_run.export_dir), *map(str, files)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    rows = tftransfer.predict(tuned_run.workdir, files)
    assert answer["label"] == [row["label"] for row in rows]
    assert answer["classes"] == list(tuned_run.result["classes"])
    assert answer["embedding"] == [len(files), 64]
    expected = [list(row["scores"].values()) for row in rows]
    np.testing.assert_allclose(answer["scores"], expected, atol=1e-5)


def test_export_labels_equal_the_evaluation_on_every_test_file(tuned_run, digits):
    with tuned_run.folder.predictions.open(newline="") as file:
        rows = list(csv.DictReader(file))
    data = [(digits / "target" / row["name"]).read_bytes() for row in rows]
    answer = served(tuned_run)(image_bytes=tf.constant(data))
    assert [x.decode() for x in answer["label"].numpy()] == [row["predicted"] for row in rows]
    expected = [[float(row[c]) for c in tuned_run.result["classes"]] for row in rows]
    np.testing.assert_allclose(answer["scores"].numpy(), expected, atol=1e-5)


def encoded(mode, image_format, **options):
    pixels = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, image_format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "mode, image_format",
    [
        ("RGB", "JPEG"),
        ("L", "JPEG"),
        ("RGB", "PNG"),
        ("RGBA", "PNG"),
        ("L", "PNG"),
        ("P", "PNG"),
        ("LA", "PNG"),
        ("I;16", "PNG"),
        ("P", "GIF"),
        ("RGB", "BMP"),
        ("RGB", "WEBP"),
    ],
)
def test_export_each_format_is_accepted_alone_and_in_a_mixed_batch(tuned_run, mode, image_format):
    data = encoded(mode if mode != "I;16" else "L", image_format)
    signature = served(tuned_run)
    alone = signature(image_bytes=tf.constant([data]))["scores"].numpy()
    assert alone.shape == (1, 5)
    np.testing.assert_allclose(alone.sum(), 1, rtol=1e-5)
    mixed = signature(image_bytes=tf.constant([encoded("RGB", "JPEG"), data]))["scores"].numpy()
    np.testing.assert_allclose(mixed[1], alone[0], atol=1e-6)


def test_export_same_image_twice_gets_the_same_scores(tuned_run):
    signature = served(tuned_run)
    data = tf.constant([encoded("RGB", "PNG")])
    first, second = (signature(image_bytes=data)["scores"].numpy() for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_export_that_differs_is_not_published(tuned_run, tmp_path, monkeypatch):
    whole = ImagePreprocessor.decode_valid

    def spoiled(self, items):
        pixels, good = whole(self, items)
        return 255 - pixels, good

    monkeypatch.setattr(ImagePreprocessor, "decode_valid", spoiled)
    with pytest.raises(tftransfer.UserError, match="differs from the network"):
        tftransfer.export(tuned_run.workdir, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.iterdir())


def test_export_replaces_an_old_folder_completely(tuned_run, tmp_path):
    folder = tmp_path / "served" / "1"
    first = tftransfer.export(tuned_run.workdir, folder)
    (folder / "left_over").write_text("")
    second = tftransfer.export(tuned_run.workdir, folder)
    assert first == second
    assert first["max_difference"] <= 1e-5
    assert {p.name for p in folder.iterdir()} >= {"saved_model.pb", "variables"}
    assert not (folder / "left_over").exists()


def test_export_into_a_folder_of_other_files_is_an_error(tuned_run, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(tftransfer.UserError, match="is not a SavedModel"):
        tftransfer.export(tuned_run.workdir, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_export_holds_each_weight_once_and_no_optimizer_state(tuned_run):
    stored = tf.train.list_variables(str(tuned_run.export_dir / "variables" / "variables"))
    numbers = sum(int(np.prod(shape)) for name, shape in stored if "VARIABLE_VALUE" in name)
    weights = sum(array.size for array in weight_arrays.read(tuned_run.weights).values())
    assert weights <= numbers < weights + 100
