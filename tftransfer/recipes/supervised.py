"""Recipes that need labels alone: which blocks train, from where, and how long."""

from __future__ import annotations

from typing import Any

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.recipe import Head, Phase, Recipe
from tftransfer.losses import get, supervised
from tftransfer.recipes.registry import register_recipe


@register_recipe
def scratch(
    *,
    problem_type: ProblemType = ProblemType.SINGLE_LABEL,
    epochs: int = 30,
    learning_rate: float = 1e-3,
    label_smoothing: float = 0.1,
    class_weight: str = "none",
    augment: str = "auto",
    **phase: Any,
) -> Recipe:
    """Everything from random weights: the bar that a transfer must pass."""
    loss = supervised(problem_type, label_smoothing=label_smoothing, class_weight=class_weight)
    everything = {"stage*": 1.0, "head": 1.0}
    defaults = {"reset": tuple(everything), "batch_norm": "train", "patience": 0}
    only = Phase(
        name="scratch",
        train=everything,
        losses=(loss,),
        epochs=epochs,
        learning_rate=learning_rate,
        augment=augment,
        **{**defaults, **phase},
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
    **phase: Any,
) -> Recipe:
    """The linear probe: only the head learns, on features computed once."""
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
    augment: str = "auto",
    dropout: float = 0.0,
    extra_losses: tuple[Any, ...] = (),
    **phase: Any,
) -> Recipe:
    """First the head, then the head and the top stages at rates that fall with depth.

    Args:
      problem_type: what the labels are.
      stages: how many the backbone has; bounds `unfreeze`.
      unfreeze: how many stages train, from the top.
      decay: each stage's rate relative to the one above it; the top stage has the head's.
      epochs: of the second phase.
      head_epochs: of the first phase.
      learning_rate: peak, of the head and the top stage in the second phase.
      head_learning_rate: peak, of the first phase.
      label_smoothing: of both phases.
      class_weight: of both phases.
      augment: of both phases.
      dropout: before the head's output.
      extra_losses: added in the second phase.
      **phase: further fields of the second `Phase`.
    """
    loss = supervised(problem_type, label_smoothing=label_smoothing, class_weight=class_weight)
    depth = min(unfreeze, stages) if stages else unfreeze
    rates = {"head": 1.0, **{f"stage-{k}": decay ** (k - 1) for k in range(1, depth + 1)}}
    tune = Phase(
        name="tune",
        train=rates,
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
    augment: str = "auto",
    **phase: Any,
) -> Recipe:
    """The head, then one stage more in each phase, from the top (Howard & Ruder, 2018)."""
    loss = supervised(problem_type, label_smoothing=label_smoothing, class_weight=class_weight)
    depth = min(unfreeze, stages) if stages else unfreeze
    phases = [head_phase(loss, head_epochs, head_learning_rate, augment=augment)]
    for lowest in range(1, depth + 1):
        rates = {"head": 1.0, **{f"stage-{k}": decay ** (k - 1) for k in range(1, lowest + 1)}}
        phases.append(
            Phase(
                name=f"unfreeze{lowest}",
                train=rates,
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
    augment: str = "auto",
    **phase: Any,
) -> Recipe:
    """The first `keep` stages from the source, the rest new (Yosinski et al., 2014).

    Of the kept stages the first `frozen` stay as they are; the others train at `source_rate`.
    """
    keep, frozen = min(keep, stages), min(frozen, keep, stages)
    new = [f"stage{k}" for k in range(keep + 1, stages + 1)]
    rates = {f"stage{k}": source_rate for k in range(frozen + 1, keep + 1)}
    rates |= dict.fromkeys([*new, "head"], 1.0)
    loss = supervised(problem_type, label_smoothing=label_smoothing, class_weight=class_weight)
    only = Phase(
        name="deep_transfer",
        train=rates,
        losses=(loss,),
        epochs=epochs,
        learning_rate=learning_rate,
        augment=augment,
        **{"reset": (*new, "head"), "batch_norm": "train", **phase},
    )
    return Recipe(name="deep_transfer", phases=(only,))


def head_phase(loss: Any, epochs: int, learning_rate: float, **phase: Any) -> Phase:
    """A phase in which only the head learns."""
    return Phase(
        name="head",
        train={"head": 1.0},
        losses=(loss,),
        epochs=epochs,
        learning_rate=learning_rate,
        **phase,
    )
