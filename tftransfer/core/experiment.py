"""The experiment: recipe, backbone, data, sizes and seed, as one frozen dataclass."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tftransfer.core.recipe import PROBLEM_TYPES
from tftransfer.utils.errors import UserError, check_known


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Recipe, backbone, data, sizes and seed: what a file in `configs/` returns.

    Attributes:
      data: a folder, an archive of one (.zip, .tar.gz; a path or an https URL), a manifest
        (.csv, .tsv), `tfds:NAME`, or in Python a `tf.data.Dataset` or a pair of arrays
        (images, labels), (texts, labels) or of sound (waveforms at 16 kHz, labels); see
        `from_waveforms` for other rates.
      test_data: as `data`; when empty, and the data have no splits, a test split is held out.
      target_data: as `data`, or a folder of pictures without class folders: of the domain that
        a recipe adapts to. Labels there are not looked at.
      unlabelled_data: as `target_data`: pictures that nobody labelled.
      problem_type: `auto`, `single_label`, `multi_label`, `regression` or `multi_task`.
      backbone: `NAME`, `NAME:option=value,...`, a TF-Hub handle or folder, or a run.
      weights: `pretrained` (for networks of pictures Keras's word `imagenet` is the same), `none`,
        or the path or https URL of a weights file.
      image_size: side of the square the pictures are resized to, in pixels; 0
        means the backbone's own.
      length: how much of each example is read: seconds of audio, tokens of text; 0 takes what
        holds most of the training data.
      recipe: a `Recipe`, a recipe's name, or a mapping of `name` and its options.
      epochs: of all phases together, which are shortened or lengthened alike; 0 leaves
        the recipe's own.
      batch_size: examples per optimiser step.
      validation_fraction: part of the training examples kept for stopping,
        model choice and calibration.
      test_fraction: part of all examples kept for the final figures.
      columns: what the columns of tables hold where their names do not say it, such as
        `text=review,label=stars`: `path` or `text`, `label` (once, or once per task) and `split`.
      group_by: what no part of the split may share, such as speakers: a column of the manifest, or
        a regular expression on file names whose one pair of parentheses holds the group.
      seed: decides split, initial weights, order and augmentation.
      precision: `auto`, `float32`, `mixed_bfloat16` or `mixed_float16`.
      xla: `auto`, `on` or `off`.
      max_quarantine: fraction of the files that may be unreadable.
      labels_per_class: keep only so many training examples per class; 0 keeps all.
      trust_code: allow a SavedModel or TF-Hub module, which is code, to be loaded.
    """

    data: Any = ""
    test_data: Any = ""
    target_data: Any = ""
    unlabelled_data: Any = ""
    problem_type: str = "auto"
    backbone: str = "mobilenet_v2"
    weights: str = "pretrained"
    image_size: int = 0
    length: float = 0.0
    recipe: Any = "fine_tune"
    epochs: int = 0
    batch_size: int = 32
    validation_fraction: float = 0.1
    test_fraction: float = 0.2
    columns: str = ""
    group_by: str = ""
    seed: int = 0
    precision: str = "auto"
    xla: str = "auto"
    max_quarantine: float = 0.05
    labels_per_class: int = 0
    trust_code: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", plain_weights(self.weights))
        check_known("problem_type", self.problem_type, ("auto", *PROBLEM_TYPES), "Experiment")
        check_known("xla", self.xla, ("auto", "on", "off"), "Experiment")
        precisions = ("auto", "float32", "mixed_bfloat16", "mixed_float16")
        check_known("precision", self.precision, precisions, "Experiment")
        if self.batch_size < 1 or self.epochs < 0:
            raise UserError(
                f"batch_size is {self.batch_size} and epochs is {self.epochs}.",
                "Give a batch_size of at least 1, and epochs of at least 0.",
            )
        if self.seed < 0:
            raise UserError(f"seed is {self.seed}.", "Give 0 or more.")
        for name in ("validation_fraction", "test_fraction"):
            if not 0 <= getattr(self, name) < 0.9:
                raise UserError(f"{name} is {getattr(self, name)}.", "Give 0 to 0.9.")

    def without_memory(self) -> Experiment:
        """The experiment as a file can hold it: data from memory is only named."""
        names = ("data", "test_data", "target_data", "unlabelled_data")
        nameable: dict[str, Any] = {name: _nameable(getattr(self, name)) for name in names}
        return replace(self, **nameable)

    @property
    def data_is_in_memory(self) -> bool:
        """Whether the data cannot be read again: it was handed over in Python."""
        return not isinstance(self.data, (str, Path)) or str(self.data).startswith("<")


def plain_weights(weights: str) -> str:
    """What `weights` means: `pretrained` for Keras's word `imagenet` too."""
    return "pretrained" if weights == "imagenet" else weights


def _nameable(data: Any) -> str:
    return str(data) if isinstance(data, (str, Path)) else f"<{type(data).__name__} in memory>"
