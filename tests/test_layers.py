"""The folder tree explains the package: imports go downward only, and in no circle."""

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tftransfer"
LAYERS = ("ground", "parts", "building", "using", "top")
MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path):
    """Every module of the package that a file imports, inside functions too."""
    known = {name_of(p) for p in MODULES}
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in known}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found |= {full} if full in known else {node.module} & known
    return found - {"tftransfer"}


def layer_of(name):
    parts = name.split(".")
    return LAYERS.index(parts[1]) if len(parts) > 1 and parts[1] in LAYERS else None


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_down(path):
    ours = layer_of(name_of(path))
    for other in imports_of(path):
        theirs = layer_of(other)
        if ours is not None and theirs is not None:
            assert theirs <= ours, f"{name_of(path)} imports {other}, a layer above it"


def test_no_cycle():
    graph = {name_of(path): imports_of(path) for path in MODULES}
    list(graphlib.TopologicalSorter(graph).static_order())


def test_every_module_is_in_a_layer():
    outside = [name_of(p) for p in MODULES if layer_of(name_of(p)) is None]
    assert outside == ["tftransfer", "tftransfer.__main__"]


def test_an_upward_import_would_be_found(tmp_path):
    file = tmp_path / "x.py"
    file.write_text("def f():\n    from tftransfer.cli.main import main\n    return main\n")
    assert imports_of(file) == {"tftransfer.cli.main"}
    assert layer_of("tftransfer.cli.main") > layer_of("tftransfer.checkpoints.weights")


def test_the_ground_knows_no_tensorflow():
    for path in (PACKAGE / "ground").glob("*.py"):
        assert "tensorflow" not in path.read_text().replace("no TensorFlow", "").replace(
            "imports TensorFlow", ""
        ).replace("`tensorflow`", ""), path


def test_no_file_or_function_is_long():
    for path in MODULES:
        text = path.read_text()
        assert text.count("\n") <= 400, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                doc = ast.get_docstring(node, clean=False) or ""
                length = node.end_lineno - node.lineno - doc.count("\n")
                assert length <= 60, f"{path}: {node.name}"
