"""The `Plan`: an experiment with every open choice made, each with its reason."""

from __future__ import annotations

import functools
import shutil
from dataclasses import dataclass, replace

import keras
import numpy as np

from tftransfer.core.experiment import Experiment
from tftransfer.core.recipe import Phase, Recipe
from tftransfer.data.examples import SPLITS, UNLABELLED, Examples
from tftransfer.data.input_pipeline import memory_budget
from tftransfer.data.load import read_examples
from tftransfer.data.stream_specs import STREAM_FIELDS, split_of_stream
from tftransfer.features.disk_cache import DEFAULT_BYTES, FeatureCache
from tftransfer.features.phase_features import PhaseFeatures
from tftransfer.features.shared_cache import SharedCaches
from tftransfer.losses import check_losses
from tftransfer.models.inference import dtype_policy
from tftransfer.models.network import FEATURES, INPUT, Network
from tftransfer.optim.optimizers import optimizer_named
from tftransfer.planning.auto_settings import (
    check_names,
    check_scores,
    check_streams,
    choose_batch_size,
    choose_precision,
    choose_xla,
    left_out,
    length_of,
    needed_weights,
    preprocessor_remarks,
    sizes_of,
    warn_of_random_weights,
    with_augment,
)
from tftransfer.planning.teachers import Teacher, load_teachers, with_widths
from tftransfer.preprocessing import get_modality
from tftransfer.probes.closed_form import SOLVERS
from tftransfer.recipes import make_recipe, with_budget, with_tasks
from tftransfer.utils.devices import initialize_devices
from tftransfer.utils.timing import Clock

# Stored views: each costs a pass of the prefix over the training pictures. Two to eight were
# measured to reach the same loss on 2,000 pictures, so what is few pictures' work is not saved.
_VIEWS, _VIEWED = (2, 8), 4000
_WITHOUT_STEPS = {
    "solve": "the head is solved on the frozen features",
    "interpolate": "the best mean of the weights before and after the last phase, by validation",
    "adapt": "BatchNorm's statistics are measured on the target's examples",
}


