"""What is measured before training: baselines, and probes of the layers of the source network."""

from __future__ import annotations

import contextlib
from importlib.metadata import version
from typing import Any

from tftransfer import __version__
from tftransfer.core.problem_types import ProblemType
from tftransfer.core.serialization import read_json, write_json
from tftransfer.evaluation.baselines import Features, baselines
from tftransfer.features.views import View
from tftransfer.models.network import FEATURES
from tftransfer.planning.plan import Plan
from tftransfer.preprocessing import get_modality
from tftransfer.probes.layer_probes import probe_sampled_layers
from tftransfer.training.trainer import Trainer
from tftransfer.utils.errors import UserError


def measure_before_training(plan: Plan, trainer: Trainer) -> dict[str, Any]:
    """Returns `baselines`, and `layer_probes` for modalities whose middle layers matter.

    They depend on the starting weights and the data only, so they are stored in the cache and
    shared by the runs of a comparison.

    Args:
      plan: The plan of the run.
      trainer: The trainer of the run, whose features are used.
    """
    network, known = plan.network, plan.shared.before_training
    pretrained = network.backbone.pretrained
    probes_layers = pretrained and get_modality(plan.examples.modality).middle_layers_matter
    split = (plan.experiment.seed, *plan.examples.groups) if probes_layers else ()
    mirrored = _mirrored_features(plan, trainer)
    key = (network.digest(network.blocks_below(FEATURES)), plan.examples.digest(), *split)
    key += ("mirrored",) if mirrored else ()
    stored = trainer.extractor.values_file("before", *key, version("scikit-learn"), __version__)
    if key not in known and stored and stored.is_file():
        with contextlib.suppress(OSError, UserError):  # damaged: measured again below
            known[key] = read_json(stored)
    if key not in known:
        known[key] = {
            "baselines": baselines(
                trainer.extractor.features, plan.examples, probe=pretrained, mirrored=mirrored
            )
        }
        if probes_layers:
            known[key]["layer_probes"] = probe_sampled_layers(
                network, plan.examples, plan.experiment.seed
            )
        if stored:
            write_json(stored, known[key])
    found: dict[str, Any] = known[key]
    return found


def _mirrored_features(plan: Plan, trainer: Trainer) -> Features | None:
    """Returns the function to the features of mirror images, where a phase trains on such images.

    Only for classes: the mirror image of an example may belong to another one, such as left.
    """
    preprocessor = plan.network.backbone.preprocessor
    mirroring = (preprocessor.view_augmentation(phase.augment, 1) for phase in plan.recipe.phases)
    if plan.examples.problem_type is not ProblemType.SINGLE_LABEL or "mirror" not in mirroring:
        return None
    view = View(number=1, augment="mirror")
    return lambda indices: trainer.extractor.stored(FEATURES, indices, view=view)[0]
