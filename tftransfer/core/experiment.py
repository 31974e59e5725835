"""The experiment: recipe, backbone, data, sizes and seed in one frozen dataclass."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import KerasModel, PathLike
from tftransfer.utils.errors import UserError, check_known

_MAX_HELD_OUT_FRACTION = 0.9


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The recipe, backbone, data, sizes and seed of a training; files in `configs/` return one.

    Attributes:
      data: Folder with one subfolder per class, an archive of one (.zip or .tar.gz; a path or an
        https URL), a table (.csv or .tsv), or `tfds:NAME` for a TensorFlow Dataset. In Python also
        a `tf.data.Dataset` or Keras dataset, a data frame, or a pair of arrays or lists: (images,
        labels), (texts, labels), (paths, labels), or (waveforms at 16 kHz, labels);
        `from_waveforms` takes other rates.
      test_data: Data for the final metrics, in any form of `data`. Empty for a split of `data`.
      target_data: Data of the target domain, to which the recipe adapts, in any form of `data` or
        as a folder of files. Labels are not used.
      unlabelled_data: Data without labels, in any form of `target_data`.
      problem_type: `single_label`, `multi_label`, `regression` or `multi_task`; `auto` infers it
        from the labels.
      backbone: Name of a backbone, with options as in `mobilenet_v2:alpha=0.35`; a TF-Hub handle or
        folder; or a `Run` or the folder of one. `tftransfer list backbones` prints the names. In
        Python also a functional `keras.Model`, whose weights are used.
      weights: `pretrained`, `none` for random weights, or the path or https URL of a weights file.
        `imagenet` means `pretrained`, as in Keras.
      image_size: Height and width to which images are resized, in pixels; 0 for the default of the
        backbone.
      length: Length of the input in seconds of audio or tokens of text; 0 for a length that covers
        most of the training examples.
      recipe: Name of a recipe, with options as in `fine_tune:unfreeze=2`. Methods are added with
        `+`, as in `fine_tune+l2_sp`. `tftransfer list recipes` prints the names, and `help:NAME`
        the options. In Python also a `Recipe`, or a mapping of `name` and options.
      epochs: Total number of epochs, shared among the phases in the recipe's proportions; 0 for the
        recipe's default.
      batch_size: Number of examples per optimizer step.
      validation_fraction: Fraction of the training examples held out for early stopping, model
        selection and calibration.
      test_fraction: Fraction of all examples held out for the final metrics.
      columns: Contents of table columns whose names do not show them, as in
        `text=review,label=stars`. Contents are `path`, `text`, `label` (also several, one per task)
        and `split`. For a folder, `label=folder2` makes the folders of the second level the
        classes.
      encoding: Encoding of tables and text files that are not UTF-8, such as `cp1251`; `auto`
        detects it.
      group_by: What examples of different splits must not share, such as the speaker: a column of
        the table, or a regular expression on file names with the group in parentheses.
      split_near_copies: Whether near copies, such as a crop or a brighter version of an image, may
        be in different splits. By default they stay together, as copies do.
      seed: Seed of the split, the initial weights, the order of the examples and the augmentation.
      precision: Type of the computation: `float32`, `mixed_bfloat16` or `mixed_float16`; `auto`
        chooses by the hardware.
      xla: Whether XLA compiles the training step: `on` or `off`; `auto` chooses by the hardware.
      max_quarantine: Fraction of the files that may be unreadable; they are skipped. A larger
        fraction is an error.
      labels_per_class: Number of labeled training examples kept of each class; 0 for all.
      trust_code: Whether SavedModels and TF-Hub modules may be loaded. They can run any code.

    Raises:
      UserError: If a value is impossible.

    Example:
      >>> import tftransfer
      >>> experiment = tftransfer.Experiment(data="photos", recipe="fine_tune:unfreeze=2")
      >>> experiment.backbone
      'mobilenet_v2'
    """

    data: object = ""
    test_data: object = ""
    target_data: object = ""
    unlabelled_data: object = ""
    problem_type: str = "auto"
    backbone: PathLike | KerasModel = "mobilenet_v2"
    weights: str = "pretrained"
    image_size: int = 0
    length: float = 0.0
    recipe: Any = "fine_tune"
    epochs: int = 0
    batch_size: int = 32
    validation_fraction: float = 0.1
    test_fraction: float = 0.2
    columns: str = ""
    encoding: str = "auto"
    group_by: str = ""
    split_near_copies: bool = False
    seed: int = 0
    precision: str = "auto"
    xla: str = "auto"
    max_quarantine: float = 0.05
    labels_per_class: int = 0
    trust_code: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", plain_weights(self.weights))
        if isinstance(self.backbone, os.PathLike):
            object.__setattr__(self, "backbone", os.fspath(self.backbone))
        check_known("problem_type", self.problem_type, ("auto", *ProblemType), "Experiment")
        check_known("xla", self.xla, ("auto", "on", "off"), "Experiment")
        precisions = ("auto", "float32", "mixed_bfloat16", "mixed_float16")
        check_known("precision", self.precision, precisions, "Experiment")
        for name, least in (("batch_size", 1), ("epochs", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise UserError(
                    f"{name} is {getattr(self, name)}.", f"Set {name} to {least} or more."
                )
        for name in ("validation_fraction", "test_fraction"):
            if not 0 <= getattr(self, name) < _MAX_HELD_OUT_FRACTION:
                raise UserError(
                    f"{name} is {getattr(self, name)}.",
                    f"Set {name} to 0 or more and below {_MAX_HELD_OUT_FRACTION}.",
                )

    @property
    def backbone_name(self) -> str:
        """The backbone as a string: its name, the path of its folder, or that it is in memory."""
        if isinstance(self.backbone, str):
            return self.backbone
        return f"<keras.Model {getattr(self.backbone, 'name', '')} in memory>"

    def without_memory(self) -> Experiment:
        """Returns the experiment as JSON can hold it: data and models in memory are only named."""
        names = ("data", "test_data", "target_data", "unlabelled_data")
        described: dict[str, Any] = {name: _described(getattr(self, name)) for name in names}
        return replace(self, **described, backbone=self.backbone_name)

    @property
    def data_is_in_memory(self) -> bool:
        """Whether the data were passed from Python, so that they cannot be read again."""
        return not isinstance(self.data, (str, Path)) or str(self.data).startswith("<")


def plain_weights(weights: str) -> str:
    """Returns `pretrained` for `imagenet`, which is Keras's name for it, else `weights`."""
    return "pretrained" if weights == "imagenet" else weights


def _described(data: object) -> str:
    return str(data) if isinstance(data, (str, Path)) else f"<{type(data).__name__} in memory>"
