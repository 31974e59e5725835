"""`tftransfer.episodes`: frozen features on classes of few examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tftransfer.core.experiment import Experiment
from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Array
from tftransfer.evaluation.few_shot_episodes import episodes as few_shot_episodes
from tftransfer.evaluation.few_shot_episodes import table
from tftransfer.features.disk_cache import DEFAULT_CACHE_BYTES
from tftransfer.features.extractor import FeatureExtractor
from tftransfer.planning.make_plan import make_plan
from tftransfer.planning.plan import Plan
from tftransfer.utils.errors import UserError
from tftransfer.utils.tabular import Row, Tabular


@dataclass(frozen=True)
class EpisodeResults(Tabular):
    """Accuracies over few-shot episodes; it prints as a table of methods and numbers of shots.

    Attributes:
      rows: One row per method and number of shots: `method`, `ways`, `shots`, `episodes`,
        `accuracy`, and its 95 % interval `low` and `high`.

    Example:
      >>> import tftransfer
      >>> row = {"method": "ridge", "ways": 5, "shots": 1, "episodes": 600,
      ...        "accuracy": 0.62, "low": 0.61, "high": 0.63}
      >>> print(tftransfer.EpisodeResults(rows=(row,)))
      | method | 5-way 1-shot |
      | --- | ---: |
      | ridge | **0.620** ± 0.010 |
    """

    rows: Sequence[Row]

    def __str__(self) -> str:
        return "\n".join(table(list(map(dict, self.rows))))

    def _rows(self) -> Sequence[Row]:
        return self.rows


def episodes(
    experiment: Experiment,
    *,
    ways: int = 5,
    shots: Sequence[int] = (1, 5),
    count: int = 600,
    cache_dir: str = "",
    cache_bytes: int = DEFAULT_CACHE_BYTES,
) -> EpisodeResults:
    """Measures closed-form heads on frozen features over few-shot episodes of all the data.

    Args:
      experiment: Its data, backbone, weights, size and seed are used.
      ways: Number of classes of an episode.
      shots: Numbers of labeled examples of each class.
      count: Number of episodes, at least 200.
      cache_dir: Folder of the cache, as in `train`.
      cache_bytes: Size limit of the cache in bytes, as in `train`.

    Raises:
      UserError: If an example has not exactly one label, or there are too few classes or examples.

    Example:
      >>> from sklearn.datasets import load_digits
      >>> import tftransfer
      >>> digits = load_digits()
      >>> experiment = tftransfer.Experiment(
      ...     data=(digits.images[:400] / 16, digits.target[:400]), backbone="small_cnn",
      ...     weights="none",
      ... )
      >>> results = tftransfer.episodes(experiment, shots=[1], count=200)
      >>> sorted(row["method"] for row in results.rows)
      ['cosine', 'logistic', 'prototypes', 'ridge']
    """
    plan = make_plan(
        replace(experiment, recipe="few_shot"), cache_dir=cache_dir, cache_bytes=cache_bytes
    )
    if plan.examples.problem_type is not ProblemType.SINGLE_LABEL:
        raise UserError(
            f"Episodes need one label per example; these are {plan.examples.problem_type}.",
            "Give a folder of class folders.",
        )
    rows = few_shot_episodes(
        _frozen_features(plan),
        plan.examples.labels,
        ways=ways,
        shots=shots,
        count=count,
        seed=experiment.seed,
    )
    return EpisodeResults(rows=tuple(rows))


def _frozen_features(plan: Plan) -> Array:
    """Returns the pooled features of all examples, float32 [n, d]."""
    extractor = FeatureExtractor(
        plan.network,
        plan.examples,
        cache=plan.cache,
        clock=plan.clock,
        shared=plan.shared,
        phases=[phase.features for phase in plan.phases],
    )
    try:
        return extractor.features(np.arange(len(plan.examples)))
    finally:
        extractor.close()
