"""The examples in the docstrings of utils, core and the program run as they are printed."""

import doctest
import importlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "tftransfer"
MODULES = [
    f"tftransfer.{room}.{path.stem}"
    for room in ("utils", "core", "cli")
    for path in sorted((PACKAGE / room).glob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_of_a_module_run(name):
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted and not results.failed
