"""Every notebook runs as it is, and is stored with its outputs."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = {path.stem: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}


def execute(name, folder, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    book = nbformat.read(NOTEBOOKS[name], as_version=4)
    client = NotebookClient(book, timeout=600, resources={"metadata": {"path": str(folder)}})
    client.execute()
    return json.dumps([cell.get("outputs", []) for cell in book.cells])


@pytest.mark.slow
def test_notebook_first_run_transfers(tmp_path, monkeypatch):
    printed = execute("first_run", tmp_path, monkeypatch)
    assert "recipe fine_tune" in printed and "image/png" in printed
    assert (tmp_path / "runs" / "notebook" / "export" / "saved_model.pb").is_file()


@pytest.mark.slow
def test_notebook_text_transfers(tmp_path, monkeypatch):
    printed = execute("text", tmp_path, monkeypatch)
    assert "good {'bad'" in printed and "[b'good']" in printed


@pytest.mark.slow
def test_notebook_audio_transfers(tmp_path, monkeypatch):
    printed = execute("audio", tmp_path, monkeypatch)
    assert "linear probe on each stage" in printed and "b'middle'" in printed
