"""The report of a thousand classes and more: nothing is cut without a word."""

import numpy as np
import pytest

import tftransfer
from tftransfer.core.serialization import to_jsonable, write_json
from tftransfer.reports.report import write_report
from tftransfer.workdir.run_folder import RunFolder

COUNT = 1200


@pytest.fixture
def report(tmp_path):
    experiment = to_jsonable(tftransfer.Experiment(data="photos"))
    write_json(tmp_path / "config.json", {"experiment": experiment})
    counts = 2 * np.eye(COUNT, dtype=int)
    counts[3, 7], counts[5, 9] = 4, 3
    counts[COUNT - 1] = 0
    rows = [
        {"class": f"c|{k}", "precision": 0.9, "recall": 0.9, "f1": k / COUNT, "support": 2}
        for k in range(COUNT - 1)
    ]
    none = dict.fromkeys(("precision", "recall", "f1"))
    rows.append({"class": f"c|{COUNT - 1}", **none, "support": 0})
    result = {
        "recipe": "fine_tune",
        "verdict": ["accuracy 0.9", "Main issue: none.", "Next step: tftransfer predict --w=a b"],
        "problem_type": "single_label",
        "classes": [row["class"] for row in rows],
        "split": "test",
        "examples": 2405,
        "temperature": 1.0,
        "test": {"accuracy": 0.9},
        "baselines": {},
        "phases": [],
        "per_class": rows,
        "confusion_matrix": counts.tolist(),
        "seconds": {"total": 1.0},
    }
    write_report(RunFolder(tmp_path), result)
    return (tmp_path / "report.md").read_text()


def test_report_lists_the_weakest_classes_and_how_many_there_are(report):
    assert "The 100 of 1,200 classes with the lowest F1; all are in result.json." in report
    assert r"| c\|0 | 0.900 | 0.900 | 0.000 | 2 |" in report
    assert r"| c\|100 |" not in report


def test_report_names_the_most_frequent_confusions(report):
    assert "The 2 most frequent of 2 confusions; all are in result.json." in report
    assert r"| c\|3 | c\|7 | 4 |" in report and r"| c\|5 | c\|9 | 3 |" in report


def test_command_of_the_verdict_is_code(report):
    assert "- Next step: `tftransfer predict --w=a b`" in report
