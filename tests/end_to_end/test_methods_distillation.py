"""Students learn from teachers: runs by their scores, backbones by their features."""

import functools
from types import SimpleNamespace

import numpy as np
import pytest
from digit_runs import TUNED, UNSEEN, WHOLE, check_error, digits_of, divergence, losses, outputs

import tftransfer
from tftransfer.core.problem_types import ProblemType
from tftransfer.features.extractor import FeatureExtractor
from tftransfer.planning import teachers
from tftransfer.recipes import make_recipe
from tftransfer.training.teacher_outputs import TeacherOutputs

STUDENT = WHOLE.format("train", 30)


@pytest.fixture(scope="module")
def student_run(train_recipe):
    settings = {"unlabelled_data": UNSEEN[0], "labels_per_class": 4}
    return functools.cache(functools.partial(train_recipe, **settings))


def disagreement(teacher, run):
    images = digits_of(range(5, 10), 120, 170)[0]
    return divergence(outputs(teacher, images)["logits"], outputs(run, images)["logits"])


@pytest.mark.slow
def test_distill_student_agrees_with_its_teacher(student_run, digit_teacher):
    alone = disagreement(digit_teacher, student_run(STUDENT))
    options = f"unlabelled=1,teacher={digit_teacher.workdir}"
    taught = disagreement(digit_teacher, student_run(f"{STUDENT}+distill:{options}"))
    assert taught < 0.9 * alone


def test_distill_computes_each_view_of_a_teacher_once(train_recipe, digit_teacher, monkeypatch):
    views, real = [], TeacherOutputs._of_view
    monkeypatch.setattr(
        TeacherOutputs, "_of_view", lambda *args: views.append(args[3]) or real(*args)
    )
    filled, fill = [], FeatureExtractor.fill

    def counted(self, key, indices):
        of_teacher = {phase.boundary for phase in self._phases} == {"features"}
        if of_teacher and not self.store.has(key, indices):
            filled.append(key)
        fill(self, key, indices)

    monkeypatch.setattr(FeatureExtractor, "fill", counted)
    recipe = "fine_tune:unfreeze=1,head_epochs=1,epochs=6,augment=shift,views=2"
    train_recipe(f"{recipe}+distill:teacher={digit_teacher.workdir}")
    assert views == [0, 1]
    found = [(key.view.number, key.view.augment) for key in filled]
    assert found == [(0, "none"), (1, "shift")]


def test_load_teachers_selects_the_students_classes_of_a_run(monkeypatch):
    run = SimpleNamespace(
        classes=("d", "a", "c", "b"),
        network="its network",
        problem_type=ProblemType.SINGLE_LABEL,
    )
    monkeypatch.setattr(teachers, "load_trained_model", lambda name: run)
    monkeypatch.setattr(teachers, "is_run", lambda path: True)
    recipe = make_recipe("fine_tune+distill:teacher=x")
    (found,) = teachers.load_teachers(recipe, ("a", "b", "d"))
    assert found.columns == (1, 3, 0)
    with pytest.raises(tftransfer.UserError, match="does not have these classes: e"):
        teachers.load_teachers(recipe, ("a", "e"))
    run.problem_type = ProblemType.MULTI_LABEL
    with pytest.raises(tftransfer.UserError, match="its problem type is multi_label"):
        teachers.load_teachers(recipe, ("a", "b"))


def test_distill_from_a_teacher_of_other_classes_is_an_error(train_recipe, source_run):
    recipe = f"distill:teacher={source_run.workdir}"
    check_error(train_recipe, "does not have these classes: 5, 6", recipe)
    with pytest.raises(tftransfer.UserError) as caught:
        train_recipe(recipe)
    _, _, features = caught.value.remedy.partition("--recipe=")
    assert train_recipe(features, epochs=1).result["recipe"] == "distill_features"
    check_error(train_recipe, "has no teacher", "distill")


def test_distill_features_learns_from_backbones(train_recipe, monkeypatch):
    """The features of two backbones are concatenated."""
    real = teachers.load_backbone
    monkeypatch.setattr(
        teachers, "load_backbone", lambda name, **options: real(name, weights="none", **options)
    )
    names = "small_cnn:width=4|small_cnn:width=8"
    check_error(train_recipe, "is not a run", f"distill:teacher={names}")
    run = train_recipe(f"{TUNED}+distill_features:teacher={names}")
    (head,) = [head for head in run.experiment.recipe.heads if head.name == "hint"]
    assert head.units == 4 * 4 + 8 * 4
    curve = losses(run, "deep_transfer")
    assert curve[-1] < 0.8 * curve[0]


def test_distill_from_several_teachers_averages_their_probabilities(
    train_recipe, recipe_run, digit_teacher
):
    second, found, real = recipe_run(TUNED), [], TeacherOutputs._of_view

    def recorded(self, *args):
        found.append(real(self, *args))
        return found[-1]

    names = f"{digit_teacher.workdir}|{second.workdir}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TeacherOutputs, "_of_view", recorded)
        train_recipe(f"{WHOLE.format('frozen', 1)}+distill:teacher={names}")
    assert np.exp(found[0]).sum(axis=1) == pytest.approx(1, abs=1e-4)
