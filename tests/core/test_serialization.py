import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from tftransfer.core.experiment import Experiment
from tftransfer.core.recipe import Head, Phase, Recipe
from tftransfer.core.serialization import (
    from_jsonable,
    read_json,
    register_serializable,
    to_jsonable,
    write_json,
)
from tftransfer.losses import L2SP, BinaryCrossEntropy, CrossEntropy, SquaredError
from tftransfer.recipes import RECIPES, make_recipe
from tftransfer.utils.errors import UserError

LOSSES = (
    CrossEntropy(label_smoothing=0.1, class_weight="balanced", weight=2.0),
    BinaryCrossEntropy(label="train.tags"),
    SquaredError(prediction="train.values"),
    L2SP(blocks="stage[12]", weight=0.05),
)


def _recipe():
    phase = Phase(
        name="tune", train={"head": 1.0, "stage-1": 0.3}, losses=LOSSES, reset=("head",), mixup=0.2
    )
    return Recipe(name="mine", heads=(Head(hidden=(8, 4), dropout=0.5),), phases=(phase,))


def _through_text(value):
    return from_jsonable(json.loads(json.dumps(to_jsonable(value))))


@pytest.mark.parametrize("name", sorted(RECIPES))
@pytest.mark.parametrize("problem_type", ["single_label", "multi_label", "regression"])
def test_json_round_trip_of_named_recipes_is_equal(name, problem_type):
    recipe = make_recipe(name, problem_type=problem_type)
    assert _through_text(recipe) == recipe


@pytest.mark.parametrize(
    "value",
    [
        _recipe(),
        Experiment(),
        Experiment(
            data="photos", recipe=_recipe(), backbone="b:alpha=0.35", seed=3, trust_code=True
        ),
        Experiment(recipe={"name": "fine_tune", "unfreeze": 2, "decay": None}),
        *LOSSES,
    ],
)
def test_json_round_trip_of_values_is_equal(value):
    assert _through_text(value) == value


def test_to_jsonable_dataclass_has_type_and_all_fields():
    found = to_jsonable(L2SP(weight=0.5))
    assert found == {"type": "L2SP", "weight": 0.5, "ramp": 0.0, "blocks": "stage*"}


def test_json_round_trip_gives_tuples_for_lists_and_text_for_paths():
    assert _through_text({"a": [1, (2, 3)], "b": Path("x") / "y"}) == {"a": (1, (2, 3)), "b": "x/y"}


@pytest.mark.parametrize(
    ("value", "plain"),
    [(np.int64(7), 7), (np.float32(0.25), 0.25), (np.float64(0.5), 0.5), (True, True)],
)
def test_to_jsonable_converts_numpy_numbers(value, plain):
    found = json.loads(json.dumps(to_jsonable({"seed": value})))["seed"]
    assert found == plain and type(found) is type(plain)


def test_to_jsonable_data_in_memory_keeps_the_type_only():
    found = to_jsonable(Experiment(data=np.zeros((2, 2))))
    assert found["data"] == "<ndarray in memory>"


@pytest.mark.parametrize(
    ("value", "what", "remedy"),
    [
        ({"type": "CrossEntrop"}, "no type named 'CrossEntrop'", "CrossEntropy"),
        ({"type": "Lambda", "code": "x"}, "no type named 'Lambda'", "Available: "),
        ({"type": "Head", "unit": 3}, "no field of Head named 'unit'", "units"),
        ({"type": "L2SP", "block": "*"}, "no field of L2SP named 'block'", "blocks"),
        ({"type": "Phase", "name": "a", "train": {}}, "Phase lacks the field 'losses'", "Add it"),
        ({"type": "Recipe"}, "Recipe lacks the field 'name'", "Add it"),
    ],
)
@pytest.mark.parametrize("nest", [lambda v: v, lambda v: {"phases": [v]}], ids=["bare", "nested"])
def test_from_jsonable_unknown_type_or_field_raises_with_its_name(value, what, remedy, nest):
    with pytest.raises(UserError, match=what) as caught:
        from_jsonable(nest(value))
    assert remedy in caught.value.remedy


def test_from_jsonable_checks_values():
    stored = to_jsonable(Experiment()) | {"batch_size": 0}
    with pytest.raises(UserError, match="batch_size is 0"):
        from_jsonable(stored)


def test_register_serializable_accepts_a_new_class_and_refuses_a_taken_name():
    @register_serializable
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class OnlyForThisTest:
        rate: float = 0.5

    assert _through_text(OnlyForThisTest(rate=0.25)) == OnlyForThisTest(rate=0.25)
    other = dataclasses.make_dataclass("OnlyForThisTest", [("rate", float)])
    with pytest.raises(ValueError, match="type named 'OnlyForThisTest' is already registered"):
        register_serializable(other)


def test_write_json_is_utf8(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"class": "käse", "recipe": _recipe()})
    assert "käse".encode() in path.read_bytes() and path.read_bytes().endswith(b"}\n")
    assert from_jsonable(read_json(path)) == {"class": "käse", "recipe": _recipe()}


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b'{"a": "\xff"}'])
def test_read_json_broken_file_raises_with_its_name(tmp_path, content):
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.json is not valid JSON"):
        read_json(path)


def test_read_json_absent_file_raises_with_its_name(tmp_path):
    with pytest.raises(UserError, match=r"absent\.json does not exist"):
        read_json(tmp_path / "absent.json")
