"""The `Plan`: an experiment with every open setting chosen, ready to print and to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

from tftransfer.core.experiment import Experiment
from tftransfer.core.recipe import Phase, Recipe
from tftransfer.data.examples import SPLITS, UNLABELLED, Examples
from tftransfer.data.stream_specs import split_of_stream
from tftransfer.data.understanding import understood
from tftransfer.features.disk_cache import FeatureCache
from tftransfer.features.shared_cache import SharedCaches
from tftransfer.models.network import FEATURES, INPUT, Network
from tftransfer.planning.auto_settings import AutoSetting
from tftransfer.planning.phase_plan import PhasePlan
from tftransfer.planning.teachers import Teacher
from tftransfer.utils.tabular import Row, Tabular, html_table
from tftransfer.utils.timing import Clock

_COLUMN = 12
_STEPLESS = {
    "solve": "solves for the head on frozen features",
    "interpolate": "averages the weights before and after the last phase, by validation",
    "adapt": "measures BatchNorm's statistics on the target examples",
}


class CachedFeatures(TypedDict):
    """What a phase caches, as JSON.

    Attributes:
      boundary: Name of the tensor where the frozen layers end.
      cached_views: Number of cached views; None where every epoch has fresh ones.
    """

    boundary: str
    cached_views: int | None


@dataclass(frozen=True, kw_only=True)
class Plan(Tabular):
    """All that a training needs, checked; printing it shows the phases and the settings.

    Its rows (`to_frame`, `to_csv`, `to_latex`) are the blocks of the network: parameters, and the
    multiplier of the learning rate in each phase, 0 for a frozen block.

    Attributes:
      experiment: The experiment, with the resolved recipe, precision and input size.
      recipe: The resolved recipe.
      given_recipe: The recipe as text, with the options that were given; only its name if it was
        not given by name.
      examples: The examples, already split.
      network: Backbone and heads, with their initial weights.
      phases: The phases as they will run.
      teachers: Teachers of the recipe.
      batch_size: Number of examples per step.
      xla: Whether XLA compiles the training steps.
      auto_settings: Settings that the plan chose, with their reasons.
      warnings: Conversions and irregularities of data, backbone and settings, in words.
      cache: Cache of features on disk; None keeps them in memory.
      clock: Clock that counts the seconds of the run.
      shared: Caches that runs on the same examples share.

    Example:
      >>> from sklearn.datasets import load_digits
      >>> import tftransfer
      >>> digits = load_digits()
      >>> experiment = tftransfer.Experiment(
      ...     data=(digits.images[:200] / 16, digits.target[:200]), backbone="small_cnn",
      ...     weights="none", recipe="feature_extraction",
      ... )
      >>> plan = tftransfer.plan(experiment)
      >>> print(plan.to_latex().splitlines()[2])
      block & parameters & head \\\\
    """

    experiment: Experiment
    recipe: Recipe
    given_recipe: str
    examples: Examples
    network: Network
    phases: tuple[PhasePlan, ...]
    teachers: tuple[Teacher, ...] = ()
    batch_size: int
    xla: bool
    auto_settings: tuple[AutoSetting, ...] = ()
    warnings: tuple[str, ...] = ()
    cache: FeatureCache | None
    clock: Clock
    shared: SharedCaches

    @property
    def cached_features(self) -> list[CachedFeatures]:
        """Boundary and number of cached views of each phase, as a run keeps them."""
        return [{"boundary": p.boundary, "cached_views": p.views.cached} for p in self.phases]

    def with_cached_features(self, stored: Sequence[CachedFeatures]) -> Plan:
        """Returns the plan with the cached features of the run's start.

        A resumed run would otherwise choose by the memory that is free now.

        Args:
          stored: Value of `cached_features` when the run started.
        """
        phases = [
            replace(
                planned,
                boundary=each["boundary"],
                views=replace(planned.views, cached=each["cached_views"]),
            )
            for planned, each in zip(self.phases, stored, strict=True)
        ]
        return replace(self, phases=tuple(phases))

    def _rows(self) -> Sequence[Row]:
        return [
            {
                "block": block,
                "parameters": self.network.parameters(block),
                **{planned.phase.name: planned.rates[block] for planned in self.phases},
            }
            for block in self.network.blocks
        ]

    def _repr_html_(self) -> str:
        """Returns the tables that Jupyter shows: settings, phases and blocks."""
        backbone = self.network.backbone
        settings = {
            "data": _data_line(self.examples),
            **_understood_settings(self.examples),
            "backbone": f"{backbone.name}, {backbone.preprocessor.description}",
            "weights": backbone.weights,
            "batch size": self.batch_size,
            **{f"auto {number}": each for number, each in enumerate(self.auto_settings, 1)},
            **{f"warning {number}": each for number, each in enumerate(self.warnings, 1)},
        }
        rows = [{"setting": name, "value": value} for name, value in settings.items()]
        phases = [_phase_row(planned, self.network) for planned in self.phases]
        caption = f"Plan: {self.recipe.name}"
        return html_table(rows, caption) + html_table(phases) + super()._repr_html_()

    def __str__(self) -> str:
        backbone = self.network.backbone
        lines = [
            f"data      {_data_line(self.examples)}",
            *(f"{topic:<10}{text}" for topic, text in understood(self.examples)),
            f"backbone  {backbone.name}, weights {backbone.weights}, "
            f"{backbone.preprocessor.description}",
            *(f"auto      {setting}" for setting in self.auto_settings),
            *(f"warning   {warning}" for warning in self.warnings),
            *_block_table(self.network, self.phases),
        ]
        for number, planned in enumerate(self.phases, 1):
            lines += _phase_lines(number, planned, self.network, self.examples, self.batch_size)
        return "\n".join(lines)


def _understood_settings(examples: Examples) -> dict[str, str]:
    """Returns what was understood by topic; several lines of a topic become one value."""
    settings: dict[str, str] = {}
    for topic, text in understood(examples):
        settings[topic] = f"{settings[topic]}; {text}" if topic in settings else text
    return settings


def _data_line(examples: Examples) -> str:
    present = (*SPLITS, *(split for split in UNLABELLED if len(examples.where(split))))
    counts = ", ".join(f"{len(examples.where(split)):,} {split}" for split in present)
    return f"{counts}; {examples.problem_type.describe(examples.classes)}"


def _block_table(network: Network, phases: Sequence[PhasePlan]) -> list[str]:
    """Returns a table of the blocks: parameters, and the rate multiplier in each phase."""
    names = "".join(f"{planned.phase.name:>{_COLUMN}}" for planned in phases)
    lines = [f"{'block':<{_COLUMN}}{'parameters':>{_COLUMN}}  {names}"]
    for block in network.blocks:
        rates = [planned.rates[block] for planned in phases]
        cells = "".join(f"{f'×{rate:g}' if rate else 'frozen':>{_COLUMN}}" for rate in rates)
        lines.append(f"{block:<{_COLUMN}}{network.parameters(block):>{_COLUMN},}  {cells}")
    return lines


def _phase_lines(
    number: int, planned: PhasePlan, network: Network, examples: Examples, batch_size: int
) -> list[str]:
    phase = planned.phase
    if not phase.has_steps:
        return [f"phase {number}  {phase.name}: no optimizer steps; {_STEPLESS[_stepless(phase)]}"]
    trained = [block for block, rate in planned.rates.items() if rate]
    parameters = sum(network.parameters(block) for block in trained)
    losses = " + ".join(loss.class_name for loss in phase.losses)
    streams = f" of {' and '.join(planned.streams)}" if planned.streams != ("train",) else ""
    count = len(examples.where(split_of_stream(planned.streams[0], examples)))
    steps = -(-count // batch_size) * phase.epochs
    return [
        f"phase {number}  {phase.name}: {losses}; {phase.optimizer_summary}, "
        f"at most {phase.epochs} epochs = {steps:,} "
        f"steps of {batch_size}{streams}; trains {parameters:,} parameters",
        f"         {_frozen_layers(planned.boundary)}: {planned.reason}",
        f"         each step runs {', '.join(_blocks_per_step(planned, network))}; "
        f"augment {phase.augment}; BatchNorm of trained stages {phase.batch_norm}",
    ]


def _phase_row(planned: PhasePlan, network: Network) -> Row:
    phase = planned.phase
    trained = [block for block, rate in planned.rates.items() if rate]
    return {
        "phase": phase.name,
        "trains": ", ".join(trained),
        "parameters": sum(network.parameters(block) for block in trained),
        "losses": " + ".join(type(loss).__name__ for loss in phase.losses),
        "optimizer": str(phase.optimizer) if phase.has_steps else "",
        "learning rate": phase.learning_rate if phase.has_steps else None,
        "epochs": phase.epochs if phase.has_steps else None,
        "frozen layers": planned.reason,
    }


def _frozen_layers(boundary: str) -> str:
    return "no frozen layers" if boundary == INPUT else f"frozen layers up to {boundary}"


def _blocks_per_step(planned: PhasePlan, network: Network) -> list[str]:
    above = network.boundaries[network.boundaries.index(planned.boundary) + 1 :]
    heads = [head.name for head in network.heads if planned.rates[head.name]]
    return [boundary for boundary in above if boundary != FEATURES] + heads


def _stepless(phase: Phase) -> str:
    if phase.batch_norm == "adapt":
        return "adapt"
    return phase.solve if phase.solve in _STEPLESS else "solve"
