"""`evaluate` on data of the user: what the run has seen, copies, groups."""

import re

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import tftransfer
from tftransfer.cli.main import main

DIGITS = load_digits()
IMAGES, LABELS = DIGITS.images / 16, DIGITS.target


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    experiment = tftransfer.Experiment(
        data=(IMAGES[:200], LABELS[:200]),
        backbone="small_cnn:width=4",
        weights="none",
        recipe="few_shot",
    )
    return tftransfer.train(experiment, tmp_path_factory.mktemp("run"), export=False)


def test_evaluate_reports_how_many_examples_the_run_was_trained_on(run):
    seen = run.evaluate((IMAGES[:200], LABELS[:200]))
    splits = [row[1] for row in run.split["examples"]]
    assert seen.seen == {"train": splits.count("train"), "val": splits.count("val")}
    lines = str(seen).splitlines()
    assert lines[0] == "given data, 200 examples"
    assert lines[1] == (
        f"the run had some of these examples: {splits.count('train')} in its training split and "
        f"{splits.count('val')} in its validation split; the metrics are too good"
    )


def test_evaluate_of_new_data_names_them_and_no_split(run):
    new = run.evaluate((IMAGES[200:260], LABELS[200:260]))
    assert new.split == "given" and not new.seen
    assert str(new).startswith("given data, 60 examples\naccuracy")


def test_evaluate_counts_copies_of_a_content_once(run):
    images = np.concatenate([IMAGES[200:230], *[IMAGES[200:201]] * 9])
    labels = np.concatenate([LABELS[200:230], *[LABELS[200:201]] * 9])
    found = run.evaluate((images, labels))
    single = run.evaluate((IMAGES[200:230], LABELS[200:230]))
    assert found.examples == 30 and found.copies == 9
    assert found.metrics == pytest.approx(single.metrics, abs=1e-6)
    assert len(found.predictions) == 1 + 39
    assert str(found).startswith("given data, 30 examples; 9 copies are not counted")


def test_result_states_why_the_temperature_is_what_it_is(run):
    assert "validation examples" in run.result["calibration"]
    assert run.result["calibration"] in run.report.read_text()


@pytest.fixture
def tables(tmp_path):
    """A run on texts, and a table in another encoding with another name of a column."""
    good, bad = ["прекрасно люблю", "отлично радость"], ["ужасно плохо", "скучно грустно"]
    rows = []
    for k in range(20):
        rows += [f"{good[k % 2]} {k},good", f"{bad[k % 2]} {k},bad"]
    (tmp_path / "train.csv").write_text("\n".join(["text,label", *rows]), "utf-8")
    (tmp_path / "new.csv").write_text("\n".join(["comment,label", *rows[:10]]), "cp1251")
    experiment = tftransfer.Experiment(
        data=str(tmp_path / "train.csv"),
        backbone="word_vectors",
        weights="none",
        recipe="few_shot",
    )
    return tftransfer.train(experiment, tmp_path / "run", export=False), tmp_path / "new.csv"


def test_evaluate_takes_columns_and_encoding_of_the_given_data(tables, capsys):
    run, new = tables
    columns = "text=comment,label=label"
    expected = run.evaluate(str(new), columns=columns, encoding="cp1251")
    assert expected.examples == 10 and expected.metrics["accuracy"] > 0.9
    flags = [f"--workdir={run.workdir}", f"--data={new}", f"--columns={columns}"]
    capsys.readouterr()
    assert main(["evaluate", *flags, "--encoding=cp1251"]) == 0
    assert str(expected) in capsys.readouterr().out


def test_evaluate_with_many_unreadable_files_follows_its_remedy(tmp_path, run, capsys):
    for k in range(20):
        path = tmp_path / "data" / str(LABELS[k]) / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = (IMAGES[k] * 255).astype("uint8")
        Image.fromarray(pixels).save(path)
        path.write_bytes(path.read_bytes()[:20] if k < 4 else path.read_bytes())
    flags = [f"--workdir={run.workdir}", f"--data={tmp_path / 'data'}"]
    assert main(["evaluate", *flags]) == 2
    remedy = re.search(r"--max_quarantine=[\d.]+\d", capsys.readouterr().err)[0]
    assert main(["evaluate", *flags, remedy]) == 0
    assert "given data, 16 examples" in capsys.readouterr().out


def test_predict_takes_columns_and_encoding_of_the_given_tables(tables, capsys):
    run, new = tables
    reading = {"columns": "text=comment", "encoding": "cp1251"}
    expected = [row["label"] for row in tftransfer.predict(run, new, **reading)]
    assert expected == ["good", "bad"] * 5
    flags = [f"--workdir={run.workdir}", "--columns=text=comment", "--encoding=cp1251"]
    capsys.readouterr()
    assert main(["predict", *flags, str(new)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[1] for line in lines] == expected
    rows = [{"comment": "прекрасно люблю 3"}, {"comment": "ужасно плохо 4"}]
    assert [r["label"] for r in run.predict(rows, columns="text=comment")] == ["good", "bad"]


def test_export_takes_columns_encoding_and_quarantine_of_the_given_data(tables, tmp_path, capsys):
    run, new = tables
    flags = [f"--workdir={run.workdir}", f"--data={new}", f"--folder={tmp_path / 'served'}"]
    reading = ["--columns=text=comment,label=label", "--encoding=cp1251", "--max_quarantine=0.1"]
    assert main(["export", *flags, *reading]) == 0
    assert "on 10 examples" in capsys.readouterr().out


def test_predict_and_evaluate_take_lists_of_dictionaries(run):
    rows = [{"image": image, "label": label} for image, label in zip(IMAGES[:9], LABELS[:9])]
    expected = [row["label"] for row in run.predict(IMAGES[:9])]
    assert [row["label"] for row in run.predict(rows)] == expected
    assert [row["label"] for row in run.predict([{"image": i} for i in IMAGES[:9]])] == expected
    assert run.evaluate(rows).metrics == run.evaluate((IMAGES[:9], LABELS[:9])).metrics
