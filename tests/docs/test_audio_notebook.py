"""The notebook of sounds runs as it is."""

import json
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parents[2] / "notebooks" / "audio.ipynb"


@pytest.mark.slow
def test_the_notebook_of_sounds_runs(tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.read(PATH, as_version=4)
    assert not any(cell.get("outputs") for cell in book.cells)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = json.dumps([cell.get("outputs", []) for cell in book.cells])
    assert "linear probe on each stage" in printed and "b'middle'" in printed
