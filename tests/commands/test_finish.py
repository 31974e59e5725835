"""What comes after training cannot cost it: each failure is reported, each remedy works."""

import json
import shlex

import pytest
from sklearn.datasets import load_digits

import tftransfer
from tftransfer.cli.main import main
from tftransfer.commands import finish
from tftransfer.utils.errors import UserError
from tftransfer.utils.files import file_sha256

NAMES = ["$", "$$", "a|b", "*star*", "<b>"]


@pytest.fixture
def folder(tmp_path):
    from PIL import Image

    digits = load_digits()
    for number in range(120):
        if digits.target[number] < 5:
            path = tmp_path / "digits" / NAMES[digits.target[number]] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((digits.images[number] * 15).astype("uint8")).save(path)
    return tmp_path / "digits"


def train(folder, workdir, **settings):
    experiment = tftransfer.Experiment(
        data=str(folder),
        backbone="small_cnn:width=4",
        weights="none",
        image_size=16,
        recipe="few_shot",
    )
    return tftransfer.train(experiment, workdir, **settings)


def fail(*_, **__):
    raise ValueError("Expected \\frac{num}{den}")


def remedy(messages):
    (line,) = [text for text in messages if "The run is finished. To try again: " in text]
    return shlex.split(line.rpartition("To try again: ")[2])


def test_failing_report_leaves_a_finished_run_and_its_remedy_writes_it(
    folder, tmp_path, monkeypatch, caplog, capsys
):
    caplog.set_level("INFO", "tftransfer")
    with monkeypatch.context() as patch:
        patch.setattr(finish, "write_report", fail)
        run = train(folder, tmp_path / "run", export=False)
    assert run.finished and not run.report.exists()
    assert run.result["failed"] == {"report": "ValueError: Expected \\frac{num}{den}"}
    assert run.result["test"]["accuracy"] >= 0 and run.predict([]) == []
    train(folder, tmp_path / "run", export=False)
    assert f"to write it: tftransfer report --workdir={tmp_path / 'run'}" in caplog.text
    command = remedy(caplog.messages)
    assert command[0] == "tftransfer" and main(command[1:]) == 0
    assert str(run.report) in capsys.readouterr().out
    text = run.report.read_text()
    assert all(f"| {name} |" in text for name in (r"\$", r"\$\$", r"a\|b", r"\*star\*", r"\<b\>"))
    assert (run.workdir / "plots" / "confusion_matrix.png").is_file()


def test_failing_export_leaves_a_finished_run_with_report_and_its_remedy_exports(
    folder, tmp_path, monkeypatch, caplog
):
    caplog.set_level("INFO", "tftransfer")
    with monkeypatch.context() as patch:
        patch.setattr(finish, "export_network", fail)
        run = train(folder, tmp_path / "run")
    assert run.finished and run.report.is_file() and not run.export_dir.exists()
    weights = file_sha256(run.weights)
    assert main(remedy(caplog.messages)[1:]) == 0
    assert (run.export_dir / "saved_model.pb").is_file()
    assert file_sha256(run.weights) == weights


def test_failing_verdict_is_reported_and_the_run_is_finished(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(finish, "verdict", fail)
    run = train(folder, tmp_path / "run", export=False)
    assert run.finished and run.report.is_file() and "verdict" in run.result["failed"]


def test_result_is_on_disk_before_anything_draws_or_exports(folder, tmp_path, monkeypatch):
    seen = []

    def stop(*_, **__):
        seen.append(json.loads((tmp_path / "run" / "result.json").read_text())["test"])
        raise KeyboardInterrupt

    monkeypatch.setattr(finish, "export_network", stop)
    with pytest.raises(KeyboardInterrupt):
        train(folder, tmp_path / "run")
    assert seen[0]["accuracy"] >= 0 and tftransfer.load(tmp_path / "run").finished


def test_report_of_an_unfinished_run_names_the_command_that_finishes_it(tmp_path):
    with pytest.raises(UserError, match="is not the folder of a run"):
        tftransfer.report(tmp_path)


def test_comparison_is_written_although_its_plot_fails(folder, tmp_path, monkeypatch, caplog):
    from tftransfer.commands import comparison

    monkeypatch.setattr(comparison, "intervals", fail)
    experiment = tftransfer.Experiment(
        data=str(folder), backbone="small_cnn:width=4", weights="none", image_size=16
    )
    tftransfer.compare(experiment, tmp_path / "runs", ["few_shot", "few_shot:solve=prototypes"])
    assert (tmp_path / "runs" / "comparison.md").is_file()
    assert (tmp_path / "runs" / "comparison.json").is_file()
    assert "comparison.png could not be drawn: ValueError" in caplog.text
