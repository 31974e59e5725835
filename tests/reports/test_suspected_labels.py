"""Labels that look wrong: the rule, the probabilities, the table, and the precision on flowers."""

import csv
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import tftransfer
from tftransfer.cli import main
from tftransfer.data.examples import Examples
from tftransfer.models.network import FEATURES
from tftransfer.planning.make_plan import make_plan
from tftransfer.probes.cross_validation import folds
from tftransfer.probes.layer_probes import pooled_layer_features
from tftransfer.probes.linear_probe import selected_scores
from tftransfer.reports.suspected_labels import (
    HeldOutProbabilities,
    held_out_probabilities,
    improbable_labels,
    suspected_labels,
)
from tftransfer.utils.errors import UserError


def test_improbable_labels_are_in_the_order_of_the_probability_of_the_label():
    rows = [  # the column of the label, and the probabilities
        (0, (0.80, 0.10, 0.10)),
        (0, (0.06, 0.90, 0.04)),
        # More than the mean 0.1 of the first class among the labels of the second.
        (0, (0.12, 0.80, 0.08)),
        # No class is above one half.
        (0, (0.02, 0.49, 0.49)),
        # Less than the mean 0.05 of the first class among the labels of the third.
        (0, (0.04, 0.30, 0.66)),
        # The probe was not fitted on the class of the label.
        (0, (0.00, 0.90, 0.10)),
        (1, (0.05, 0.90, 0.05)),
        (1, (0.15, 0.80, 0.05)),
        (2, (0.05, 0.05, 0.90)),
    ]
    found = HeldOutProbabilities(
        indices=np.arange(10, 19),
        labels=np.array([label for label, _ in rows]),
        classes=np.array([1, 3, 4]),
        scores=np.array([scores for _, scores in rows]),
    )
    first, second = improbable_labels(found, ["-", "ant", "-", "bee", "cat"])
    assert (first.index, first.predicted, second.index, second.predicted) == (14, "cat", 11, "bee")
    assert (first.label_probability, first.predicted_probability) == (0.04, 0.66)
    assert (second.label_probability, second.predicted_probability) == (0.06, 0.9)


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_most_wrong_labels_of_two_classes_are_found_however_many_there_are(share):
    rng = np.random.default_rng(0)
    truth = np.arange(400) % 2
    features = rng.normal(size=(400, 10)) + 2 * truth[:, None] * (np.arange(10) < 3)
    changed = rng.choice(400, int(400 * share), replace=False)
    labels = truth.copy()
    labels[changed] = 1 - labels[changed]
    examples = Examples(
        names=[str(number) for number in range(400)],
        items=[b""] * 400,
        labels=labels,
        problem_type="single_label",
        classes=("a", "b"),
        splits=np.full(400, "train"),
        sha256=[f"{number:064}" for number in range(400)],
    )
    found = suspected_labels({FEATURES: features}, examples)
    right = np.isin([each.index for each in found], changed)
    assert right.sum() > 0.6 * len(changed) and right.mean() > 0.8
    assert all(each.predicted == "ab"[truth[each.index]] for each in found if each.index in changed)


@pytest.mark.parametrize("noise, penalty", [(0.0, 10**0.5), (0.3, 100.0)])
def test_selected_scores_are_those_of_the_penalty_with_the_smallest_log_loss(noise, penalty):
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    features = rng.normal(size=(200, 20)) + 0.9 * labels[:, None] * (np.arange(20) < 5)
    labels = np.where(rng.random(200) < noise, 1 - labels, labels)
    splits = folds(labels, (), 5)

    def scores_of(strength):
        scores = np.zeros((200, 2))
        for fit, test in splits:
            scaler = StandardScaler().fit(features[fit])
            model = LogisticRegression(C=1 / strength, tol=1e-8, max_iter=1000)
            model.fit(scaler.transform(features[fit]), labels[fit])
            scores[test] = model.predict_proba(scaler.transform(features[test]))
        return scores

    def loss(scores):
        return -np.log(scores[np.arange(200), labels]).mean()

    got = selected_scores(features, labels, splits)
    losses = {p: loss(scores_of(p)) for p in np.geomspace(1e4, 1e-1, 11)}
    assert min(losses, key=losses.get) == pytest.approx(penalty)
    np.testing.assert_allclose(got, scores_of(penalty), atol=2e-3)


def test_selected_scores_of_a_class_that_is_in_one_fold_only_are_0():
    features = np.random.default_rng(0).normal(size=(12, 3))
    labels = np.array([0, 1] * 5 + [2, 2])
    splits = [(np.arange(8), np.arange(8, 12)), (np.arange(4, 12), np.arange(4))]
    scores = selected_scores(features, labels, splits)
    assert (scores[8:, 2] == 0).all() and (scores[:4, 2] > 0).all()
    np.testing.assert_allclose(scores[[0, 1, 2, 3, 8, 9, 10, 11]].sum(axis=1), 1)