@dataclass(frozen=True, kw_only=True)
class PhasePlan:
    """A phase as it will run.

    Attributes:
      phase: of the recipe.
      rates: multiplier of every block.
      boundary: where the frozen prefix ends.
      views: stored variants of each training picture; 0 when nothing is stored.
      reason: why the prefix is stored or not, in words.
      streams: that it reads; the first gives the length of an epoch.
      outputs: of the network, that a step computes.
    """

    phase: Phase
    rates: dict[str, float]
    boundary: str
    views: int
    reason: str
    streams: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def features(self) -> PhaseFeatures:
        """What the phase reads of the feature extractor."""
        return PhaseFeatures(
            boundary=self.boundary,
            views=self.views,
            augment=self.phase.augment,
            epochs=self.phase.epochs,
        )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that a training needs, checked.

    Attributes:
      batch_size: places in a batch; fewer than the experiment's where examples are.
    """

    experiment: Experiment
    recipe: Recipe
    examples: Examples
    network: Network
    phases: tuple[PhasePlan, ...]
    xla: bool
    choices: tuple[str, ...]
    cache: FeatureCache | None
    clock: Clock
    shared: SharedCaches
    batch_size: int
    teachers: tuple[Teacher, ...] = ()

    def __str__(self) -> str:
        there = (*SPLITS, *(part for part in UNLABELLED if len(self.examples.where(part))))
        counts = ", ".join(f"{len(self.examples.where(part)):,} {part}" for part in there)
        lines = [
            f"data      {counts}; {self.examples.problem_type.describe(self.examples.classes)}",
            f"backbone  {self.network.backbone.name}, weights {self.network.backbone.weights}, "
            f"{self.network.backbone.preprocessor.description}",
            *(f"choice    {choice}" for choice in self.choices),
            *_block_table(self.network, self.phases),
        ]
        for number, planned in enumerate(self.phases, 1):
            lines.extend(_phase_lines(number, planned, self))
        return "\n".join(lines)


def make_plan(
    experiment: Experiment,
    *,
    examples: Examples | None = None,
    cache_dir: str = "",
    cache_bytes: int = DEFAULT_BYTES,
    clock: Clock | None = None,
    shared: SharedCaches | None = None,
) -> Plan:
    """Reads the data, builds the network, resolves the recipe and checks all of it.

    Args:
      experiment: what to do.
      examples: of the experiment, when they were read and split already.
      cache_dir: where features, downloads and unpacked archives are kept for later runs; empty
        means `$TFTRANSFER_CACHE`, else the user's cache folder.
      cache_bytes: that the cache may take; 0 keeps features in memory, for this run.
      clock: counts the seconds; the plan goes on with it.
      shared: with other runs on the same examples.

    Raises:
      UserError: anything that would go wrong later and can be known now.
    """
    initialize_devices()
    clock, shared = clock or Clock(), shared or SharedCaches()
    cache = FeatureCache.of_user(cache_dir, cache_bytes)
    choices: list[str] = []
    precision = choose_precision(experiment, choices)
    xla = choose_xla(experiment, choices)
    with clock.measure("scan"):
        check = functools.partial(check_names, experiment)
        examples = examples or read_examples(experiment, cache.folder if cache else None, check)
    choices.extend(examples.warnings)
    if examples.quarantine:
        choices.append(left_out(examples))
    weights = needed_weights(experiment, examples.problem_type, choices)
    with dtype_policy(precision):
        backbone = shared.shelf.load(
            experiment.backbone,
            weights=weights,
            image_size=experiment.image_size,
            seed=experiment.seed,
            trust_code=experiment.trust_code,
            cache=cache.folder if cache else None,
            modality=examples.modality,
            length=experiment.length or length_of(experiment.backbone, examples, choices),
        )
        recipe = make_recipe(
            experiment.recipe, problem_type=examples.problem_type, stages=len(backbone.stages)
        )
        recipe = with_budget(recipe, experiment.epochs)
        recipe = with_tasks(recipe, [task.count for task in examples.tasks])
        recipe = with_augment(recipe, get_modality(examples.modality))
        check_streams(recipe, examples)
        check_losses(recipe)
        check_scores(recipe, examples.problem_type)
        teachers = load_teachers(recipe, experiment, examples.classes)
        recipe = with_widths(recipe, backbone, teachers)
        keras.utils.set_random_seed(experiment.seed)
        network = Network(
            backbone, recipe.heads, units=len(examples.classes), problem_type=examples.problem_type
        )
        network.begin_as_source()
        network.set_units(examples.targets()[examples.where("train")])
    choices.extend(backbone.remarks)
    choices.extend(preprocessor_remarks(backbone.preprocessor, examples))
    batch = choose_batch_size(experiment.batch_size, recipe, examples, choices)
    warn_of_random_weights(recipe, backbone.pretrained, choices)
    phases = tuple(_plan_phase(phase, network, examples, cache) for phase in recipe.phases)
    resolved = replace(
        experiment, recipe=recipe, precision=precision, **sizes_of(backbone.preprocessor)
    )
    return Plan(
        experiment=resolved,
        recipe=recipe,
        examples=examples,
        network=network,
        phases=phases,
        xla=xla,
        choices=tuple(choices),
        cache=cache,
        clock=clock,
        shared=shared,
        teachers=teachers,
        batch_size=batch,
    )


def _plan_phase(
    phase: Phase, network: Network, examples: Examples, cache: FeatureCache | None
) -> PhasePlan:
    optimizer_named(phase.optimizer)
    if phase.solve and phase.solve != "interpolate":
        SOLVERS[phase.solve]  # an unknown name is an error
    rates = phase.rates(list(network.blocks))
    planned = PhasePlan(
        phase=phase,
        rates=rates,
        boundary=network.boundary_for(rates, _read(phase)),
        views=0,
        reason="",
        streams=phase.streams or ("train",),
        outputs=_outputs(phase),
    )
    if phase.batch_norm == "adapt":
        return replace(
            planned, boundary=INPUT, reason="statistics are measured on the target examples"
        )
    teaches = bool(phase.tensors("teacher"))
    if planned.boundary == INPUT and not (teaches and phase.views >= 0 and phase.augment != "none"):
        return replace(
            planned,
            reason="the first stage trains, so nothing can be stored; augmentation is fresh",
        )
    return _with_views(planned, network, examples, cache)


def _read(phase: Phase) -> list[str]:
    """Names of the tensors that the losses read of the network, as it is and as it was."""
    return [*phase.tensors(), *phase.tensors("reference")]


def _outputs(phase: Phase) -> tuple[str, ...]:
    read = [name for name in _read(phase) if name not in STREAM_FIELDS]
    return tuple(dict.fromkeys([*read, "logits"]))


def without_target(planned: PhasePlan, network: Network) -> PhasePlan | None:
    """The phase as it is without the target domain; None where it then learns no labels.

    A head that nothing reads any more, such as a discriminator, is frozen.
    """
    losses = planned.phase.losses
    kept = tuple(each for each in losses if not any(p.startswith("target.") for p in each.paths()))
    name = f"{planned.phase.name} without the target"
    phase = replace(planned.phase, name=name, losses=kept, reweight=False)
    if not phase.is_supervised:
        return None
    outputs = _outputs(phase)
    unread = {head.name for head in network.heads if head.output not in outputs}
    rates = {block: 0.0 if block in unread else rate for block, rate in planned.rates.items()}
    return replace(planned, phase=phase, rates=rates, streams=phase.streams, outputs=outputs)


def _with_views(
    planned: PhasePlan, network: Network, examples: Examples, cache: FeatureCache | None
) -> PhasePlan:
    """The phase with its stored prefix, where there is room for it."""
    phase, boundary = planned.phase, planned.boundary
    indices = [examples.where(split_of_stream(stream, examples)) for stream in planned.streams]
    count = len(np.unique(np.concatenate(indices)))
    views = phase.views or _views(phase, len(indices[0]))
    views = min(views, network.backbone.preprocessor.max_views(phase.augment) or views)
    numbers = sum(int(np.prod(shape)) for shape in network.shapes_at(boundary))
    size = 4 * numbers * (views * count + len(examples.where("val")))
    budget, where = _room(cache)
    if phase.views < 0:
        reason = "fresh augmentation was asked for (views=-1), so the prefix runs every epoch"
    elif size > budget:
        reason = (
            f"{size / 2**30:.1f} GiB of features are more than the {budget / 2**30:.1f} GiB "
            f"that may be used {where}, so the prefix runs every epoch"
        )
    else:
        for_teacher = ", so that the teacher sees what the student sees" * (boundary == INPUT)
        reason = (
            f"computed once for {views} view{'s' * (views > 1)}, {size / 2**20:.0f} MiB "
            f"{where}{for_teacher}"
        )
        return replace(planned, views=views, reason=reason)
    return replace(planned, reason=reason)


def _views(phase: Phase, count: int) -> int:
    """The default number: more of fewer pictures, and no more than there are epochs."""
    fewest, most = _VIEWS
    return min(phase.epochs, most, max(fewest, _VIEWED // max(1, count)))


def _room(cache: FeatureCache | None) -> tuple[int, str]:
    if cache is None:
        return memory_budget(), "in memory"
    free = shutil.disk_usage(cache.folder).free
    return min(cache.limit, free // 2), f"on disk in {cache.folder}"


def _block_table(network: Network, phases: tuple[PhasePlan, ...]) -> list[str]:
    head = f"{'block':<12}{'parameters':>12}  " + "".join(f"{p.phase.name:>12}" for p in phases)
    lines = [head]
    for block in network.blocks:
        cells = "".join(
            f"{f'×{p.rates[block]:g}' if p.rates[block] else 'frozen':>12}" for p in phases
        )
        lines.append(f"{block:<12}{network.parameters(block):>12,}  {cells}")
    return lines


def _phase_lines(number: int, planned: PhasePlan, plan: Plan) -> list[str]:
    phase, network = planned.phase, plan.network
    prefix = (
        f"prefix up to {planned.boundary}: " if planned.boundary != INPUT else "no stored prefix: "
    )
    if not phase.has_steps:
        return [f"phase {number}  {phase.name}: no steps; {_WITHOUT_STEPS[_kind(phase)]}"]
    trained = [block for block, rate in planned.rates.items() if rate]
    part = split_of_stream(planned.streams[0], plan.examples)
    batch = plan.batch_size
    steps = -(-len(plan.examples.where(part)) // batch) * phase.epochs
    above = network.boundaries[network.boundaries.index(planned.boundary) + 1 :]
    parameters = sum(network.parameters(block) for block in trained)
    losses = " + ".join(type(loss).__name__ for loss in phase.losses)
    streams = f" of {' and '.join(planned.streams)}" if planned.streams != ("train",) else ""
    heads = [head.name for head in network.heads if head.name in trained]
    each_step = [boundary for boundary in above if boundary != FEATURES] + heads
    return [
        f"phase {number}  {phase.name}: {losses}; {phase.optimizer}, peak rate "
        f"{phase.learning_rate:g}, {phase.schedule}, at most {phase.epochs} epochs = {steps:,} "
        f"steps of {batch}{streams}; trains {parameters:,} parameters",
        f"         {prefix}{planned.reason}",
        f"         each step runs {', '.join(each_step)}; "
        f"augment {phase.augment}; BatchNorm of trained stages {phase.batch_norm}",
    ]


def _kind(phase: Phase) -> str:
    if phase.batch_norm == "adapt":
        return "adapt"
    return phase.solve if phase.solve in _WITHOUT_STEPS else "solve"
