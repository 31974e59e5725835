"""Several labels per image, and regression: from the table to the SavedModel."""

import csv

import numpy as np
import pytest
import tensorflow as tf

import tftransfer


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    """Images with a red or a green half or both, and gray ones of known brightness."""
    folder = tmp_path_factory.mktemp("squares")
    rng = np.random.default_rng(0)
    several, numbers = [["path", "label"]], [["path", "brightness", "contrast"]]
    for index in range(120):
        image = rng.integers(0, 60, (16, 16, 3), dtype=np.uint8)
        names = [name for name in ("green", "red") if rng.random() < 0.6]
        if "red" in names:
            image[:8, :, 0] = 220
        if "green" in names:
            image[8:, :, 1] = 220
        name = f"several{index}.png"
        (folder / name).write_bytes(tf.io.encode_png(image).numpy())
        several.append([name, "|".join(names)])
        gray = rng.uniform(0.1, 0.9)
        flat = np.full((16, 16, 3), int(255 * gray), np.uint8)
        (folder / f"gray{index}.png").write_bytes(tf.io.encode_png(flat).numpy())
        numbers.append([f"gray{index}.png", f"{gray:.4f}", f"{1 - gray:.4f}"])
    for name, rows in (("several.csv", several), ("numbers.csv", numbers)):
        with (folder / name).open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return folder


def run(data, folder, **options):
    recipe = {"name": "scratch", "epochs": 12, "augment": "none", **options}
    experiment = tftransfer.Experiment(
        data=str(data), backbone="small_cnn", weights="none", image_size=16, recipe=recipe
    )
    return tftransfer.train(experiment, folder)


def test_several_labels_are_learned_and_exported(squares, tmp_path):
    done = run(squares / "several.csv", tmp_path, epochs=20, learning_rate=3e-3)
    result = done.result
    assert result["problem_type"] == "multi_label" and result["classes"] == ["green", "red"]
    assert result["test"]["macro_f1"] > 0.95
    assert set(result["test"]) >= {"exact_match", "micro_f1", "mean_average_precision", "ece"}
    assert result["phases"][0]["rates"]["head"] == 1
    names = ["several0.png", "several1.png", "several2.png"]
    data = tf.constant([(squares / name).read_bytes() for name in names])
    served = tf.saved_model.load(str(done.export_dir)).signatures["serving_default"]
    scores = served(image_bytes=data)["scores"].numpy()
    ours = tftransfer.predict(tmp_path, [squares / name for name in names])
    np.testing.assert_allclose(scores, [list(r["scores"].values()) for r in ours], atol=1e-5)
    with (squares / "several.csv").open() as file:
        truth = {row["path"]: row["label"] for row in csv.DictReader(file)}
    assert ["|".join(row["labels"]) for row in ours] == [truth[name] for name in names]
    assert "label" not in served.structured_outputs


@pytest.mark.slow
def test_regression_of_two_columns_is_learned_and_exported(squares, tmp_path):
    done = run(squares / "numbers.csv", tmp_path, epochs=40, learning_rate=5e-3)
    result = done.result
    assert result["problem_type"] == "regression"
    assert result["classes"] == ["brightness", "contrast"]
    assert result["test"]["r2"] > 0.8
    assert result["baselines"]["majority"]["r2"] < 0.05
    assert [row["class"] for row in result["per_class"]] == ["brightness", "contrast"]
    served = tf.saved_model.load(str(done.export_dir)).signatures["serving_default"]
    data = tf.constant([(squares / "gray0.png").read_bytes()])
    answer = served(image_bytes=data)
    ours = tftransfer.predict(tmp_path, [squares / "gray0.png"])[0]["values"]
    np.testing.assert_allclose(answer["values"].numpy()[0], list(ours.values()), atol=1e-5)
    assert [x.decode() for x in answer["columns"].numpy()[0]] == ["brightness", "contrast"]
    assert "mean absolute error" in (tmp_path / "report.md").read_text()


def test_problem_type_that_the_table_does_not_suit_is_an_error(squares, tmp_path):
    experiment = tftransfer.Experiment(
        data=str(squares / "numbers.csv"), problem_type="single_label", backbone="small_cnn"
    )
    with pytest.raises(tftransfer.UserError, match="2 label columns of names"):
        tftransfer.plan(experiment)


@pytest.mark.slow
def test_arrays_and_a_dataset_of_the_same_images_give_the_same_weights(tmp_path):
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], 40)
    images = rng.integers(0, 50, (80, 16, 16), dtype=np.uint8)
    images[labels == 1, 4:12, 4:12] = 230
    settings = {
        "backbone": "small_cnn",
        "weights": "none",
        "image_size": 16,
        "recipe": "scratch:epochs=25,augment=none",
    }
    a = tftransfer.train(tftransfer.Experiment(data=(images, labels), **settings), tmp_path / "a")
    dataset = tf.data.Dataset.from_tensor_slices((images[..., None], labels))
    b = tftransfer.train(
        tftransfer.Experiment(data=dataset, **settings), tmp_path / "b", export=False
    )
    assert a.result["test"]["accuracy"] == 1.0
    assert a.result["weights_sha256"] == b.result["weights_sha256"]
    with pytest.raises(tftransfer.UserError, match="data from memory"):
        tftransfer.evaluate(tmp_path / "a")
    assert tftransfer.evaluate(tmp_path / "a", (images, labels)).examples == 80


def test_regression_of_labels_around_300_is_learned_at_the_default_rate(squares, tmp_path):
    with (squares / "numbers.csv").open() as file:
        rows = list(csv.DictReader(file))
    lines = [f"{row['path']},{300 + 50 * float(row['brightness'])}" for row in rows]
    table = squares / "unit.csv"
    table.write_text("\n".join(["path,brightness", *lines]))
    result = run(table, tmp_path, epochs=40).result
    table.unlink()
    assert result["test"]["r2"] > 0.8
    assert result["test"]["mean_absolute_error"] < 15


def test_verdict_of_a_run_no_better_than_a_guess_names_it_and_the_command_to_inspect_the_data(
    squares, tmp_path
):
    from tftransfer.readers.load import read_examples
    from tftransfer.reports.commands import Commands
    from tftransfer.reports.verdict import verdict

    result = run(squares / "several.csv", tmp_path, epochs=1, learning_rate=1e-7).result

    experiment = tftransfer.Experiment(data=str(squares / "several.csv"))
    commands = Commands(experiment=experiment, workdir=tmp_path)
    lines = verdict(result, read_examples(experiment, None), "fine_tune", commands)
    assert "no better than" in lines[1]
    assert lines[2].endswith(f"tftransfer inspect --data={squares / 'several.csv'}")
