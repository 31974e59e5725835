"""`tftransfer.evaluate`: metrics of a finished run."""

from __future__ import annotations

from typing import Any

from tftransfer.core.typing import PathLike
from tftransfer.features.disk_cache import DEFAULT_CACHE_BYTES
from tftransfer.runs.evaluation import Evaluation
from tftransfer.runs.run import load


def evaluate(
    run: PathLike,
    data: Any = None,
    *,
    columns: str | None = None,
    encoding: str = "auto",
    max_quarantine: float = 0.05,
    cache_dir: str = "",
    cache_bytes: int = DEFAULT_CACHE_BYTES,
) -> Evaluation:
    """Returns the metrics of a finished run on its test split, or on all of `data`.

    Args:
      run: A `Run`, or the folder of one.
      data: Labeled data as in `Experiment.data`; None for the data of the run, split as in
        training.
      columns: Contents of table columns of `data`; None for those of the run.
      encoding: Encoding of the tables and text files of `data`; `auto` detects it.
      max_quarantine: Fraction of the files of `data` that may be unreadable.
      cache_dir: Folder of the cache, as in `train`.
      cache_bytes: Size limit of the cache in bytes, as in `train`.

    Raises:
      UserError: If the run is not finished, or the data cannot be read or do not match the classes
        of the run.

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
      >>> evaluation = tftransfer.evaluate(run, (images[200:300], labels[200:300]))
      >>> evaluation.examples, evaluation.metrics["accuracy"] > 0.7
      (100, True)
    """
    return load(run).evaluate(
        data,
        columns=columns,
        encoding=encoding,
        max_quarantine=max_quarantine,
        cache_dir=cache_dir,
        cache_bytes=cache_bytes,
    )
