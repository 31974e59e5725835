"""`tftransfer.inspect`: descriptions of data, of a backbone, of a run."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tftransfer.backbones.load import load_backbone
from tftransfer.backbones.names import modality_of_name
from tftransfer.core.experiment import Experiment
from tftransfer.core.typing import KerasModel, PathLike
from tftransfer.data.examples import Examples, read_item
from tftransfer.data.understanding import shown_name, understood
from tftransfer.features.disk_cache import DEFAULT_CACHE_BYTES, FeatureCache
from tftransfer.planning.make_plan import make_plan
from tftransfer.preprocessing.image.checks import header_size, image_format
from tftransfer.readers.load import read_examples
from tftransfer.reports.data_quality import describe_data_quality
from tftransfer.utils.cache_dir import user_cache_dir
from tftransfer.utils.errors import UserError
from tftransfer.utils.keras_internals import producing_operation
from tftransfer.utils.wording import first_lines
from tftransfer.workdir.run_folder import open_run_folder

_MAX_SHOWN_SKIPPED = 20
_MAX_SHOWN_DUPLICATES = 20


def inspect(
    *,
    data: Any = None,
    backbone: PathLike | KerasModel = "",
    workdir: PathLike = "",
    output: PathLike = "",
    cache_dir: str = "",
    cache_bytes: int = DEFAULT_CACHE_BYTES,
    **fields: Any,
) -> str:
    """Returns a description of data, of a backbone or of a run, as text.

    For data and a backbone together it describes the data, and lists the labels that look wrong
    given the features of the backbone.

    Args:
      data: Data as in `Experiment.data`.
      backbone: A backbone as in `Experiment.backbone`.
      workdir: A `Run`, or the folder of one.
      output: New CSV file for all labels that look wrong, with their probabilities; empty for none.
      cache_dir: Folder of the cache, as in `train`.
      cache_bytes: Size limit of the cache in bytes, as in `train`.
      **fields: Other fields of `Experiment`, such as `weights` or `image_size`.

    Raises:
      UserError: If not exactly one of the three is given, but for data and a backbone; if `output`
        exists, is not a `.csv` file, or is given without both data and a backbone.

    Example:
      >>> import tftransfer
      >>> text = tftransfer.inspect(backbone="small_cnn", weights="none")
      >>> print(text.splitlines()[0])
      small_cnn: 32 px, weights none, 72,752 parameters
    """
    workdir = os.fspath(workdir)
    has_data, has_backbone = not _is_empty(data), not _is_empty(backbone)
    given = has_data + has_backbone + bool(workdir)
    if given != 1 and not (given == 2 and not workdir):
        raise UserError(
            "There is not exactly one thing to inspect.",
            "Give one of --data, --backbone and --workdir, or data and a backbone.",
        )
    missing = "--data=DATA" if not has_data else "" if has_backbone else "--backbone=NAME"
    table = _output_file(output, missing)
    if has_backbone and not has_data:
        folder = user_cache_dir(cache_dir)
        return "\n".join(_of_backbone(Experiment(backbone=backbone, **fields), folder))
    if workdir:
        return "\n".join(_of_run(workdir))
    settings = Experiment(data=data, **{"max_quarantine": 1.0, **fields})
    if not has_backbone:
        cache = FeatureCache.open(cache_dir, cache_bytes)
        examples = read_examples(settings, cache.folder if cache else None)
        return "\n".join([*_of_data(examples), *describe_data_quality(examples, None)])
    settings = replace(settings, backbone=backbone, recipe="feature_extraction")
    plan = make_plan(settings, cache_dir=cache_dir, cache_bytes=cache_bytes)
    return "\n".join(
        [*_of_data(plan.examples), *describe_data_quality(plan.examples, plan.network, table)]
    )


def _output_file(output: PathLike, missing: str) -> Path | None:
    """Checks the file for the suspected labels before anything is computed."""
    if not os.fspath(output):
        return None
    path = Path(output)
    if missing:
        raise UserError(
            "--output is for the labels that look wrong, which take data and a backbone to find.",
            f"Add {missing}; `tftransfer list backbones` prints the names of backbones.",
        )
    if path.suffix.lower() != ".csv":
        raise UserError(
            f"--output={path} does not end in .csv; the table is written as CSV.",
            f"Change it: --output={path.with_suffix('.csv')}",
        )
    if path.exists():
        raise UserError(
            f"--output={path} exists.", "Give the name of a new file, or delete that one."
        )
    return path


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value)


def _of_data(examples: Examples) -> list[str]:
    splits = ("train", "val", "test")
    lines = [
        f"{len(examples):,} examples, {examples.problem_type.describe(examples.classes)}",
        *(f"{topic}: {text}" for topic, text in understood(examples)),
        f"{'':<24}" + "".join(f"{split:>8}" for split in splits),
    ]
    if not examples.problem_type.has_classes:
        lines.append(f"{'examples':<24}" + _row(len(examples.where(split)) for split in splits))
    else:
        counts = [examples.class_counts(examples.where(split)) for split in splits]
        for name, *row in zip(examples.classes, *counts):
            lines.append(f"{shown_name(name):<23} " + _row(row))
    lines += _formats_and_sizes(examples) if examples.modality == "image" else _lengths(examples)
    lines += _duplicates(examples)
    lines += [f"note: {remark}" for remark in examples.warnings]
    lines.append(f"skipped: {len(examples.quarantine)}")
    skipped = [f"  {entry.name}: {entry.reason}" for entry in examples.quarantine]
    return lines + first_lines(skipped, _MAX_SHOWN_SKIPPED)


def _row(counts: Iterable[float]) -> str:
    return "".join(f"{int(count):>8,}" for count in counts)


def _formats_and_sizes(examples: Examples) -> list[str]:
    formats: Counter[str | None] = Counter()
    sizes = []
    for item in examples.items:
        data = read_item(item)
        formats[image_format(data)] += 1
        sizes.append(header_size(data) or (0, 0))
    known = np.array([size for size in sizes if min(size) > 0] or [(0, 0)])
    shown = ", ".join(f"{count:,} {name}" for name, count in formats.most_common())
    middle = np.median(known, axis=0).astype(int)
    return [
        f"formats: {shown}",
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
    conflicting = [g for g in twice if any((labels[g[0]] != labels[i]).any() for i in g)]
    found = [
        f"  with different labels: {', '.join(examples.names[i] for i in group)}"
        for group in conflicting
    ]
    shown = first_lines(found, _MAX_SHOWN_DUPLICATES, "with different labels")
    return [f"duplicates: {len(twice)} contents are in more than one file", *shown]


def _of_backbone(experiment: Experiment, cache: Path) -> list[str]:
    backbone = load_backbone(
        experiment.backbone,
        weights=experiment.weights,
        image_size=experiment.image_size,
        trust_code=experiment.trust_code,
        modality=modality_of_name(experiment.backbone_name),
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


def _of_run(workdir: str) -> list[str]:
    run = open_run_folder(workdir)
    experiment = run.experiment
    lines = [
        f"run {run.workdir}: {experiment.recipe.name} of {experiment.backbone_name}, "
        f"seed {experiment.seed}, data {experiment.data}"
    ]
    if not run.finished:
        return [*lines, f"not finished; {len(run.metrics())} epochs done; add --resume to continue"]
    result = run.result
    for phase in result["phases"]:
        trained = ", ".join(f"{b} ×{rate:g}" for b, rate in phase["rates"].items() if rate)
        lines.append(
            f"phase {phase['name']}: {trained}; best epoch {phase['best_epoch']} of "
            f"{phase['epochs']} ({phase['stopped']})"
        )
    lines += result["verdict"]
    if (run.export_dir / "saved_model.pb").is_file():
        lines.append(f"export: {run.export_dir}")
    return lines
