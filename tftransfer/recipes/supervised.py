"""Recipes that need only labels: which blocks train, from which weights, and for how long."""

from __future__ import annotations

from typing import TypedDict, Unpack

from tftransfer.core.augmentation import Augment
from tftransfer.core.keras_config import OptimizerSpec, ScheduleSpec
from tftransfer.core.loss import Loss
from tftransfer.core.problem_types import ProblemType
from tftransfer.core.recipe import Head, Phase, Recipe
from tftransfer.losses import get, supervised
from tftransfer.recipes.registry import register_recipe


class PhaseOptions(TypedDict, total=False):
    """Fields of `Phase` that recipes pass on, as documented there."""

    optimizer: OptimizerSpec
    weight_decay: float
    schedule: ScheduleSpec
    warmup: float
    clip_norm: float
    batch_norm: str
    solve: str
    lora: int
    reference: str
    reweight: bool
    reset: tuple[str, ...]
    views: int | str
    mixup: float
    patience: int


class HeadPhaseOptions(PhaseOptions, total=False):
    """Fields of a `Phase` that trains only the head."""

    augment: Augment


@register_recipe
def scratch(
    *,
    problem_type: ProblemType = ProblemType.SINGLE_LABEL,
    epochs: int = 30,
    learning_rate: float = 1e-3,
    label_smoothing: float = 0.1,
    class_weight: str = "none",
    augment: Augment = "auto",
    **phase: Unpack[PhaseOptions],
) -> Recipe:
    """Trains the whole network from random weights: the baseline without transfer.

    Args:
      problem_type: Problem type of the labels, a `ProblemType`.
      epochs: Number of epochs.
      learning_rate: Peak learning rate.
      label_smoothing: Fraction of each label that is spread over all classes, 0 to 1.
      class_weight: `balanced` weights each class by its inverse frequency, `none` weights all
        examples the same.
      augment: Augmentation of the training examples, as `Phase.augment`.
      **phase: Further fields of the `Phase`.
    """
    loss = supervised(problem_type, label_smoothing=label_smoothing, class_weight=class_weight)
    everything = {"stage*": 1.0, "head": 1.0}
    options: PhaseOptions = {
        "reset": tuple(everything),
        "batch_norm": "train",
        "patience": 0,
        **phase,
    }
    only = Phase(
        name="scratch",
        train=everything,
        losses=(loss,),
        epochs=epochs,
        learning_rate=learning_rate,
        augment=augment,
        **options,
    )
    return Recipe(name="scratch", phases=(only,))


@register_recipe
def feature_extraction(
    *,
    problem_type: ProblemType = ProblemType.SINGLE_LABEL,
    epochs: int = 30,
    learning_rate: float = 3e-4,
    label_smoothing: float = 0.1,
    class_weight: str = "none",
    hidden: tuple[int, ...] = (),
    dropout: float = 0.3,
    **phase: Unpack[HeadPhaseOptions],
) -> Recipe:
    """Trains only the head, on cached features of the frozen backbone.

    Args:
      problem_type: Problem type of the labels, a `ProblemType`.
      epochs: Number of epochs.
      learning_rate: Peak learning rate.
      label_smoothing: Fraction of each label that is spread over all classes, 0 to 1.
      class_weight: `balanced` weights each class by its inverse frequency, `none` weights all
        examples the same.
      hidden: Widths of fully connected ReLU layers in the head; empty makes it linear.
      dropout: Fraction of the head's inputs that is dropped in training.
      **phase: Further fields of the `Phase`.
    """
    loss = supervised(problem_type, label_smoothing=label_smoothing, class_weight=class_weight)
    return Recipe(
        name="feature_extraction",
        heads=(Head(hidden=tuple(hidden), dropout=dropout),),
        phases=(head_phase(loss, epochs, learning_rate, **phase),),
    )


@register_recipe
def fine_tune(
    *,
    problem_type: ProblemType = ProblemType.SINGLE_LABEL,
    stages: int | None = None,
    unfreeze: int = 2,
    decay: float = 0.3,
    epochs: int = 10,
    head_epochs: int = 10,
    learning_rate: float = 3e-4,
    head_learning_rate: float = 1e-3,
    label_smoothing: float = 0.1,
    class_weight: str = "none",
    augment: Augment = "auto",
    dropout: float = 0.0,
    extra_losses: tuple[Loss, ...] = (),
    **phase: Unpack[PhaseOptions],
) -> Recipe:
    """Trains the head, then the head and the top stages at rates that decay with depth.

    Args:
      problem_type: Problem type of the labels, a `ProblemType`.
      stages: Number of stages of the backbone, the upper bound of `unfreeze`.
      unfreeze: Number of stages that train in the second phase, counted from the top.
      decay: Learning rate of a stage relative to the stage above it; the top stage has the head's.
      epochs: Number of epochs of the second phase.
      head_epochs: Number of epochs of the first phase.
      learning_rate: Peak learning rate of the head and the top stage in the second phase.
      head_learning_rate: Peak learning rate of the first phase.
      label_smoothing: Fraction of each label that is spread over all classes, 0 to 1.
      class_weight: `balanced` weights each class by its inverse frequency, `none` weights all
        examples the same.
      augment: Augmentation of the training examples in both phases, as `Phase.augment`.
      dropout: Fraction of the head's inputs that is dropped in training.
      extra_losses: Losses that are added in the second phase.
      **phase: Further fields of the second `Phase`.
    """
    loss = supervised(problem_type, label_smoothing=label_smoothing, class_weight=class_weight)
    tune = Phase(
        name="tune",
        train=_decayed_rates(min(unfreeze, stages) if stages else unfreeze, decay),
        losses=(loss, *map(get, extra_losses)),
        epochs=epochs,
        learning_rate=learning_rate,
        augment=augment,
        **phase,
    )
    head = head_phase(loss, head_epochs, head_learning_rate, augment=augment)
    return Recipe(name="fine_tune", heads=(Head(dropout=dropout),), phases=(head, tune))


