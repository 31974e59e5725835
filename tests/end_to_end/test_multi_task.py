"""Several tasks: from a table with several label columns to the SavedModel."""

import csv
import os
import signal
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer
from tftransfer.checkpoints import weights
from tftransfer.cli import main
from tftransfer.commands.comparison import values_per_example
from tftransfer.commands.single_task_baselines import examples_of_task, train_alone
from tftransfer.recipes import parse_recipe
from tftransfer.utils import signals

TASKS = ("digit", "is even", "above4")
BALANCED = ["uncertainty", "gradnorm", pytest.param("fixed", marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """scikit-learn's digits: 200 for training, 60 for validation, 400 for testing."""
    from sklearn.datasets import load_digits

    folder, rng = tmp_path_factory.mktemp("tasks"), np.random.default_rng(0)
    found = load_digits()
    rows = [["path", *TASKS, "split"]]
    for number, index in enumerate(rng.permutation(len(found.target))[:660]):
        image = (found.images[index][..., None] * 15.9).astype(np.uint8)
        (folder / f"{number}.png").write_bytes(tf.io.encode_png(image).numpy())
        digit = int(found.target[index])
        cells = [str(digit), "odd" if digit % 2 else "even", "yes" if digit > 4 else "no"]
        if number % 4 == 1:
            cells[number // 4 % 3] = ""
        rows.append(
            [
                f"{number}.png",
                *cells,
                "train" if number < 200 else "val" if number < 260 else "test",
            ]
        )
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "table.csv"


def experiment(table, recipe, **fields):
    return tftransfer.Experiment(
        data=str(table),
        backbone="small_cnn",
        weights="none",
        image_size=16,
        recipe=recipe,
        **fields,
    )


SCRATCH = "scratch:augment=none,epochs=25,learning_rate=3e-3"


@pytest.fixture(scope="module")
def run(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return tftransfer.train(experiment(table, SCRATCH), folder)


def test_run_learns_all_tasks_and_evaluates_each(run):
    result = run.result
    assert result["problem_type"] == "multi_task" and len(result["classes"]) == 14
    assert list(result["tasks"]) == list(TASKS)
    accuracy = {name: found["test"]["accuracy"] for name, found in result["tasks"].items()}
    assert accuracy["digit"] > 0.6 and min(accuracy["is even"], accuracy["above4"]) > 0.8
    assert result["test"]["accuracy"] == pytest.approx(np.mean(list(accuracy.values())))
    assert result["baselines"]["majority"]["accuracy"] < 0.45
    assert sum(found["examples"] for found in result["tasks"].values()) == 3 * 400 - 100
    low, high = result["test"]["intervals"]["accuracy"]
    assert low < result["test"]["accuracy"] < high
    assert "accuracy" in result["verdict"][0]


def test_files_of_a_run_name_every_task(run):
    header, *rows = csv.reader(run.folder.predictions.open())
    assert header[:5] == [
        "name",
        "true digit",
        "predicted digit",
        "true is even",
        "predicted is even",
    ]
    assert len(rows) == 400 and sum(row[1] == "" for row in rows) in range(30, 37)
    assert values_per_example(run).mean() == pytest.approx(run.result["test"]["accuracy"])
    report = (run.workdir / "report.md").read_text()
    assert "## Metrics of each task" in report and "| is even | " in report
    assert {path.name for path in (run.workdir / "plots").glob("confusion*")} == {
        f"confusion_matrix-{number}.png" for number in (1, 2, 3)
    }
    counts = np.array(run.result["tasks"]["digit"]["confusion_matrix"])
    assert counts.shape == (10, 10) and counts.sum() == run.result["tasks"]["digit"]["examples"]


def test_export_answers_like_predict(run, table, capsys):
    files = [table.parent / f"{number}.png" for number in (300, 301, 302)]
    served = tf.saved_model.load(str(run.export_dir)).signatures["serving_default"]
    data = [file.read_bytes() for file in files]
    answer = served(image_bytes=tf.constant([*data, b"not an image"]))
    ours = tftransfer.predict(run.workdir, files)
    expected = [list(row["scores"].values()) for row in ours]
    np.testing.assert_allclose(answer["scores"].numpy()[:3], expected, atol=1e-5)
    for task in TASKS:
        labels = [label.decode() for label in answer[f"label_{task}"].numpy()]
        assert labels == [*(row["labels"][task] for row in ours), ""]
    assert run.result["export"]["max_difference"] <= 1e-5
    main.main(["predict", f"--workdir={run.workdir}", str(files[0])])
    assert '"digit": ' in capsys.readouterr().out


def test_evaluate_of_the_run_and_of_a_table_of_a_single_task(run, table, tmp_path):
    again = tftransfer.evaluate(run.workdir)
    assert again.metrics["accuracy"] == pytest.approx(run.result["test"]["accuracy"])
    with table.open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test" and row["digit"]]
    one = tmp_path / "one.csv"
    one.write_text(
        "\n".join(["path,digit", *(f"{table.parent / row['path']},{row['digit']}" for row in rows)])
    )
    found = tftransfer.evaluate(run.workdir, str(one))
    assert found.metrics["accuracy"] == pytest.approx(
        run.result["tasks"]["digit"]["test"]["accuracy"]
    )


@pytest.mark.parametrize("balance", BALANCED)
def test_multi_task_learns_with_every_balance(balance, table, tmp_path):
    done = tftransfer.train(
        experiment(table, f"{SCRATCH}+multi_task:balance={balance}"), tmp_path, export=False
    )
    assert done.result["test"]["accuracy"] > done.result["baselines"]["majority"]["accuracy"] + 0.2
    stored = weights.read(done.weights)
    trained = [value for name, value in stored.items() if name.startswith("balance/")]
    assert len(trained) == (balance != "fixed")
    for value in trained:
        assert value.shape == (3,) and np.abs(value).max() > 0.01
    assert tftransfer.load(tmp_path).trained_model.tasks[0].count == 10


@pytest.mark.parametrize("recipe", ["fine_tune", "feature_extraction", "few_shot"])
def test_other_recipes_learn_several_tasks(recipe, run, table, tmp_path):
    changed = experiment(table, recipe, epochs=2)
    changed = tftransfer.Experiment(**{**vars(changed), "backbone": str(run.workdir)})
    done = tftransfer.train(changed, tmp_path, export=False)
    assert done.result["test"]["accuracy"] > 0.6
    assert done.result["baselines"]["linear_probe"]["accuracy"] > 0.6


@pytest.mark.slow
def test_stopped_run_resumes_to_the_same_weights(table, tmp_path):
    wanted = experiment(table, "scratch:augment=shift,epochs=3+multi_task:balance=uncertainty")
    whole = tftransfer.train(wanted, tmp_path / "whole", export=False)

    def stop(epoch, logs):
        if epoch == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(signals.Stopped):
        tftransfer.train(
            wanted,
            tmp_path / "stopped",
            export=False,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=stop)],
        )
    again = tftransfer.train(wanted, tmp_path / "stopped", export=False)
    assert again.result["weights_sha256"] == whole.result["weights_sha256"]
    assert again.result["tasks"] == whole.result["tasks"]


@pytest.mark.slow
def test_compare_uses_the_mean_over_tasks(table, tmp_path):
    recipes = ["scratch:augment=none", "scratch:augment=none+multi_task:balance=gradnorm"]
    found = tftransfer.compare(experiment(table, "scratch"), tmp_path, recipes, epochs=2)
    assert found.metric == "accuracy"
    for row in found.rows:
        assert row["low"] <= row["value"] <= row["high"]
        best = next(each for each in found.rows if each["recipe"] == found.winner)
        assert row["behind"] == pytest.approx(best["value"] - row["value"])
    result = found.runs[found.winner].result
    assert [row["task"] for row in found.tasks] == list(TASKS)
    for number, row in enumerate(found.tasks, 1):
        alone = tftransfer.load(f"{found.runs[found.winner].workdir}-alone-{number}").result
        assert row["alone"] == alone["test"]["accuracy"]
        assert row["together"] == result["tasks"][row["task"]]["test"]["accuracy"]
        assert row["gain"] == pytest.approx(row["together"] - row["alone"])
        assert row["low"] <= row["gain"] <= row["high"]
    assert "| above4 | " in str(found) and "| above4 | " in (tmp_path / "comparison.md").read_text()


def test_train_alone_skips_a_task_without_test_labels(table, tmp_path, log_lines):
    examples = tftransfer.plan(experiment(table, "scratch")).examples
    labels = examples.labels.copy()
    labels[examples.splits == "test", 2] = -1
    trained = []

    def train(wanted, place, own):
        recipe = str(wanted.recipe)
        trained.append((recipe, wanted.problem_type, place.name, len(own)))

    found = train_alone(
        train,
        parse_recipe("multi_task:epochs=3,balance=fixed+l2_sp"),
        experiment(table, "scratch"),
        tmp_path / "best-alone",
        replace(examples, labels=labels),
    )
    assert list(found) == ["digit", "is even"] and "above4 is not trained alone" in log_lines[-1]
    known = (labels[:, 0] >= 0).sum()
    assert trained[0] == ("fine_tune:epochs=3+l2_sp", "single_label", "best-alone-1", known)


def test_examples_of_task_selects_the_examples_of_one_task(table):
    examples = tftransfer.plan(experiment(table, "scratch")).examples
    even = examples_of_task(examples, 1)
    assert (even.problem_type, even.classes) == ("single_label", ("even", "odd"))
    assert len(even) == (examples.labels[:, 1] >= 0).sum() < len(examples)
    names = dict(zip(examples.names, examples.labels[:, 1]))
    assert even.labels.tolist() == [names[name] for name in even.names]


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (
            {"name": "scratch+multi_task", "balance": "fixed", "weights": (1, 2)},
            "There are 3 tasks",
        ),
        ("scratch+multi_task:balance=gradnrm", "gradnrm"),
        ("few_shot+multi_task", "no phase that trains on labels by optimizer steps"),
        ("scratch+entropy", "needs one class per example"),
    ],
)
def test_plan_refuses_recipes_that_do_not_suit_the_tasks(recipe, message, table):
    given = experiment(table, recipe, target_data=str(table.parent))
    with pytest.raises(tftransfer.UserError, match=message):
        tftransfer.plan(given)


def test_multi_task_of_a_single_task_is_an_error(digits):
    with pytest.raises(tftransfer.UserError, match="the problem type is single_label") as caught:
        tftransfer.plan(experiment(digits / "target", "multi_task"))
    assert "several label columns" in caught.value.remedy
