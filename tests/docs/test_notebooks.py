"""Every notebook runs as it is, transfer wins in it, and it is stored with its outputs."""

import re
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Cells that only define things, or do nothing until a form is filled in, print nothing.
QUIET = ("# @title Install", '@param {type:"string"}')
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path):
    book = nbformat.read(path, as_version=4)
    return [cell for cell in book.cells if cell.cell_type == "code"]


def printed(cells):
    return "".join(
        output.get("text", "") for cell in cells for output in cell.outputs if "text" in output
    )


@each_notebook
def test_notebook_is_valid_and_stored_with_outputs(path):
    nbformat.validate(nbformat.read(path, as_version=4))
    for cell in code_cells(path):
        quiet = any(mark in cell.source for mark in QUIET)
        assert bool(cell.outputs) != quiet, cell.source
        assert not [output for output in cell.outputs if output.output_type == "error"]


@each_notebook
def test_notebook_stores_plots(path):
    data = [output.get("data", {}) for cell in code_cells(path) for output in cell.outputs]
    assert any("image/png" in each for each in data)


@each_notebook
def test_notebook_does_not_name_a_path_of_the_machine(path):
    assert not re.search(r"/(?:home|root|tmp|work)/", printed(code_cells(path)))


@pytest.fixture(scope="module")
def execute(tmp_path_factory):
    """`execute(NAME)` runs a notebook in a new folder and returns its code cells and the folder."""
    sys.path.insert(0, str(ROOT / "notebooks"))
    import execute as program

    def run(name):
        folder = tmp_path_factory.mktemp(name)
        book = program.execute(ROOT / "notebooks" / f"{name}.ipynb", folder)
        return [cell for cell in book.cells if cell.cell_type == "code"], folder

    yield run
    sys.path.remove(str(ROOT / "notebooks"))


def gain(text):
    """By how much the winner beats training from scratch, as the verdict states it."""
    return float(re.search(r"beats scratch\S* by (\d\.\d+)", text)[1])


@pytest.mark.slow
def test_first_run_notebook_fine_tuning_beats_scratch(execute):
    cells, folder = execute("first_run")
    assert gain(printed(cells)) > 0.15
    assert "label: 7" in printed(cells)
    assert list((folder / "runs/notebook/target").glob("*/export/saved_model.pb"))


@pytest.mark.slow
def test_audio_notebook_transfer_beats_scratch(execute):
    cells, _ = execute("audio")
    assert gain(printed(cells)) > 0.15


@pytest.mark.slow
def test_text_notebook_word_vectors_beat_scratch(execute):
    cells, _ = execute("text")
    rows = re.findall(r"^(from scratch|word vectors)[^\d\n]*(\d\.\d+)$", printed(cells), re.M)
    scratch = max(float(value) for name, value in rows if name == "from scratch")
    transfer = max(float(value) for name, value in rows if name == "word vectors")
    assert transfer > scratch + 0.15
