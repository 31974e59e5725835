"""Networks that teach: runs, or backbones for their features alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tftransfer.backbones.backbone import Backbone
from tftransfer.backbones.load import load_backbone
from tftransfer.core.experiment import Experiment
from tftransfer.core.problem_types import ProblemType
from tftransfer.core.recipe import Head, Recipe
from tftransfer.core.run_files import is_run
from tftransfer.models.network import FEATURES, Network
from tftransfer.utils.errors import UserError
from tftransfer.workdir.trained_model import load_trained_model


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A network that teaches.

    Attributes:
      network: with a head `head` where it is a run's.
      classes: of that head; none for a backbone.
      columns: of that head, for the classes of the student.
    """

    network: Network
    classes: tuple[str, ...] = ()
    columns: tuple[int, ...] = ()


def load_teachers(
    recipe: Recipe, experiment: Experiment, classes: tuple[str, ...]
) -> tuple[Teacher, ...]:
    """The teachers of a recipe.

    Args:
      recipe: whose losses say what is asked of them.
      experiment: for `trust_code`.
      classes: of the student.

    Raises:
      UserError: no teacher, or one that cannot tell what is asked of it.
    """
    asked = {name for phase in recipe.phases for name in phase.tensors("teacher")}
    if asked and not recipe.teachers:
        raise UserError(
            f"The recipe {recipe.name} has no teacher.",
            f"Name a run or a backbone: --recipe={recipe.name}:teacher=runs/NAME.",
        )
    return tuple(_load(name, asked, experiment, classes) for name in recipe.teachers if asked)


def _load(name: str, asked: set[str], experiment: Experiment, classes: tuple[str, ...]) -> Teacher:
    if not is_run(name):
        if asked != {FEATURES}:
            raise UserError(
                f"The teacher {name} is no run, so it knows no classes, but its scores are asked "
                "for.",
                "Give a run that was trained on these classes, or a recipe that takes features.",
            )
        backbone = load_backbone(name, trust_code=experiment.trust_code)
        return Teacher(network=Network(backbone, (), units=0))
    restored = load_trained_model(name)
    if "logits" in asked and restored.problem_type is not ProblemType.SINGLE_LABEL:
        raise UserError(
            f"The teacher {name} knows no classes that exclude each other: its target is "
            f"{restored.problem_type}.",
            "Teach by features, which need no classes: --recipe=distill_features.",
        )
    unknown = [each for each in classes if each not in restored.classes]
    if unknown and "logits" in asked:
        raise UserError(
            f"The teacher {name} does not know these classes: {', '.join(unknown[:5])}.",
            "Teach by features, which need no common classes: --recipe=distill_features.",
        )
    columns = () if unknown else tuple(restored.classes.index(each) for each in classes)
    return Teacher(network=restored.network, classes=restored.classes, columns=columns)


def with_widths(recipe: Recipe, backbone: Backbone, teachers: tuple[Teacher, ...]) -> Recipe:
    """The recipe, its heads as wide as what they are like.

    Raises:
      UserError: the backbone has no head of its own, and one is asked for.
    """

    def sized(head: Head) -> Head:
        if head.like == "source":
            return replace(head, units=len(backbone.source_head()[1]))
        if head.like == "teacher.features":
            widths = [int(each.network.tensor(FEATURES).shape[-1]) for each in teachers]
            return replace(head, units=sum(widths))
        return head

    return replace(recipe, heads=tuple(map(sized, recipe.heads)))
