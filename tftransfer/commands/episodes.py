"""What a backbone's frozen features are worth for classes of few examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tftransfer.core.experiment import Experiment
from tftransfer.core.problem_types import ProblemType
from tftransfer.evaluation.few_shot_episodes import episodes as few_shot_episodes
from tftransfer.features.disk_cache import DEFAULT_BYTES
from tftransfer.features.extractor import FeatureExtractor
from tftransfer.planning.plan import make_plan
from tftransfer.utils.errors import UserError


def episodes(
    experiment: Experiment,
    *,
    ways: int = 5,
    shots: Sequence[int] = (1, 5),
    count: int = 600,
    cache_dir: str = "",
    cache_bytes: int = DEFAULT_BYTES,
) -> list[dict[str, Any]]:
    """Accuracy of the closed-form heads over episodes of few examples, of all the data.

    Args:
      experiment: for its data, backbone, weights, size and seed.
      ways: classes of an episode.
      shots: labelled examples of each class.
      count: of the episodes, 200 or more.
      cache_dir: as of `train`.
      cache_bytes: as of `train`.

    Returns:
      As `tftransfer.evaluation.few_shot_episodes.episodes`.

    Raises:
      UserError: the labels are not single ones, or there are too few classes or examples.
    """
    plan = make_plan(
        replace(experiment, recipe="few_shot"), cache_dir=cache_dir, cache_bytes=cache_bytes
    )
    if plan.examples.problem_type is not ProblemType.SINGLE_LABEL:
        raise UserError(
            f"Episodes need one label per example; these are {plan.examples.problem_type}.",
            "Give a folder of class folders.",
        )
    extractor = FeatureExtractor(
        plan.network,
        plan.examples,
        seed=experiment.seed,
        cache=plan.cache,
        clock=plan.clock,
        shared=plan.shared,
        phases=[phase.features for phase in plan.phases],
    )
    features = extractor.features(np.arange(len(plan.examples)))
    extractor.close()
    return few_shot_episodes(
        features, plan.examples.labels, ways=ways, shots=shots, episodes=count, seed=experiment.seed
    )
