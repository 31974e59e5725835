"""The nouns as frozen dataclasses: Head, Loss, Phase, Recipe.

They are data: printable, comparable, and the same after a trip through JSON
(see `tftransfer.core.serialization`). Behaviour lives in the layers above.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from tftransfer.utils.errors import UserError, check_known, unknown_name

PROBLEM_TYPES = ("single_label", "multi_label", "regression", "multi_task")
# What a phase may read: see `tftransfer.training.streams`.
STREAMS = ("train", "target", "unlabelled", "view_a", "view_b", "weak", "strong")
# Of all kinds of input; which of them a kind has, its `Modality` says.
_AUGMENTS = ("auto", "none", "flip", "shift", "crop", "full", "mask", "drop", "strong", "noise")
_FROM_TOP = re.compile(r"stage-(\d+)")
_PATH = re.compile(rf"({'|'.join(STREAMS)})(\.\w+)+")


@dataclass(frozen=True, kw_only=True)
class Head:
    """A block hung on a tensor of the backbone.

    Attributes:
      name: the block's name, as phases speak of it.
      layer: the tensor it reads: `features` (pooled, [n, d]), a stage's name, an earlier head's
        output, `features*OUTPUT` (their products with the softmax of such an output), or
        `~OUTPUT` (a sample of the normal distribution whose means and logarithms of variances
        that output holds).
      output: the name of its output tensor, as losses speak of it.
      units: width of the output; 0 means one per class (or per target column).
      like: instead, `teacher.features`: as wide as these; or `source`: the head of the run that
        the backbone comes from goes on.
      kind: `dense`; `decoder`: a picture [n, size, size, 3] in -1 to 1; or `balance`: `units`
        trained numbers, the same for every example.
      normalize: divide what is read by its length.
      hidden: widths of fully connected ReLU layers before the output.
      dropout: fraction of the inputs dropped in training.
    """

    name: str = "head"
    layer: str = "features"
    output: str = "logits"
    units: int = 0
    like: str = ""
    kind: str = "dense"
    normalize: bool = False
    hidden: tuple[int, ...] = ()
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_known("kind", self.kind, ("dense", "decoder", "balance"), f"Head {self.name!r}")
        check_known("like", self.like, ("", "teacher.features", "source"), f"Head {self.name!r}")
        whole = all(isinstance(width, int) and width > 0 for width in self.hidden)
        if not 0 <= self.dropout < 1 or not whole:
            raise UserError(
                f"Head {self.name!r}: hidden={self.hidden}, dropout={self.dropout}.",
                "Give widths that are whole numbers, and a dropout from 0 to below 1.",
            )


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Base of the losses in `tftransfer.losses`.

    Attributes:
      weight: factor of this loss in the sum that is minimised.
      ramp: where above 0, the factor rises from 0 by 2 / (1 + exp(-ramp p)) - 1, p from 0 to 1
        over the phase (Ganin & Lempitsky, 2015, with 10).
    """

    weight: float = 1.0
    ramp: float = 0.0

    def paths(self) -> tuple[str, ...]:
        """The tensors that it reads by path."""
        values = (getattr(self, field.name) for field in fields(self))
        return tuple(v for v in values if isinstance(v, str) and _PATH.fullmatch(v))

    def softmaxed(self) -> tuple[str, ...]:
        """Paths of scores that it takes for those of classes that exclude each other."""
        return ()

    def __call__(self, tensors: Any) -> Any:
        """The loss of one step as a scalar, without `weight`, which the trainer applies."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Phase:
    """What trains, at which rate, on which losses, for how long.

    Attributes:
      name: the phase's name in plans, metrics and pictures.
      train: block name or pattern to learning-rate multiplier. A block that is
        not named is frozen. `stage-1` is the last stage, `stage-2` the one
        before it; `stage*` and other shell patterns work too.
      losses: what is minimised, as a weighted sum.
      epochs: passes over the training examples, at most.
      learning_rate: peak rate of a block whose multiplier is 1.
      optimizer: a Keras optimizer by its name, in any case: adamw, sgd, ...
      weight_decay: decoupled weight decay, for optimizers that have it.
      schedule: `cosine` (to zero), `linear` (to zero), `constant`, or `plateau` (a third of the
        rate after each three epochs without a better validation figure), after the warm-up.
      warmup: fraction of the steps in which the rate rises linearly from zero.
      clip_norm: bound on the global norm of the gradients; 0 turns it off.
      batch_norm: `frozen` keeps batch-normalisation layers of trained stages
        as they came (statistics, scale and shift); `train` trains them; `adapt` measures their
        statistics anew on the target stream, and nothing else changes (AdaBN, Li et al., 2017).
      solve: instead of steps, the head is solved on the frozen features: `prototypes`, `ridge`,
        `logistic` or `cosine`; or `interpolate`, the best mean of the weights before and after.
      lora: rank of the low-rank updates that train instead of the stages' kernels (Hu et al.,
        2022); 0 trains the kernels.
      reference: what the losses' `reference` is: the network at the start of the `run`, of the
        `phase`, or of the one `before` it.
      reweight: training pictures count as much as they are like the target's, by the ratio of
        densities that a discriminator on the source's features gives.
      reset: blocks (names or patterns) given new random weights at the start.
      augment: what training examples undergo: `none`, `strong` or `noise`; of pictures also
        `flip`, `shift`, `crop` or `full`; `auto` is the default of their kind.
      views: stored variants of each picture where the prefix is frozen; 0 lets
        the planner choose, and -1 streams fresh augmentation every epoch.
      mixup: parameter of mixup's Beta distribution (Zhang et al., 2018); 0 turns it off.
      patience: epochs (and at least 100 steps) without a better validation figure
        before stopping; 0 turns it off.
    """

    name: str
    train: Mapping[str, float]
    losses: tuple[Loss, ...]
    epochs: int = 10
    learning_rate: float = 1e-3
    optimizer: str = "adamw"
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    warmup: float = 0.1
    clip_norm: float = 1.0
    batch_norm: str = "frozen"
    solve: str = ""
    lora: int = 0
    reference: str = "run"
    reweight: bool = False
    reset: tuple[str, ...] = ()
    augment: str = "auto"
    views: int = 0
    mixup: float = 0.0
    patience: int = 5

    def __post_init__(self) -> None:
        object.__setattr__(self, "train", dict(self.train))
        check_known(
            "batch_norm", self.batch_norm, ("frozen", "train", "adapt"), f"Phase {self.name!r}"
        )
        check_known("reference", self.reference, ("run", "phase", "before"), f"Phase {self.name!r}")
        schedules = ("cosine", "linear", "constant", "plateau")
        check_known("schedule", self.schedule, schedules, f"Phase {self.name!r}")
        check_known("augment", self.augment, _AUGMENTS, f"Phase {self.name!r}")
        if self.epochs < 1 or not 0 < self.learning_rate < 100:
            raise UserError(
                f"Phase {self.name!r}: epochs={self.epochs}, learning_rate={self.learning_rate}.",
                "Give at least one epoch and a rate above 0 and below 100.",
            )
        bounds = (("lora", 0, 10**4), ("warmup", 0, 1), ("mixup", 0, 100), ("patience", 0, 10**9))
        for name, low, high in bounds:
            if not low <= getattr(self, name) <= high:
                raise UserError(
                    f"Phase {self.name!r}: {name}={getattr(self, name)}.", f"Give {low} to {high}."
                )
        if min(self.train.values(), default=0) < 0:
            raise UserError(f"Phase {self.name!r} has a rate below 0.", "Give 0 or more.")

    @property
    def has_steps(self) -> bool:
        """Whether it trains by steps, over epochs; what is solved or measured has none."""
        return not self.solve and self.batch_norm != "adapt"

    @property
    def of_labels(self) -> tuple[Loss, ...]:
        """The losses that read labels."""
        return tuple(loss for loss in self.losses if "train.label" in loss.paths())

    @property
    def learns_labels(self) -> bool:
        """Whether it trains on labels, by steps."""
        return bool(self.of_labels)

    @property
    def adapts(self) -> bool:
        """Whether it looks at pictures of the target domain."""
        return self.batch_norm == "adapt" or self.reweight or "target" in self.streams

    @property
    def leaves_source(self) -> bool:
        """Whether it makes of the network one for the target domain alone."""
        alone = "target" in self.streams and not self.learns_labels
        return self.batch_norm == "adapt" or alone

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams that the losses' paths name, in the order of `STREAMS`."""
        named = {path.split(".")[0] for loss in self.losses for path in loss.paths()}
        return tuple(stream for stream in STREAMS if stream in named)

    def tensors(self, source: str = "") -> tuple[str, ...]:
        """Names of tensors that the losses read: the network's, or `reference`'s or `teacher`'s."""
        found = (path.split(".")[1:] for loss in self.losses for path in loss.paths())
        wanted = [name for *origin, name in found if origin == ([source] if source else [])]
        return tuple(dict.fromkeys(wanted))

    def rates(self, blocks: Sequence[str]) -> dict[str, float]:
        """The multiplier of every block, 0 for the frozen ones; a later pattern wins."""
        rates = dict.fromkeys(blocks, 0.0)
        for pattern, rate in self.train.items():
            for block in match_blocks(pattern, blocks):
                rates[block] = float(rate)
        return rates


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Heads and phases: one way of transferring, as data.

    Attributes:
      teachers: runs, or for features backbones, whose outputs losses read as
        `STREAM.teacher.NAME`.
    """

    name: str
    phases: tuple[Phase, ...] = ()
    heads: tuple[Head, ...] = (Head(),)
    teachers: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"recipe {self.name}"]
        for number, phase in enumerate(self.phases, 1):
            lines.extend(_describe_phase(number, phase))
        return "\n".join(lines)


def match_blocks(pattern: str, blocks: Sequence[str]) -> list[str]:
    """The blocks that a name, a `stage-K` or a shell pattern means; none is an error."""
    from_top = _FROM_TOP.fullmatch(pattern)
    if from_top:
        stages = [block for block in blocks if re.fullmatch(r"stage\d+", block)]
        position = len(stages) - int(from_top[1])
        found = [stages[position]] if 0 <= position < len(stages) else []
    else:
        found = [block for block in blocks if fnmatch.fnmatchcase(block, pattern)]
    if not found:
        raise unknown_name("block", pattern, blocks)
    return found


def _describe_phase(number: int, phase: Phase) -> list[str]:
    rates = ", ".join(f"{block} ×{rate:g}" for block, rate in phase.train.items())
    losses = " + ".join(
        (f"{loss.weight:g} " if loss.weight != 1 else "") + type(loss).__name__
        for loss in phase.losses
    )
    lines = [
        f"  {number}. {phase.name}: trains {rates or 'nothing'}; all else is frozen",
        f"     {phase.optimizer}, peak rate {phase.learning_rate:g}, {phase.schedule}, "
        f"up to {phase.epochs} epochs; augment {phase.augment}; "
        f"BatchNorm {phase.batch_norm}",
        f"     minimises {losses}",
    ]
    if phase.reset:
        lines.append(f"     starts {', '.join(phase.reset)} from random weights")
    return lines
