"""Head, Phase and Recipe as frozen dataclasses.

They are plain data: printable, comparable, and unchanged by a conversion to JSON and back (see
`tftransfer.core.serialization`). The other modules of the package give them their behavior.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tftransfer.core.augmentation import Augment, as_augmentation
from tftransfer.core.block_patterns import match_blocks
from tftransfer.core.keras_config import (
    KerasConfig,
    OptimizerSpec,
    ScheduleSpec,
    fields_of_optimizer,
)
from tftransfer.core.loss import STREAMS, Loss
from tftransfer.utils.errors import UserError, check_known

# Augmentations of all modalities; a `Modality` lists those that apply to it.
_AUGMENTS = ("auto", "none", "flip", "shift", "crop", "full", "mask", "drop", "strong", "noise")
_SCHEDULES = ("cosine", "linear", "constant", "plateau")
_MAX_LEARNING_RATE = 100
_RANGES = {
    "lora": (0, 10_000),
    "warmup": (0, 1),
    "mixup": (0, 100),
    "patience": (0, 1_000_000_000),
}


@dataclass(frozen=True, kw_only=True)
class Head:
    """A block on top of a tensor of the backbone.

    Attributes:
      name: Name of the block, by which phases refer to it.
      layer: Tensor that the head reads: `features` (pooled, [n, d]), the name of a stage, the
        output of an earlier head, `features*OUTPUT` (the outer product of the features and the
        softmax of an output), or `~OUTPUT` (a sample of the normal distribution whose means and
        log variances are in an output).
      output: Name of the output tensor, by which losses refer to it.
      units: Width of the output; 0 for one unit per class or column of labels.
      like: Source of the width instead of `units`: `teacher.features`, or `source` for the head of
        the run that is the backbone, whose weights are continued.
      kind: `dense`; `decoder` for an image [n, size, size, 3] from -1 to 1; or `balance` for
        `units` trained numbers that are the same for every example.
      normalize: Whether the input is divided by its Euclidean norm.
      hidden: Widths of dense layers with ReLU before the output.
      dropout: Fraction of the input units dropped in training, below 1.

    Raises:
      UserError: If a value is impossible.

    Example:
      >>> import tftransfer
      >>> tftransfer.Head(hidden=(128,), dropout=0.2).layer
      'features'
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
        if not all(isinstance(width, int) and width > 0 for width in self.hidden):
            raise UserError(
                f"Head {self.name!r}: hidden={self.hidden}.", "Set whole numbers above 0 as widths."
            )
        if not 0 <= self.dropout < 1:
            raise UserError(
                f"Head {self.name!r}: dropout={self.dropout}.",
                "Set dropout to 0 or more and below 1.",
            )


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A part of a training: the blocks that train, their learning rates, losses and duration.

    Attributes:
      name: Name of the phase in plans, metrics and plots.
      train: Multipliers of the learning rate by block. Blocks are names or shell patterns such as
        `stage*`; `stage-1` is the last stage, `stage-2` the one before it. Other blocks are frozen.
      losses: Losses whose weighted sum is minimized.
      epochs: Maximum number of passes over the training examples.
      learning_rate: Peak learning rate of a block whose multiplier is 1.
      optimizer: Name of a Keras optimizer in any case, such as `adamw` or `sgd`. Or an optimizer,
        such as `keras.optimizers.SGD(0.1)`: a new one of its configuration is made, and its
        learning rate, weight decay and clipping replace those of the phase, without warm-up.
      weight_decay: Decoupled weight decay, for optimizers that support it.
      schedule: Learning rate after the warm-up: `cosine` or `linear` (both to zero), `constant`, or
        `plateau` (a third after every three epochs without a better validation metric). Or a
        schedule of Keras, such as `keras.optimizers.schedules.CosineDecay(0.1, 1000)`, a function
        of the steps of the phase, which replaces the learning rate and the warm-up.
      warmup: Fraction of the steps during which the learning rate rises linearly from zero.
      clip_norm: Maximum global norm of the gradients; 0 turns clipping off.
      batch_norm: Batch normalization in the trained stages: `frozen` keeps its statistics, scale
        and shift; `train` trains them; `adapt` only measures the statistics of the target data,
        and nothing else is trained (AdaBN, Li et al., 2017).
      solve: Closed form for the head on frozen features, in place of training steps: `prototypes`,
        `ridge`, `logistic` or `cosine`; or `interpolate` for the best mean of the weights before
        and after the earlier phases.
      lora: Rank of the low-rank updates that train in place of the stages' kernels (Hu et al.,
        2022); 0 trains the kernels.
      reference: Network that losses read as `reference`: that at the start of the `run`, at the
        start of this `phase`, or at the start of the phase `before` it.
      reweight: Whether training examples are weighted by their similarity to the target data, the
        density ratio of a domain discriminator on the frozen features.
      reset: Names or patterns of blocks that get new random weights at the start.
      augment: Augmentation of the training examples: `none`, `strong` or `noise`; also `flip`,
        `shift`, `crop` or `full` for images, `shift`, `mask` or `full` for audio, and `drop` for
        texts. `auto` chooses by the modality. Or a Keras layer or `Sequential`, a function of a
        batch (images [n, h, w, 3] from 0 to 255) that is registered with Keras, or several of
        these. Layers get seeds, so that a resumed run is exact; a random function must have a
        parameter `seed` for that.
      views: Number of augmented views of each training example whose features are cached; `auto`
        lets the planner choose, `fresh` augments again in every epoch and caches nothing.
      mixup: Parameter of mixup's beta distribution (Zhang et al., 2018); 0 turns mixup off.
      patience: Number of epochs, and of at least 100 steps, without a better validation metric
        before the phase stops early; 0 turns early stopping off.

    Raises:
      UserError: If a value is impossible.

    Example:
      >>> import tftransfer
      >>> phase = tftransfer.Phase(
      ...     name="tune",
      ...     train={"head": 1.0, "stage-1": 0.3},
      ...     losses=(tftransfer.losses.CrossEntropy(),),
      ... )
      >>> phase.rates(["stage1", "stage2", "head"])
      {'stage1': 0.0, 'stage2': 0.3, 'head': 1.0}
    """

    name: str
    train: Mapping[str, float]
    losses: tuple[Loss, ...]
    epochs: int = 10
    learning_rate: float = 1e-3
    optimizer: OptimizerSpec = "adamw"
    weight_decay: float = 1e-4
    schedule: ScheduleSpec = "cosine"
    warmup: float = 0.1
    clip_norm: float = 1.0
    batch_norm: str = "frozen"
    solve: str = ""
    lora: int = 0
    reference: str = "run"
    reweight: bool = False
    reset: tuple[str, ...] = ()
    augment: Augment = "auto"
    views: int | str = "auto"
    mixup: float = 0.0
    patience: int = 5

    def __post_init__(self) -> None:
        object.__setattr__(self, "train", dict(self.train))
        object.__setattr__(self, "views", _views(self.views, self.name))
        check_known(
            "batch_norm", self.batch_norm, ("frozen", "train", "adapt"), f"Phase {self.name!r}"
        )
        check_known("reference", self.reference, ("run", "phase", "before"), f"Phase {self.name!r}")
        owner = f"Phase {self.name!r}"
        resolved = fields_of_optimizer(self.optimizer, self.schedule, owner)
        for name, value in resolved.items():
            object.__setattr__(self, name, value)
        if isinstance(self.schedule, str):
            check_known("schedule", self.schedule, _SCHEDULES, owner)
        augment = as_augmentation(self.augment, f"Phase {self.name!r}")
        if isinstance(augment, str):
            check_known("augment", augment, _AUGMENTS, f"Phase {self.name!r}")
        object.__setattr__(self, "augment", augment)
        if self.epochs < 1:
            raise UserError(f"Phase {self.name!r}: epochs={self.epochs}.", "Set 1 or more.")
        if not 0 < self.learning_rate < _MAX_LEARNING_RATE:
            raise UserError(
                f"Phase {self.name!r}: learning_rate={self.learning_rate}.",
                f"Set a learning rate above 0 and below {_MAX_LEARNING_RATE}.",
            )
        for name, (low, high) in _RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise UserError(
                    f"Phase {self.name!r}: {name}={getattr(self, name)}.",
                    f"Set {name} to a value from {low} to {high:,}.",
                )
        for block, rate in self.train.items():
            if rate < 0:
                raise UserError(
                    f"Phase {self.name!r}: the learning-rate multiplier of {block} is {rate}.",
                    "Set 0 or more.",
                )

    @property
    def optimizer_summary(self) -> str:
        """The optimizer, the learning rate and its schedule in words."""
        if isinstance(self.schedule, KerasConfig) or isinstance(self.optimizer, KerasConfig):
            return f"{self.optimizer}, {self.schedule}"
        return f"{self.optimizer}, peak learning rate {self.learning_rate:g}, {self.schedule}"

    @property
    def has_steps(self) -> bool:
        """Whether the phase has training steps, unlike closed forms and AdaBN."""
        return not self.solve and self.batch_norm != "adapt"

    @property
    def supervised_losses(self) -> tuple[Loss, ...]:
        """The losses that read labels."""
        return tuple(loss for loss in self.losses if "train.label" in loss.paths())

    @property
    def is_supervised(self) -> bool:
        """Whether the phase has losses that read labels."""
        return bool(self.supervised_losses)

    @property
    def adapts(self) -> bool:
        """Whether the phase reads data of the target domain."""
        return self.batch_norm == "adapt" or self.reweight or "target" in self.streams

    @property
    def serves_target_only(self) -> bool:
        """Whether the network is meant for the target domain only after the phase."""
        alone = "target" in self.streams and not self.is_supervised
        return self.batch_norm == "adapt" or alone

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams that the losses read, in the order of `STREAMS`."""
        named = {path.split(".")[0] for loss in self.losses for path in loss.paths()}
        return tuple(stream for stream in STREAMS if stream in named)

    def tensors(self, source: str = "") -> tuple[str, ...]:
        """Returns the names of the tensors that the losses read.

        Args:
          source: Origin of the tensors: "" for the trained network, `reference` or `teacher`.
        """
        found = (path.split(".")[1:] for loss in self.losses for path in loss.paths())
        wanted = [name for *origin, name in found if origin == ([source] if source else [])]
        return tuple(dict.fromkeys(wanted))

    def rates(self, blocks: Sequence[str]) -> dict[str, float]:
        """Returns the learning-rate multiplier of every block, 0 for frozen ones.

        If several entries of `train` match a block, the last one applies.
        """
        rates = dict.fromkeys(blocks, 0.0)
        for pattern, rate in self.train.items():
            for block in match_blocks(pattern, blocks):
                rates[block] = float(rate)
        return rates


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A way to transfer: the heads of the network and the phases of its training.

    Attributes:
      name: Name of the recipe.
      phases: Phases in the order in which they run.
      heads: Heads of the network.
      teachers: Runs, or backbones if only their features are read, whose outputs losses read as
        `STREAM.teacher.NAME`.

    Example:
      >>> import tftransfer
      >>> probe = tftransfer.Phase(
      ...     name="head", train={"head": 1.0}, losses=(tftransfer.losses.CrossEntropy(),), epochs=3
      ... )
      >>> print(tftransfer.Recipe(name="linear_probe", phases=(probe,)))
      recipe linear_probe
        1. head: trains head ×1; other blocks are frozen
           adamw, peak learning rate 0.001, cosine, up to 3 epochs; augment auto; batch_norm frozen
           minimizes CrossEntropy
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


def _views(views: int | str, phase: str) -> int | str:
    """Returns `auto`, `fresh` or a number of views, which a flag gives as text."""
    number = int(views) if isinstance(views, str) and views.isdecimal() else views
    positive = isinstance(number, int) and not isinstance(number, bool) and number > 0
    if not positive and number not in ("auto", "fresh"):
        raise UserError(
            f"Phase {phase!r}: views={views}.",
            "Set auto, fresh or a whole number above 0.",
        )
    return number


def _describe_phase(number: int, phase: Phase) -> list[str]:
    rates = ", ".join(f"{block} ×{rate:g}" for block, rate in phase.train.items())
    losses = " + ".join(
        (f"{loss.weight:g} " if loss.weight != 1 else "") + loss.class_name for loss in phase.losses
    )
    lines = [
        f"  {number}. {phase.name}: trains {rates or 'nothing'}; other blocks are frozen",
        f"     {phase.optimizer_summary}, up to {phase.epochs} epochs; augment {phase.augment}; "
        f"batch_norm {phase.batch_norm}",
        f"     minimizes {losses}",
    ]
    if phase.reset:
        lines.append(f"     initializes {', '.join(phase.reset)} with random weights")
    return lines
