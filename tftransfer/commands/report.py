"""`tftransfer.report`: the report of a finished run, written again."""

from __future__ import annotations

from pathlib import Path

from tftransfer.core.typing import PathLike
from tftransfer.reports.report import write_report
from tftransfer.workdir.run_folder import open_finished


def report(run: PathLike) -> Path:
    """Writes `report.md` and the plots of a finished run again, from its records.

    Args:
      run: A `Run`, or the folder of one.

    Returns:
      The file of the report.

    Raises:
      UserError: If the run is not finished.

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
      >>> tftransfer.report(run).name
      'report.md'
    """
    folder = open_finished(run)
    write_report(folder, folder.result)
    return folder.report
