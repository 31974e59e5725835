"""Docstrings of the package's functions, read from the source files.

Help is printed from the docstrings of the functions that the commands call. Importing these would
import TensorFlow, which takes seconds.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tftransfer

_PACKAGE = Path(tftransfer.__file__).parent
_SECTION = re.compile(r"^(?:Args|Attributes):\n((?: .*\n?|\n)*)", re.MULTILINE)
_ENTRY = re.compile(r"^  \*{0,2}(\w+): (.*(?:\n    .*)*)", re.MULTILINE)
# Help omits what only callers from Python can use.
_PYTHON_SENTENCE = re.compile(r"\s*\bIn Python\b.*?(?:\.(?=\s|$)|$)")


@dataclass(frozen=True, kw_only=True)
class Documentation:
    """The parts of a docstring that help prints.

    Attributes:
      summary: First line, without the final period.
      arguments: Descriptions of the arguments or attributes by name, each on one line.
    """

    summary: str
    arguments: Mapping[str, str]


def parse_docstring(text: str) -> Documentation:
    """Returns the parts of a docstring, without the sentences that begin with "In Python"."""
    text = inspect.cleandoc(text)
    section = _SECTION.search(text)
    entries = _ENTRY.findall(section[1]) if section else []
    return Documentation(
        summary=text.partition("\n")[0].removesuffix("."),
        arguments={
            name: _PYTHON_SENTENCE.sub("", " ".join(words.split())) for name, words in entries
        },
    )


@functools.cache
def documentation_of_api(name: str) -> Documentation:
    """Returns the documentation of a function of `tftransfer.api`."""
    for node in _tree("tftransfer.api").body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    return documentation_of(node.module, alias.name)
    raise LookupError(name)


@functools.cache
def documentation_of(module: str, name: str) -> Documentation:
    """Returns the documentation of a function or class at the top level of a module."""
    for node in _tree(module).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == name:
            return parse_docstring(ast.get_docstring(node) or "")
    raise LookupError(f"{module}.{name}")


def _tree(module: str) -> ast.Module:
    file = _PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))
