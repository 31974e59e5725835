"""Runs the notebooks in a temporary folder and stores their outputs.

    python notebooks/execute.py [NAME ...]

Names are those of the files without `.ipynb`; all notebooks by default.
"""

import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
TIMEOUT_SECONDS = 900
# Lines that TensorFlow's libraries write to stderr as they load.
_NOISE = re.compile(r"^(?:[IWE]\d{4} |WARNING: All log messages|\d{4}-\d\d-\d\d ).*$")


def execute(path, folder):
    """The executed notebook.

    Args:
      path: File of the notebook.
      folder: Working directory of its cells.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.pop("MPLBACKEND", None)  # plots are drawn in the notebook
    book = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(book, timeout=TIMEOUT_SECONDS, resources=resources).execute()
    for cell in book.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in map(without_noise, cell.outputs) if output]
    return book


def without_noise(output):
    """The output without messages of TensorFlow's libraries; None if nothing else is left."""
    if output.get("name") == "stderr":
        lines = [line for line in output.text.splitlines() if not _NOISE.match(line)]
        output.text = "\n".join(lines)
        return output if output.text.strip() else None
    return output


def main(names):
    """Executes the named notebooks, or all."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        if names and path.stem not in names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(execute(path, folder), path)
        print(path, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
