"""`tftransfer.export`: the SavedModel of a finished run."""

from __future__ import annotations

from typing import Any

from tftransfer.core.typing import PathLike
from tftransfer.features.disk_cache import DEFAULT_CACHE_BYTES
from tftransfer.runs.run import load
from tftransfer.serving.saved_model import ExportReport


def export(
    run: PathLike,
    folder: PathLike | None = None,
    data: Any = None,
    *,
    columns: str | None = None,
    encoding: str = "auto",
    max_quarantine: float = 0.05,
    cache_dir: str = "",
    cache_bytes: int = DEFAULT_CACHE_BYTES,
) -> ExportReport:
    """Writes the network of a run as a SavedModel, after a comparison of both on real examples.

    Args:
      run: A `Run`, or the folder of one.
      folder: Folder of the SavedModel, which is replaced; None for `export` in the run's folder.
      data: Data to compare on, as in `Experiment.data`; None for the data of the run.
      columns: Contents of table columns of `data`; None for those of the run.
      encoding: Encoding of the tables and text files of `data`; `auto` detects it.
      max_quarantine: Fraction of the files of `data` that may be unreadable.
      cache_dir: Folder of the cache, as in `train`.
      cache_bytes: Size limit of the cache in bytes, as in `train`.

    Returns:
      The folder, the largest difference of a score, and the number of examples compared.

    Raises:
      UserError: If the run is not finished, the folder holds something else, or a score differs;
        nothing is written then.

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
      >>> data = (images[200:240], labels[200:240])
      >>> report = tftransfer.export(run, f"{tempfile.mkdtemp()}/1", data)
      >>> report["examples"], report["max_difference"] < 1e-5
      (40, True)
    """
    return load(run).export(
        folder,
        data,
        columns=columns,
        encoding=encoding,
        max_quarantine=max_quarantine,
        cache_dir=cache_dir,
        cache_bytes=cache_bytes,
    )