@pytest.fixture
def mislabeled(tmp_path):
    """Noise around two colors, 60 images of each; of both, six are in the folder of the other."""
    rng = np.random.default_rng(0)
    for label, other, color in (("blue", "red", (40, 60, 200)), ("red", "blue", (200, 60, 40))):
        for number in range(60):
            image = np.clip(rng.normal(color, 10, (32, 32, 3)), 0, 255).astype(np.uint8)
            folder = tmp_path / "data" / (other if number < 6 else label)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{label}{number}.png")
    return tmp_path / "data"


def test_inspect_writes_all_suspected_labels_to_a_table(mislabeled, tmp_path, capsys):
    words = ["inspect", f"--data={mislabeled}", "--backbone=small_cnn", "--weights=none"]
    assert main.main(words) == 0
    printed = capsys.readouterr().out
    heading = "suspected labels, by a cross-validated probe: 12 of 120, the first 10 below"
    flag = "--output=suspected.csv"
    assert f"{heading}; to write all of them to a table, add {flag}\n" in printed
    assert printed.count(" (probability 0.") == 2 * 10
    output = tmp_path / "tables" / "suspected.csv"
    assert main.main([*words, f"--output={output}"]) == 0
    assert f"{heading}, all of them in {output}\n" in capsys.readouterr().out
    with output.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    expected = {f"red/blue{n}.png": "blue" for n in range(6)}
    expected |= {f"blue/red{n}.png": "red" for n in range(6)}
    assert {row["name"]: row["predicted"] for row in rows} == expected
    assert all(row["label"] == row["name"].split("/")[0] for row in rows)
    probabilities = [float(row["label_probability"]) for row in rows]
    assert probabilities == sorted(probabilities) and probabilities[-1] < 0.2
    sums = [float(row["predicted_probability"]) + float(row["label_probability"]) for row in rows]
    np.testing.assert_allclose(sums, 1, atol=1e-5)
    before = output.read_bytes()
    assert main.main([*words, f"--output={output}"]) == 2
    assert f"--output={output} exists.\nGive the name of a new file" in capsys.readouterr().err
    assert output.read_bytes() == before


@pytest.mark.parametrize(
    "fields, what, remedy",
    [
        ({"output": "s.csv"}, "take data and a backbone", "Add --backbone=NAME;"),
        (
            {"output": "s.xlsx", "backbone": "small_cnn", "weights": "none"},
            "--output=s.xlsx does not end in .csv",
            "--output=s.csv",
        ),
    ],
)
def test_inspect_with_an_impossible_output_is_an_error(image_folder, fields, what, remedy):
    with pytest.raises(UserError) as error:
        tftransfer.inspect(data=str(image_folder), **fields)
    assert what in error.value.what and remedy in error.value.remedy


def test_inspect_reports_that_the_output_of_several_labels_was_not_written(image_folder, tmp_path):
    files = sorted(image_folder.rglob("*.png"))
    rows = [f"{file},{'a|b' if n % 2 else 'a'}\n" for n, file in enumerate(files)]
    (tmp_path / "table.csv").write_text("path,label\n" + "".join(rows))
    output = tmp_path / "s.csv"
    text = tftransfer.inspect(
        data=str(tmp_path / "table.csv"),
        problem_type="multi_label",
        backbone="small_cnn",
        weights="none",
        output=output,
    )
    reason = "suspected labels: not checked, only single labels are"
    assert text.splitlines()[-1] == f"{reason}; {output} was not written"
    assert not output.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "archive, folder, bar",
    [("flowers/flowers", "", 0.6), ("office_caltech/office_amazon_webcam", "amazon", 0.7)],
)
def test_most_suspected_labels_are_wrong_where_a_twentieth_is(
    shared_data, tmp_path, archive, folder, bar
):
    """Of the first that inspect lists, as many as were changed; and of all that it lists."""
    with zipfile.ZipFile(shared_data / f"{archive}.zip") as file:
        file.extractall(tmp_path)
    (weights,) = (shared_data / "weights").glob("mobilenet_v2_weights*0.35_224_no_top.h5")
    experiment = tftransfer.Experiment(
        data=str(tmp_path / folder),
        backbone="mobilenet_v2:alpha=0.35",
        weights=str(weights),
        image_size=160,
        recipe="feature_extraction",
    )
    plan = make_plan(experiment, cache_bytes=0)
    examples = plan.examples
    features = pooled_layer_features(plan.network, examples)[FEATURES]
    count, classes = round(len(examples) / 20), len(examples.classes)
    at_count, of_listed = [], []
    for seed in range(20, 25):
        rng = np.random.default_rng(seed)
        changed = rng.choice(len(examples), count, replace=False)
        labels = examples.labels.copy()
        labels[changed] = (labels[changed] + rng.integers(1, classes, count)) % classes
        found = held_out_probabilities(features, replace(examples, labels=labels))
        assert len(found.indices) == len(examples)
        listed = [each.index for each in improbable_labels(found, examples.classes)]
        at_count.append(np.isin(listed[:count], changed).sum() / count)
        of_listed.append(np.isin(listed, changed).mean())
        assert np.isin(changed, listed).mean() > 0.6
    assert np.mean(at_count) >= bar and np.mean(of_listed) >= bar - 0.05
