"""What is wrong with a plan is found before its first step."""

import numpy as np
import pytest

from tftransfer.core.problem_types import ProblemType
from tftransfer.data.examples import SPLIT_DTYPE, Examples, Quarantined
from tftransfer.planning import checks
from tftransfer.recipes import make_recipe, parse_recipe
from tftransfer.utils.errors import UserError


def examples_of(splits, **changes):
    count = len(splits)
    return Examples(
        names=list(map(str, range(count))),
        items=[b""] * count,
        labels=np.zeros(count, np.int64),
        problem_type=ProblemType.SINGLE_LABEL,
        classes=("a", "b"),
        splits=np.array(splits).astype(SPLIT_DTYPE),
        **changes,
    )


def test_check_names_of_recipe_and_backbone():
    examples = examples_of(["train"])
    checks.check_names(parse_recipe("fine_tune"), "mobilenet_v2", examples)
    with pytest.raises(UserError, match="no backbone"):
        checks.check_names(parse_recipe("fine_tune"), "mobilenet_v9", examples)
    with pytest.raises(UserError, match="no augment for images named 'drop'"):
        checks.check_names(parse_recipe("fine_tune:augment=drop"), "mobilenet_v2", examples)


@pytest.mark.parametrize(
    ("recipe", "splits", "what"),
    [
        ("fine_tune+dann", ["train", "val"], "examples of the target domain"),
        ("fine_tune+adabn", ["train", "val"], "examples of the target domain"),
        ("fine_tune+wise_ft", ["train", "test"], "validation split, which is empty"),
    ],
)
def test_check_splits_that_are_empty_is_an_error(recipe, splits, what):
    with pytest.raises(UserError, match=what):
        checks.check_splits(make_recipe(recipe), examples_of(splits))
    checks.check_splits(make_recipe(recipe), examples_of([*splits, "target", "val"]))


@pytest.mark.parametrize("method", ["entropy", "fixmatch", "cdan"])
def test_check_softmax_needs_one_class_per_example(method):
    recipe = make_recipe(f"fine_tune+{method}", problem_type=ProblemType.MULTI_LABEL)
    with pytest.raises(
        UserError, match="needs one class per example, and the problem type is multi"
    ):
        checks.check_softmax(recipe, ProblemType.MULTI_LABEL)
    checks.check_softmax(make_recipe(f"fine_tune+{method}"), ProblemType.SINGLE_LABEL)


def test_warnings_of_settings_and_data():
    assert "without a GPU" in checks.precision_warnings("mixed_float16")[0]
    assert not checks.precision_warnings("float32")
    assert (
        "nothing to transfer" in checks.weights_warnings(make_recipe("l2_sp"), pretrained=False)[0]
    )
    assert not checks.weights_warnings(make_recipe("scratch"), pretrained=False)
    assert not checks.weights_warnings(make_recipe("l2_sp"), pretrained=True)


def test_quarantine_warnings_have_the_number_and_the_first_file():
    files = [
        Quarantined(name="a.jpg", reason="not an image"),
        Quarantined(name="b.jpg", reason="empty"),
    ]
    (line,) = checks.quarantine_warnings(examples_of(["train"], quarantine=files))
    assert line.startswith("2 files quarantined") and line.endswith("a.jpg: not an image")
    assert not checks.quarantine_warnings(examples_of(["train"]))
