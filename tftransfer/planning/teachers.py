"""Teachers of a recipe: runs, or backbones for their features only."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from tftransfer.backbones.load import load_backbone
from tftransfer.core.problem_types import ProblemType
from tftransfer.core.recipe import Recipe
from tftransfer.core.run_files import is_run
from tftransfer.models.network import FEATURES, Network
from tftransfer.utils.errors import UserError
from tftransfer.workdir.trained_model import load_trained_model


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A trained network whose outputs a student learns.

    Attributes:
      network: The network; a run's has a head `head`.
      classes: Classes of that head; empty for a backbone.
      columns: Column of that head's scores for each class of the student.
    """

    network: Network
    classes: tuple[str, ...] = ()
    columns: tuple[int, ...] = ()


def load_teachers(
    recipe: Recipe, classes: Sequence[str], *, trust_code: bool = False
) -> tuple[Teacher, ...]:
    """Loads the teachers of a recipe.

    Args:
      recipe: The recipe, whose losses name the outputs of teachers.
      classes: Classes of the student.
      trust_code: Whether a teacher may be a TF-Hub module, which is code.

    Raises:
      UserError: The recipe has no teacher, or one without an output that a loss reads.
    """
    outputs = {name for phase in recipe.phases for name in phase.tensors("teacher")}
    if outputs and not recipe.teachers:
        raise UserError(
            f"The recipe {recipe.name} has no teacher.",
            f"Give a run or a backbone: --recipe={recipe.name}:teacher=runs/NAME.",
        )
    if not outputs:
        return ()
    return tuple(
        _run_teacher(name, outputs, classes)
        if is_run(name)
        else _backbone_teacher(name, outputs, trust_code=trust_code)
        for name in recipe.teachers
    )


def _backbone_teacher(name: str, outputs: set[str], *, trust_code: bool) -> Teacher:
    if outputs != {FEATURES}:
        raise UserError(
            f"The teacher {name} is not a run, so it has no classes, but a loss reads its scores.",
            f"Give a run that was trained on these classes, or use {_features_of(name)}",
        )
    backbone = load_backbone(name, trust_code=trust_code)
    return Teacher(network=Network(backbone, (), units=0))


def _run_teacher(name: str, outputs: set[str], classes: Sequence[str]) -> Teacher:
    run = load_trained_model(name)
    if "logits" in outputs and run.problem_type is not ProblemType.SINGLE_LABEL:
        raise UserError(
            f"The scores of the teacher {name} are not of one class per example: its problem type "
            f"is {run.problem_type}.",
            f"Learn its features, which need no classes: {_features_of(name)}",
        )
    unknown = [each for each in classes if each not in run.classes]
    if unknown and "logits" in outputs:
        raise UserError(
            f"The teacher {name} does not have these classes: {', '.join(unknown[:5])}.",
            f"Learn its features, which need no common classes: {_features_of(name)}",
        )
    columns = () if unknown else tuple(run.classes.index(each) for each in classes)
    return Teacher(network=run.network, classes=run.classes, columns=columns)


def _features_of(teacher: str) -> str:
    """The flag of the recipe that learns the features of a teacher."""
    return f"--recipe={shlex.quote(f'distill_features:teacher={teacher}')}"
