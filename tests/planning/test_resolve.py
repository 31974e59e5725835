"""One function fills in a recipe's open values: epochs, tasks, augmentation, teachers, widths."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tftransfer.backbones.load import load_backbone
from tftransfer.core.problem_types import ProblemType
from tftransfer.core.recipe import Head, Phase, Recipe
from tftransfer.planning.resolve import (
    resolve_recipe,
    with_augmentation,
    with_epochs,
    with_tasks,
    with_widths,
)
from tftransfer.preprocessing import get_modality
from tftransfer.readers.in_memory import from_arrays
from tftransfer.recipes import make_recipe, parse_recipe
from tftransfer.utils.errors import UserError

SUPERVISED = ["deep_transfer", "feature_extraction", "fine_tune", "gradual_unfreezing", "scratch"]


@pytest.fixture(scope="module")
def examples():
    images = np.zeros((6, 8, 8, 3), np.uint8)
    return from_arrays(images, np.array(["a", "b"] * 3))


@pytest.fixture(scope="module")
def backbone():
    return load_backbone("small_cnn:width=4", weights="none", image_size=8)


def test_resolve_recipe_fills_in_stages_epochs_and_augmentation(examples, backbone):
    spec = parse_recipe("deep_transfer:keep=1,frozen=1")
    resolved = resolve_recipe(spec, examples, backbone=backbone, epochs=7)
    (phase,) = resolved.recipe.phases
    assert phase.epochs == 7 and resolved.teachers == ()
    assert set(phase.train) == {"head", *(f"stage{k}" for k in range(2, len(backbone.stages) + 1))}
    assert phase.augment == get_modality("image").default_augmentation != "auto"


def test_resolve_recipe_without_a_backbone_has_five_stages_and_no_teachers(examples):
    resolved = resolve_recipe(parse_recipe("deep_transfer+distill"), examples)
    assert "stage5" in resolved.recipe.phases[0].train and not resolved.teachers


def test_resolve_recipe_without_its_teacher_is_an_error(examples, backbone):
    with pytest.raises(UserError, match="distill has no teacher"):
        resolve_recipe(parse_recipe("distill"), examples, backbone=backbone)


@pytest.mark.parametrize("name", [*SUPERVISED, "adda", "simclr", "scratch+dann+adabn"])
@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 5, 7, 10, 22, 100])
def test_with_epochs_keeps_the_total_and_an_epoch_per_phase(name, epochs):
    recipe = make_recipe(name, stages=5)
    got = [phase.epochs for phase in with_epochs(recipe, epochs).phases if phase.has_steps]
    assert sum(got) == max(epochs, len(got))
    assert min(got) >= 1


def test_with_epochs_leaves_phases_without_steps():
    assert with_epochs(make_recipe("few_shot"), 7) == make_recipe("few_shot")


@pytest.mark.parametrize(
    ("given", "epochs", "expected"),
    [
        ([10, 10], 8, [4, 4]),
        ([10, 30], 4, [1, 3]),
        ([5, 5], 40, [20, 20]),
        ([97, 1, 1, 1], 4, [1, 1, 1, 1]),
        ([97, 1, 1, 1], 10, [7, 1, 1, 1]),
        ([1, 1, 1, 97], 10, [1, 1, 1, 7]),
        ([3, 4], 0, [3, 4]),
        ([3, 4, 5], 1, [1, 1, 1]),
    ],
)
def test_with_epochs_scales_phases_in_proportion(given, epochs, expected):
    phases = tuple(Phase(name="p", train={}, losses=(), epochs=each) for each in given)
    got = with_epochs(Recipe(name="r", phases=phases), epochs)
    assert [phase.epochs for phase in got.phases] == expected


def test_with_tasks_fills_in_sizes_and_the_width_of_the_balance():
    recipe = make_recipe("fine_tune+multi_task", problem_type=ProblemType.MULTI_TASK)
    found = with_tasks(recipe, [3, 2])
    assert all(loss.sizes == (3, 2) for phase in found.phases for loss in phase.losses)
    assert [head.units for head in found.heads if head.kind == "balance"] == [2]


@pytest.mark.parametrize(("weights", "sizes"), [((), []), ((1.0,), [2, 2])])
def test_with_tasks_of_another_number_is_an_error(weights, sizes):
    options = {"name": "fine_tune+multi_task", "balance": "fixed", "weights": weights}
    recipe = make_recipe(options, problem_type=ProblemType.MULTI_TASK)
    with pytest.raises(UserError, match=f"There are {len(sizes)} tasks"):
        with_tasks(recipe, sizes)


@pytest.mark.parametrize(
    ("modality", "changes", "what"),
    [
        ("text", {"augment": "crop"}, "no augment for texts named 'crop'"),
        ("text", {"augment": "none", "mixup": 0.2}, "mixup cannot mix texts"),
        ("image", {"augment": "drop"}, "no augment for images named 'drop'"),
    ],
)
def test_with_augmentation_unknown_to_the_modality_is_an_error(modality, changes, what):
    recipe = make_recipe("scratch")
    recipe = replace(recipe, phases=(replace(recipe.phases[0], **changes),))
    with pytest.raises(UserError, match=what):
        with_augmentation(recipe, get_modality(modality))


def test_with_widths_takes_those_of_the_source_and_the_teachers():
    heads = (Head(name="old", like="source"), Head(name="hint", like="teacher.features"))
    source = SimpleNamespace(source_head=lambda: (np.zeros((4, 3)), np.zeros(3)))
    features = SimpleNamespace(tensor=lambda name: np.zeros((1, 5)))
    teachers = [SimpleNamespace(network=features)] * 2
    found = with_widths(Recipe(name="r", heads=heads), source, teachers)
    assert [head.units for head in found.heads] == [3, 10]
