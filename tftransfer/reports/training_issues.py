"""Rules on the training of a run: what it reached, and what was trained."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tftransfer.backbones.listing import list_backbones
from tftransfer.core.experiment import Experiment
from tftransfer.core.run_files import PREDICTIONS
from tftransfer.reports.facts import Facts, Issue, chance
from tftransfer.utils.console import printable

# Photographs and their mirror images differ by less, where the classes are the same.
_MIRROR_DIFFERENCE = 0.2
# Difference of F1 from the mean over classes, from which a class is named.
_WEAK_CLASS_F1 = 0.05
# A guess is always right where the test split has one class: nothing could be better.
_PERFECT = 1
_USUAL_BACKBONE = Experiment.backbone


def mirrored_classes(facts: Facts) -> Iterator[Issue]:
    """Yields an issue if training mirrors images whose class depends on left and right.

    Args:
      facts: Facts whose result needs `baselines` only.
    """
    probe = facts.result.get("baselines", {}).get("linear_probe", {})
    if "mirrored" not in probe or "validation" not in probe:
        return
    own, mirrored, count = probe["validation"], probe["mirrored"], len(facts.examples.where("val"))
    if own - mirrored > max(_MIRROR_DIFFERENCE, chance(own, count) + chance(mirrored, count)):
        yield Issue(
            f"mirrored images have other labels: the linear probe has an accuracy of {own:.3f} on "
            f"the validation split and {mirrored:.3f} on its mirror images, and augmentation "
            "mirrors",
            facts.train_with_option("shift", "augment", "shift")
            or 'train with augment="shift" in the phases of the recipe',
        )


def worse_than_the_probe(facts: Facts) -> Iterator[Issue]:
    """A training that a linear probe on the source network beats."""
    probe = facts.result.get("baselines", {}).get("linear_probe", {}).get("validation")
    if probe is None or facts.recipe_name == "feature_extraction":
        return
    validation = facts.result.get("validation", {})
    reached = validation.get(facts.metric, -np.inf)
    count = len(facts.examples.where("val"))
    if probe > reached + chance(validation.get("accuracy", 0.5), count):
        yield Issue(
            f"the linear probe is better on the validation split ({probe:.3f}): the training "
            "damaged the features of the source",
            facts.commands.train("feature_extraction", recipe="feature_extraction"),
        )


def no_better_than_a_guess(facts: Facts) -> Iterator[Issue]:
    """A run no better than a constant."""
    if not facts.evaluated:
        return
    majority = facts.result.get("baselines", {}).get("majority", {}).get(facts.metric, -np.inf)
    if facts.result["test"][facts.metric] <= majority < _PERFECT:
        guess = "a guess" if facts.examples.problem_type.has_classes else "the mean"
        yield Issue(
            f"the run is no better than {guess}",
            f"check that the labels match the examples: {facts.commands.inspect()}",
        )


def validation_far_from_test(facts: Facts) -> Iterator[Issue]:
    """Validation and test examples that differ in kind."""
    result = facts.result
    validation = result.get("validation", {}).get("accuracy")
    if validation is None or result["split"] != "test" or "accuracy" not in result["test"]:
        return
    tested, count = result["test"]["accuracy"], len(facts.examples.where("val"))
    difference = np.hypot(chance(validation, count), chance(tested, result["examples"]))
    if abs(validation - tested) > difference:
        yield Issue(
            f"the accuracy is {validation:.3f} on the validation split and {tested:.3f} on the "
            "test split: they are not of the same kind",
            f"compare how both were collected, and look for groups: {facts.commands.inspect()}",
        )


def better_middle_stage(facts: Facts) -> Iterator[Issue]:
    """A stage whose features serve better than those of the last one."""
    probes = facts.result.get("layer_probes")
    if not probes:
        return
    values, backbone = probes["accuracy"], facts.result["backbone"]
    last = list(values.values())[-1]
    best = max(values, key=values.__getitem__)
    if values[best] - last > chance(last, probes["examples"]):
        yield Issue(
            f"a linear probe on {best} is better than on the last stage ({values[best]:.2f} and "
            f"{last:.2f}, cross-validated)",
            facts.commands.train(best, backbone=backbone_until(backbone, best)),
        )


def backbone_until(backbone: str, stage: str) -> str:
    """Returns the name of a backbone that ends at a stage.

    Example:
      >>> backbone_until("mobilenet_v2:alpha=0.35", "stage3")
      'mobilenet_v2:alpha=0.35,layer=stage3'
    """
    return f"{backbone}{',' if ':' in backbone else ':'}layer={stage}"


def weak_class(facts: Facts) -> Iterator[Issue]:
    """The class with the lowest F1."""
    rows = [row for row in facts.result.get("per_class", ()) if row.get("f1") is not None]
    if not facts.evaluated or not rows:
        return
    weakest = min(rows, key=lambda row: row["f1"])
    if weakest["f1"] < facts.result["test"].get("macro_f1", 0) - _WEAK_CLASS_F1:
        yield Issue(
            f"class {printable(weakest['class'])} has an F1 of {weakest['f1']:.2f}",
            f"look at the rows of the class in {facts.commands.workdir / PREDICTIONS}",
        )


def early_end(facts: Facts) -> Iterator[Issue]:
    """A training that was still improving at its last epoch."""
    phases = [phase for phase in facts.result.get("phases", ()) if phase.get("epochs")]
    if not phases or not len(facts.examples.where("val")):
        return
    last, epochs = phases[-1], sum(phase["epochs"] for phase in phases)
    if last["best_epoch"] == last["epochs"] > 1 and last["stopped"] == "all epochs done":
        yield Issue(
            f"the last of the {epochs} epochs was the best: more may be better",
            facts.commands.train("longer", epochs=2 * epochs),
        )


def nothing_transferred(facts: Facts) -> Iterator[Issue]:
    """A run that starts from random weights."""
    if facts.recipe_name == "scratch":
        yield Issue("nothing is transferred", _train_from_a_source(facts))


def _train_from_a_source(facts: Facts) -> str:
    """The command that trains a backbone with pretrained weights."""
    experiment, modality = facts.commands.experiment, facts.examples.modality
    changes: dict[str, object] = {"recipe": "fine_tune"}
    if experiment.weights == "none":
        changes["weights"] = "pretrained"
        if not _has_pretrained_weights(experiment.backbone_name, modality):
            if modality == "text":
                return "choose a backbone with weights: tftransfer list backbones"
            changes |= {"backbone": _USUAL_BACKBONE, "image_size": 0}
    return facts.commands.train("fine_tune", **changes)


def _has_pretrained_weights(backbone: str, modality: str) -> bool:
    name = backbone.partition(":")[0]
    # Sounds may have a backbone for images. Other modalities would import their packages.
    for searched in ("image", modality):
        for each in list_backbones(name, modality=searched):
            return bool(each.weights)
    return True


def only_the_head(facts: Facts) -> Iterator[Issue]:
    """A run that keeps all stages as they were."""
    if facts.recipe_name == "feature_extraction":
        yield Issue(
            "only the head was trained", facts.commands.train("fine_tune", recipe="fine_tune")
        )
