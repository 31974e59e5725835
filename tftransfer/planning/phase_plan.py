"""One phase as it will run: rates, the boundary of the frozen layers, views, streams."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace

import numpy as np

from tftransfer.core.recipe import Phase
from tftransfer.data.examples import Examples
from tftransfer.data.input_pipeline import memory_budget
from tftransfer.data.stream_specs import STREAM_FIELDS, split_of_stream
from tftransfer.features.disk_cache import FeatureCache
from tftransfer.features.phase_features import PhaseFeatures
from tftransfer.features.views import Views
from tftransfer.models.network import INPUT, Network
from tftransfer.optim.optimizers import check_optimizer
from tftransfer.probes.closed_form import SOLVERS

# Each cached view costs one pass of the frozen layers over the training examples. On 2,000 images,
# two to eight views reached the same loss; fewer images have more views, up to this total.
_MIN_VIEWS = 2
_MAX_VIEWS = 8
_TOTAL_VIEWS = 4000
_FLOAT_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class PhasePlan:
    """A phase as it will run.

    Attributes:
      phase: The phase of the recipe.
      rates: Learning-rate multiplier of every block; 0 for frozen ones.
      boundary: Name of the tensor where the frozen layers end.
      views: Views of the training examples: how many are cached, or fresh ones in every epoch.
      reason: Why features are cached or not, in words.
      streams: Names of the streams that it reads; the first gives the length of an epoch.
      outputs: Names of the network's outputs that a step computes.
    """

    phase: Phase
    rates: dict[str, float]
    boundary: str
    views: Views = field(default_factory=Views)
    reason: str = ""
    streams: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def features(self) -> PhaseFeatures:
        """What the phase reads of the feature extractor."""
        return PhaseFeatures(boundary=self.boundary, views=self.views, epochs=self.phase.epochs)


def plan_phase(
    phase: Phase, network: Network, examples: Examples, *, seed: int, cache: FeatureCache | None
) -> PhasePlan:
    """Plans a phase: the boundary of its frozen layers, and whether their features are cached.

    Args:
      phase: The phase, its augmentation resolved.
      network: The network.
      examples: The examples, already split.
      seed: Seed of random views.
      cache: Cache on disk; None for features in memory.

    Raises:
      UserError: There is no such optimizer, solver or block.
    """
    check_optimizer(phase)
    if phase.solve and phase.solve != "interpolate":
        SOLVERS[phase.solve]  # an unknown name is an error
    rates = phase.rates(list(network.blocks))
    planned = PhasePlan(
        phase=phase,
        rates=rates,
        # The boundary is as high as possible, to run as few layers per step as possible: below the
        # lowest block that trains, and below every tensor that a loss or a head reads.
        boundary=network.boundary_for(rates, _tensors_read(phase)),
        views=Views(augment=phase.augment, seed=seed),
        streams=phase.streams or ("train",),
        outputs=_outputs(phase),
    )
    if phase.batch_norm == "adapt":
        reason = "statistics are measured on the target examples"
        return replace(planned, boundary=INPUT, reason=reason)
    has_teacher = bool(phase.tensors("teacher"))
    random_views = phase.views == "fresh" or phase.augment == "none"
    if planned.boundary == INPUT and (random_views or not has_teacher):
        reason = "the first stage trains, so nothing can be cached; augmentation is fresh"
        return replace(planned, reason=reason)
    return _with_views(planned, network, examples, cache)


def without_target(planned: PhasePlan, network: Network) -> PhasePlan | None:
    """Returns the phase without the losses of the target domain; None where no labels remain.

    Heads whose output no loss reads any more, such as a discriminator, are frozen.

    Args:
      planned: The phase.
      network: The network.
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


def _tensors_read(phase: Phase) -> list[str]:
    """Returns the names of the tensors that losses read of the network and of its reference."""
    return [*phase.tensors(), *phase.tensors("reference")]


def _outputs(phase: Phase) -> tuple[str, ...]:
    read = [name for name in _tensors_read(phase) if name not in STREAM_FIELDS]
    return tuple(dict.fromkeys([*read, "logits"]))


def _with_views(
    planned: PhasePlan, network: Network, examples: Examples, cache: FeatureCache | None
) -> PhasePlan:
    """Returns the phase with cached views, where their features fit."""
    if planned.phase.views == "fresh":
        reason = "views=fresh augments again in every epoch, so the frozen layers run in each"
        return replace(planned, reason=reason)
    if not network.backbone.preprocessor.can_store_views(planned.phase.augment):
        reason = f"{planned.phase.augment} runs again in every epoch, hence the frozen layers too"
        return replace(planned, reason=reason)
    count = _number_of_views(planned, network, examples)
    size = _feature_bytes(planned, network, examples, count)
    budget, where = _budget(cache)
    if size > budget:
        reason = (
            f"{size / 2**30:.1f} GiB of features are more than the {budget / 2**30:.1f} GiB "
            f"available {where}, so the frozen layers run in every epoch"
        )
        return replace(planned, reason=reason)
    for_teacher = ", so that the teacher has the student's views" * (planned.boundary == INPUT)
    views = f"{count} view{'s' * (count > 1)}"
    reason = f"features of {views} are cached {where}, {size / 2**20:.0f} MiB{for_teacher}"
    return replace(planned, views=replace(planned.views, cached=count), reason=reason)


def _number_of_views(planned: PhasePlan, network: Network, examples: Examples) -> int:
    """Returns the given number, else more for fewer examples, and at most one per epoch."""
    phase = planned.phase
    count = len(examples.where(split_of_stream(planned.streams[0], examples)))
    automatic = min(phase.epochs, _MAX_VIEWS, max(_MIN_VIEWS, _TOTAL_VIEWS // max(1, count)))
    views = phase.views if isinstance(phase.views, int) else automatic
    return min(views, network.backbone.preprocessor.max_views(phase.augment) or views)


def _feature_bytes(planned: PhasePlan, network: Network, examples: Examples, views: int) -> int:
    indices = [examples.where(split_of_stream(stream, examples)) for stream in planned.streams]
    count = len(np.unique(np.concatenate(indices)))
    floats = sum(int(np.prod(shape)) for shape in network.shapes_at(planned.boundary))
    return _FLOAT_BYTES * floats * (views * count + len(examples.where("val")))


def _budget(cache: FeatureCache | None) -> tuple[int, str]:
    """Returns the number of bytes that features may take, and where they are kept."""
    if cache is None:
        return memory_budget(), "in memory"
    free = shutil.disk_usage(cache.folder).free
    return min(cache.max_bytes, free // 2), f"on disk in {cache.folder}"
