import numpy as np
import pytest

from tftransfer.data.examples import Examples
from tftransfer.data.understanding import class_counts, understood

COLORS = ("blue", "red")


def examples(labels, classes=COLORS, problem_type="single_label", **fields):
    labels = np.asarray(labels)
    given = dict(items=[b"x"] * len(labels), splits=np.full(len(labels), ""), modality="text")
    return Examples(
        names=[f"#{n}" for n in range(len(labels))],
        labels=labels,
        problem_type=problem_type,
        classes=classes,
        **given | fields,
    )


def test_understood_shows_modality_problem_type_and_classes_with_reasons():
    found = understood(examples([0, 1, 1], problem_reason="whole numbers"))
    assert found == [
        ("modality", "text: by the values"),
        ("problem", "single_label: whole numbers"),
        ("classes", "blue 1, red 2"),
    ]
    files = examples([0, 1], items=["a.txt", "b.txt"], modality_reason="")
    assert understood(files)[0] == ("modality", "text: by the content of the files")


@pytest.mark.parametrize(("count", "more"), [(20, ""), (21, "1 more"), (1200, "1,180 more")])
def test_understood_counts_the_classes_that_it_does_not_list(count, more):
    names = tuple(f"c{n:04}" for n in range(count))
    text = dict(understood(examples(np.arange(count), names)))["classes"]
    assert text.startswith("c0000 1, c0001 1") and "c0019 1" in text
    assert text.endswith(f" and {more} classes, which inspect lists" if more else "c0019 1")


def test_understood_quotes_names_whose_end_is_unclear_and_escapes_control_characters():
    text = dict(understood(examples([0, 1, 2, 3], ("a, b", " c", "", "d\x1b"))))["classes"]
    assert text == "'a, b' 1, ' c' 1, '' 1, d\\x1b 1"


def test_understood_warns_of_a_dominant_class():
    labels = [0] * 3 + [1] * 97
    assert "always predicting red is right in 97%" in understood(examples(labels))[2][1]
    assert "always" not in understood(examples([0] * 10 + [1] * 90))[2][1]


def test_understood_describes_tasks_and_numbers():
    tasks = examples([[0, -1], [1, 0], [1, 1]], ("a=x", "a=y", "b=0", "b=1"), "multi_task")
    assert understood(tasks)[2:] == [("task", "a: x 1, y 2"), ("task", "b: 0 1, 1 1")]
    numbers = examples(np.float32([[1000], [3000], [3000]]), ("price",), "regression")
    expected = "price from 1,000 to 3,000, mean 2,333.33, 2 different values"
    assert understood(numbers)[2:] == [("numbers", expected)]


def test_class_counts_skip_examples_without_labels():
    splits = np.array(["train", "test", "target", "unlabelled"])
    assert class_counts(examples([0, 1, -1, -1], splits=splits)).tolist() == [1, 1]
    several = examples(np.float32([[1, 1], [0, 1]]), problem_type="multi_label")
    assert class_counts(several).tolist() == [1, 2]
