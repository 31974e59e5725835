"""`tftransfer.predict`: labels and scores by a finished run."""

from __future__ import annotations

from tftransfer.core.typing import PathLike
from tftransfer.runs.predictions import Inputs, Prediction
from tftransfer.runs.run import load


def predict(
    run: PathLike,
    inputs: Inputs,
    *,
    columns: str | None = None,
    encoding: str | None = None,
) -> list[Prediction]:
    """Returns labels and calibrated scores for each input, in order.

    Args:
      run: A `Run`, or the folder of one. A `Run` keeps its network in memory for the next call.
      inputs: One or more examples: paths of files, of folders or of tables, each row of which is
        an example; encoded bytes; or arrays, such as images uint8 [h, w, 3] or waveforms at
        16 kHz. For a run on texts, strings are the texts, and paths are `pathlib.Path`s.
      columns: Contents of table columns, as in `Experiment.columns`; None for those of the run.
      encoding: Encoding of tables and text files; None for that of the run.

    Raises:
      UserError: If the run is not finished or a path does not exist. Files that cannot be read get
        an `error` instead.

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
      >>> [row["label"] for row in tftransfer.predict(run, images[:3])]
      ['0', '1', '2']
    """
    return load(run).predict(inputs, columns=columns, encoding=encoding)
