"""What there is to know before training, or after: of data, of a backbone, of a run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tftransfer.backbones.load import load_backbone, modality_of_backbone
from tftransfer.core.experiment import Experiment
from tftransfer.data.examples import Examples, read_item
from tftransfer.data.load import read_examples
from tftransfer.features.disk_cache import DEFAULT_BYTES, FeatureCache
from tftransfer.planning.plan import make_plan
from tftransfer.preprocessing.image.checks import header_size, image_format
from tftransfer.reports.data_quality import sheet
from tftransfer.runs.run import open_run
from tftransfer.utils.cache_dir import user_cache_dir
from tftransfer.utils.errors import UserError
from tftransfer.utils.keras_internals import producing_operation


def inspect(
    *,
    data: Any = None,
    backbone: str = "",
    workdir: str | Path = "",
    cache_dir: str = "",
    cache_bytes: int = DEFAULT_BYTES,
    **experiment: Any,
) -> str:
    """A description of data, of a backbone or of a run, ready to print.

    Data and a backbone together: the data, and the labels that look wrong to the backbone.

    Args:
      data: as `Experiment.data`.
      backbone: as `Experiment.backbone`.
      workdir: of a run.
      cache_dir: as of `train`.
      cache_bytes: as of `train`.
      **experiment: further fields of `Experiment`, such as `weights` or `image_size`.

    Raises:
      UserError: not exactly one of the three was given.
    """
    given = [x for x in (data if data is not None else "", backbone, workdir) if str(x)]
    if len(given) != 1 + (bool(backbone) and not workdir and len(given) == 2):
        raise UserError(
            "There is not exactly one thing to inspect.",
            "Give one of --data, --backbone and --workdir, or data and a backbone.",
        )
    if backbone and len(given) == 1:
        folder = user_cache_dir(cache_dir)
        return "\n".join(_of_backbone(Experiment(backbone=backbone, **experiment), folder))
    if workdir:
        return "\n".join(_of_run(workdir))
    settings = Experiment(data=data, **{"max_quarantine": 1.0, **experiment})
    if not backbone:
        cache = FeatureCache.of_user(cache_dir, cache_bytes)
        examples = read_examples(settings, cache.folder if cache else None)
        return "\n".join([*_of_data(examples), *sheet(examples, None)])
    settings = replace(settings, backbone=backbone, recipe="feature_extraction")
    plan = make_plan(settings, cache_dir=cache_dir, cache_bytes=cache_bytes)
    return "\n".join([*_of_data(plan.examples), *sheet(plan.examples, plan.network)])


def _of_data(examples: Examples) -> list[str]:
    splits = ("train", "val", "test")
    lines = [
        f"{len(examples):,} examples, {examples.problem_type.describe(examples.classes)}",
        f"{'':<24}" + "".join(f"{part:>8}" for part in splits),
    ]
    if not examples.problem_type.has_classes:
        lines += _columns(examples)
        lines.append(f"{'examples':<24}" + _row(len(examples.where(p)) for p in splits))
    else:
        counts = [examples.targets()[examples.where(p)].sum(axis=0) for p in splits]
        for name, *row in zip(examples.classes, *counts):
            lines.append(f"{name[:23]:<24}" + _row(row))
    lines += _formats_and_sizes(examples) if examples.modality == "image" else _lengths(examples)
    lines += _duplicates(examples)
    lines += [f"note: {remark}" for remark in examples.warnings]
    lines.append(f"left out: {len(examples.quarantine)}")
    lines += [f"  {entry.name}: {entry.reason}" for entry in examples.quarantine[:20]]
    return lines


def _row(counts: Iterable[float]) -> str:
    return "".join(f"{int(count):>8,}" for count in counts)


def _columns(examples: Examples) -> list[str]:
    low, high, mean = (f(examples.labels, axis=0) for f in (np.min, np.max, np.mean))
    return [
        f"{name}: {a:.4g} to {b:.4g}, mean {m:.4g}"
        for name, a, b, m in zip(examples.classes, low, high, mean)
    ]


def _formats_and_sizes(examples: Examples) -> list[str]:
    formats: Counter = Counter()
    sizes = []
    for item in examples.items:
        data = read_item(item)
        formats[image_format(data)] += 1
        sizes.append(header_size(data) or (0, 0))
    known = np.array([size for size in sizes if min(size) > 0] or [(0, 0)])
    said = ", ".join(f"{count:,} {name}" for name, count in formats.most_common())
    middle = np.median(known, axis=0).astype(int)
    return [
        f"formats: {said}",
        f"width × height: median {middle[0]} × {middle[1]}, from {known[:, 0].min()} × "
        f"{known[:, 1].min()} to {known[:, 0].max()} × {known[:, 1].max()}",
    ]


def _lengths(examples: Examples) -> list[str]:
    low, middle, high = np.quantile(examples.measures, (0.0, 0.5, 1.0))
    unit = {"audio": "seconds", "text": "words"}[examples.modality]
    return [f"{unit}: median {middle:.4g}, from {low:.4g} to {high:.4g}"]


def _duplicates(examples: Examples) -> list[str]:
    groups: dict[str, list[int]] = defaultdict(list)
    for index, sha in enumerate(examples.sha256):
        groups[sha].append(index)
    twice = [group for group in groups.values() if len(group) > 1]
    if not twice:
        return ["duplicates: none"]
    labels = examples.targets()
    torn = [g for g in twice if any((labels[g[0]] != labels[i]).any() for i in g)]
    lines = [f"duplicates: {len(twice)} contents stand in more than one file"]
    for group in torn[:5]:
        lines.append(f"  with different labels: {', '.join(examples.names[i] for i in group)}")
    return lines


def _of_backbone(experiment: Experiment, cache: Path) -> list[str]:
    backbone = load_backbone(
        experiment.backbone,
        weights=experiment.weights,
        image_size=experiment.image_size,
        trust_code=experiment.trust_code,
        modality=modality_of_backbone(experiment.backbone),
        length=experiment.length,
        cache=cache,
    )
    lines = [
        f"{backbone.name}: {backbone.preprocessor.description}, weights {backbone.weights}, "
        f"{backbone.model.count_params():,} parameters",
        f"{'block':<10}{'stride':>8}{'layers':>8}{'parameters':>12}  output",
    ]
    for stage in backbone.stages:
        parameters = sum(layer.count_params() for layer in stage.layers)
        shapes = " and ".join(
            f"{'×'.join(str(n) for n in tensor.shape[1:])} ({producing_operation(tensor).name})"
            for tensor in stage.outputs
        )
        stride = f"{stage.stride:g}"
        lines.append(
            f"{stage.name:<10}{stride:>8}{len(stage.layers):>8}{parameters:>12,}  {shapes}"
        )
    return [*lines, *(f"note: {remark}" for remark in backbone.remarks)]


def _of_run(workdir: str | Path) -> list[str]:
    run = open_run(workdir)
    experiment = run.experiment
    lines = [
        f"run {run.workdir}: {experiment.recipe.name} of {experiment.backbone}, "
        f"seed {experiment.seed}, data {experiment.data}"
    ]
    if not run.finished:
        return [*lines, f"not finished; {len(run.metrics())} epochs done; add --resume to go on"]
    result = run.result
    for phase in result["phases"]:
        trained = ", ".join(f"{b} ×{rate:g}" for b, rate in phase["rates"].items() if rate)
        lines.append(
            f"phase {phase['name']}: {trained}; best epoch {phase['best_epoch']} of "
            f"{phase['epochs']} ({phase['stopped']})"
        )
    lines += result["verdict"]
    if (run.export / "saved_model.pb").is_file():
        lines.append(f"export: {run.export}")
    return lines
