"""The `Run`: what `train` returns and `load` opens."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tftransfer.core.experiment import Experiment
from tftransfer.core.typing import Array, FloatArray, KerasModel, PathLike
from tftransfer.features.disk_cache import DEFAULT_CACHE_BYTES, FeatureCache
from tftransfer.runs import evaluation, predictions
from tftransfer.runs.data import read_examples_of
from tftransfer.runs.evaluation import Evaluation
from tftransfer.runs.keras_model import calibrated_model
from tftransfer.runs.predictions import Inputs, Prediction
from tftransfer.serving.saved_model import ExportReport, export_network
from tftransfer.utils.errors import UserError
from tftransfer.utils.tabular import Row, Tabular, html_table
from tftransfer.workdir.run_folder import RunFolder, open_finished
from tftransfer.workdir.trained_model import TrainedModel, load_trained_model


@dataclass(frozen=True)
class Run(Tabular, os.PathLike[str]):
    """A run in its working directory: the trained model and the records of its training.

    The network is loaded when it is first needed. A run can be given wherever the folder of a run
    can: `Experiment(backbone=run)` transfers from it. In a notebook it shows its metrics; its rows
    (`to_frame`, `to_csv`, `to_latex`) are those of `metrics()`.

    Attributes:
      workdir: The working directory; a leading `~` is expanded.

    Example:
      >>> import tempfile
      >>> from sklearn.datasets import load_digits
      >>> import tftransfer
      >>> digits = load_digits()
      >>> images, labels = digits.images / 16, digits.target
      >>> experiment = tftransfer.Experiment(
      ...     data=(images[:200], labels[:200]), backbone="small_cnn", weights="none",
      ...     recipe="few_shot",
      ... )
      >>> run = tftransfer.train(experiment, tempfile.mkdtemp(), export=False)
      >>> [row["label"] for row in run.predict(images[:3])]
      ['0', '1', '2']
      >>> run.embed(images[:3]).shape
      (3, 64)
      >>> run.model.predict(run.preprocess(images[:3]), verbose=0).shape
      (3, 10)
    """

    workdir: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "workdir", Path(self.workdir).expanduser())

    def __fspath__(self) -> str:
        return str(self.workdir)

    @property
    def folder(self) -> RunFolder:
        """Paths and records in the working directory."""
        return RunFolder(self.workdir)

    @property
    def finished(self) -> bool:
        """Whether the final weights and the result are written."""
        return self.folder.finished

    @property
    def experiment(self) -> Experiment:
        """The experiment of this run, with the recipe resolved."""
        return self.folder.experiment

    @property
    def result(self) -> dict[str, Any]:
        """The content of `result.json`: metrics, baselines, phases, verdict."""
        return self.folder.result

    @property
    def split(self) -> dict[str, Any]:
        """The content of `split.json`: classes, and name, split, label, sha256 of every example."""
        return self.folder.split

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, or names of the columns of a regression, in the order of the outputs."""
        return tuple(self.result["classes"])

    @property
    def weights(self) -> Path:
        """The file of the final weights, by block."""
        return self.folder.weights

    @property
    def report(self) -> Path:
        """The file of the report, in Markdown."""
        return self.folder.report

    @property
    def export_dir(self) -> Path:
        """The folder of the SavedModel that training exports."""
        return self.folder.export_dir

    def metrics(self) -> list[dict[str, Any]]:
        """Returns the training history: one row per epoch of each phase."""
        return self.folder.metrics()

    @functools.cached_property
    def model(self) -> KerasModel:
        """The Keras functional model with its calibrated output.

        It takes arrays as `preprocess` returns them, and returns probabilities [n, classes], values
        [n, columns] for `regression`, or a dictionary of task name to probabilities for
        `multi_task`. Files saved from it load in plain Keras where the backbone consists of layers
        of Keras.
        """
        return calibrated_model(self.trained_model)

    @functools.cached_property
    def trained_model(self) -> TrainedModel:
        """The network in blocks with its final weights, and the calibration of its outputs.

        Raises:
          UserError: If the run is not finished.
        """
        return load_trained_model(self.workdir)

    def evaluate(
        self,
        data: Any = None,
        *,
        columns: str | None = None,
        encoding: str = "auto",
        max_quarantine: float = 0.05,
        cache_dir: str = "",
        cache_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> Evaluation:
        """Returns the metrics on the test split of this run, or on all of `data`.

        Args:
          data: Labeled data as in `Experiment.data`; None for the data of the run, split as in
            training.
          columns: Contents of table columns of `data`; None for those of the run.
          encoding: Encoding of the tables and text files of `data`; `auto` detects it.
          max_quarantine: Fraction of the files of `data` that may be unreadable.
          cache_dir: Folder of the cache, as in `train`.
          cache_bytes: Size limit of the cache in bytes, as in `train`.

        Raises:
          UserError: If the run is not finished, or the data cannot be read or do not match the
            classes of the run.
        """
        cache = FeatureCache.open(cache_dir, cache_bytes)
        examples = read_examples_of(
            self.trained_model,
            data,
            cache,
            columns=columns,
            encoding=encoding,
            max_quarantine=max_quarantine,
        )
        given = data is not None and not (isinstance(data, str) and not data)
        return evaluation.evaluate(self.trained_model, examples, given=given)

    def predict(
        self,
        inputs: Inputs,
        *,
        columns: str | None = None,
        encoding: str | None = None,
    ) -> list[Prediction]:
        """Returns labels and calibrated scores for each input, in order.

        Args:
          inputs: One or more examples: paths of files, of folders or of tables, each row of which
            is an example; encoded bytes; arrays, such as images uint8 [h, w, 3] or waveforms
            at 16 kHz; a data frame; or a dataset, whose labels are ignored. For a run on texts,
            strings are the texts, and paths are `pathlib.Path`s.
          columns: Contents of table columns, as in `Experiment.columns`; None for those of the run.
          encoding: Encoding of tables and text files; None for that of the run.

        Raises:
          UserError: If a path does not exist. Files that cannot be read get an `error` instead.
        """
        return predictions.predict(self.trained_model, inputs, columns=columns, encoding=encoding)

    def preprocess(self, inputs: Inputs) -> Array:
        """Returns what `model` takes of each input, such as pixels 0 to 255 [n, size, size, 3].

        Args:
          inputs: One or more examples, as in `predict`.

        Raises:
          UserError: If an input cannot be read.
        """
        return predictions.preprocess(self.trained_model, inputs)

    def embed(self, inputs: Inputs) -> FloatArray:
        """Returns the pooled features of each input, float32 [n, d].

        Args:
          inputs: One or more examples, as in `predict`.

        Raises:
          UserError: If an input cannot be read.
        """
        return predictions.embed(self.trained_model, inputs)

    def export(
        self,
        folder: PathLike | None = None,
        data: Any = None,
        *,
        columns: str | None = None,
        encoding: str = "auto",
        max_quarantine: float = 0.05,
        cache_dir: str = "",
        cache_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> ExportReport:
        """Writes the network as a SavedModel, after a comparison of both on real examples.

        Args:
          folder: Folder of the SavedModel, which is replaced; None for `export_dir`.
          data: Data to compare on, as in `Experiment.data`; None for the data of the run.
          columns: Contents of table columns of `data`; None for those of the run.
          encoding: Encoding of the tables and text files of `data`; `auto` detects it.
          max_quarantine: Fraction of the files of `data` that may be unreadable.
          cache_dir: Folder of the cache, as in `train`.
          cache_bytes: Size limit of the cache in bytes, as in `train`.

        Returns:
          The folder, the largest difference of a score, and the number of examples compared.

        Raises:
          UserError: If the folder holds something else, or a score differs; nothing is written.
        """
        trained = self.trained_model
        examples = read_examples_of(
            trained,
            data,
            FeatureCache.open(cache_dir, cache_bytes),
            columns=columns,
            encoding=encoding,
            max_quarantine=max_quarantine,
        )
        target = Path(folder).expanduser() if folder else self.export_dir
        if folder and target.exists() and not (target / "saved_model.pb").is_file():
            raise UserError(f"{target} exists and is not a SavedModel.", "Give a new folder.")
        target.parent.mkdir(parents=True, exist_ok=True)
        return export_network(trained.network, examples, target, temperature=trained.temperature)

    def _rows(self) -> list[dict[str, Any]]:
        return self.metrics()

    def _repr_html_(self) -> str:
        """Returns the summary that Jupyter shows: settings, and metrics on the test split."""
        return html_table(_summary(self), f"Run {self.workdir}")


def _summary(run: Run) -> list[Row]:
    experiment = run.experiment
    rows: dict[str, object] = {
        "recipe": experiment.recipe.name,
        "backbone": experiment.backbone_name,
        "data": experiment.data,
        "seed": experiment.seed,
    }
    if not run.finished:
        rows["status"] = f"not finished; {len(run.metrics())} epochs done"
        return [{"": name, "value": value} for name, value in rows.items()]
    result = run.result
    rows["evaluated on"] = f"{result['split']} split, {result['examples']:,} examples"
    rows |= {name: value for name, value in result["test"].items() if name != "intervals"}
    intervals = {name: f"{a:.4f} to {b:.4f}" for name, (a, b) in _intervals(result).items()}
    return [
        {"": name, "value": value, "95 % interval": intervals.get(name)}
        for name, value in rows.items()
    ]


def _intervals(result: dict[str, Any]) -> dict[str, tuple[float, float]]:
    intervals: dict[str, tuple[float, float]] = result["test"].get("intervals", {})
    return intervals


def load(workdir: PathLike) -> Run:
    """Opens a finished run; its network is loaded when it is first needed.

    Args:
      workdir: The folder of the run; a `Run` is returned as it is.

    Raises:
      UserError: If the folder does not hold a run, or the run is not finished; the message then
        holds the command that finishes it.

    Example:
      >>> import tempfile
      >>> from sklearn.datasets import load_digits
      >>> import tftransfer
      >>> digits = load_digits()
      >>> images, labels = digits.images / 16, digits.target
      >>> experiment = tftransfer.Experiment(
      ...     data=(images[:200], labels[:200]), backbone="small_cnn", weights="none",
      ...     recipe="few_shot",
      ... )
      >>> workdir = tempfile.mkdtemp()
      >>> _ = tftransfer.train(experiment, workdir, export=False)
      >>> run = tftransfer.load(workdir)
      >>> run.model.output_shape
      (None, 10)
    """
    folder = open_finished(workdir)
    return workdir if isinstance(workdir, Run) else Run(folder.workdir)