@register_recipe
def gradual_unfreezing(
    *,
    problem_type: ProblemType = ProblemType.SINGLE_LABEL,
    stages: int | None = None,
    unfreeze: int = 3,
    decay: float = 0.3,
    epochs: int = 4,
    head_epochs: int = 10,
    learning_rate: float = 3e-4,
    head_learning_rate: float = 1e-3,
    label_smoothing: float = 0.1,
    class_weight: str = "none",
    augment: Augment = "auto",
    **phase: Unpack[PhaseOptions],
) -> Recipe:
    """Trains the head, then one more stage in each phase, from the top (Howard & Ruder, 2018).

    Args:
      problem_type: Problem type of the labels, a `ProblemType`.
      stages: Number of stages of the backbone, the upper bound of `unfreeze`.
      unfreeze: Number of stages that train in the last phase, and of phases after the first.
      decay: Learning rate of a stage relative to the stage above it; the top stage has the head's.
      epochs: Number of epochs of each phase after the first.
      head_epochs: Number of epochs of the first phase.
      learning_rate: Peak learning rate of the head and the top stage after the first phase.
      head_learning_rate: Peak learning rate of the first phase.
      label_smoothing: Fraction of each label that is spread over all classes, 0 to 1.
      class_weight: `balanced` weights each class by its inverse frequency, `none` weights all
        examples the same.
      augment: Augmentation of the training examples in all phases, as `Phase.augment`.
      **phase: Further fields of each `Phase` after the first.
    """
    loss = supervised(problem_type, label_smoothing=label_smoothing, class_weight=class_weight)
    phases = [head_phase(loss, head_epochs, head_learning_rate, augment=augment)]
    for depth in range(1, (min(unfreeze, stages) if stages else unfreeze) + 1):
        phases.append(
            Phase(
                name=f"unfreeze{depth}",
                train=_decayed_rates(depth, decay),
                losses=(loss,),
                epochs=epochs,
                learning_rate=learning_rate,
                augment=augment,
                **phase,
            )
        )
    return Recipe(name="gradual_unfreezing", phases=tuple(phases))


@register_recipe
def deep_transfer(
    *,
    problem_type: ProblemType = ProblemType.SINGLE_LABEL,
    stages: int = 5,
    keep: int = 3,
    frozen: int = 2,
    epochs: int = 20,
    learning_rate: float = 1e-3,
    source_rate: float = 0.1,
    label_smoothing: float = 0.1,
    class_weight: str = "none",
    augment: Augment = "auto",
    **phase: Unpack[PhaseOptions],
) -> Recipe:
    """Keeps the first stages of the source and trains new ones above (Yosinski et al., 2014).

    Args:
      problem_type: Problem type of the labels, a `ProblemType`.
      stages: Number of stages of the backbone.
      keep: Number of stages from the input that keep the source's weights; the others start from
        random weights.
      frozen: Number of kept stages from the input that do not train.
      epochs: Number of epochs.
      learning_rate: Peak learning rate of the new stages and the head.
      source_rate: Learning rate of the kept stages that train, relative to `learning_rate`.
      label_smoothing: Fraction of each label that is spread over all classes, 0 to 1.
      class_weight: `balanced` weights each class by its inverse frequency, `none` weights all
        examples the same.
      augment: Augmentation of the training examples, as `Phase.augment`.
      **phase: Further fields of the `Phase`.
    """
    keep, frozen = min(keep, stages), min(frozen, keep, stages)
    new = [f"stage{k}" for k in range(keep + 1, stages + 1)]
    rates = {f"stage{k}": source_rate for k in range(frozen + 1, keep + 1)}
    rates |= dict.fromkeys([*new, "head"], 1.0)
    loss = supervised(problem_type, label_smoothing=label_smoothing, class_weight=class_weight)
    options: PhaseOptions = {"reset": (*new, "head"), "batch_norm": "train", **phase}
    only = Phase(
        name="deep_transfer",
        train=rates,
        losses=(loss,),
        epochs=epochs,
        learning_rate=learning_rate,
        augment=augment,
        **options,
    )
    return Recipe(name="deep_transfer", phases=(only,))


def head_phase(
    loss: Loss, epochs: int, learning_rate: float, **phase: Unpack[HeadPhaseOptions]
) -> Phase:
    """Returns a phase that trains only the head.

    Args:
      loss: Loss of the labels.
      epochs: Number of epochs.
      learning_rate: Peak learning rate.
      **phase: Further fields of the `Phase`.
    """
    return Phase(
        name="head",
        train={"head": 1.0},
        losses=(loss,),
        epochs=epochs,
        learning_rate=learning_rate,
        **phase,
    )


def _decayed_rates(depth: int, decay: float) -> dict[str, float]:
    """Returns multipliers of the head and the top `depth` stages."""
    return {"head": 1.0, **{f"stage-{k}": decay ** (k - 1) for k in range(1, depth + 1)}}
