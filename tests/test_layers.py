"""The folder tree explains the package: imports go only down the list of rooms, in no circle."""

import ast
import graphlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tftransfer"
# From the bottom up; a room imports itself and those before it.
ROOMS = (
    "utils",
    "core",
    "preprocessing",
    "labels",
    "data",
    "readers",
    "checkpoints",
    "optim",
    "losses",
    "recipes",
    "backbones",
    "metrics",
    "models",
    "features",
    "workdir",
    "probes",
    "planning",
    "evaluation",
    "reports",
    "training",
    "serving",
    "runs",
    "commands",
    "api",
    "cli",
)
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_ROOM_SHARE = 0.16


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


def room_of(name):
    parts = name.split(".")
    return ROOMS.index(parts[1]) if len(parts) > 1 and parts[1] in ROOMS else None


def classes_of_the_package():
    names = set()
    for path in MODULES:
        nodes = ast.walk(ast.parse(path.read_text()))
        names |= {node.name for node in nodes if isinstance(node, ast.ClassDef)}
    return names


def snake_case(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().lstrip("_")


def parameters_hidden_by_any(path, names):
    """Parameters annotated `Any` whose name is that of one of our classes."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.arg) and node.annotation is not None:
            any_type = ast.unparse(node.annotation) in ("Any", "Any | None")
            if any_type and node.arg.lstrip("_") in names:
                yield f"{name_of(path)}:{node.lineno} {node.arg}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_down_the_list_of_rooms(path):
    ours = room_of(name_of(path))
    for other in imports_of(path):
        theirs = room_of(other)
        if ours is not None and theirs is not None:
            assert theirs <= ours, f"{name_of(path)} imports {other}, a room above it"


def test_imports_form_no_circle():
    graph = {name_of(path): imports_of(path) for path in MODULES}
    list(graphlib.TopologicalSorter(graph).static_order())


def test_rooms_every_module_is_in_one():
    outside = [name_of(p) for p in MODULES if room_of(name_of(p)) is None]
    assert outside == ["tftransfer", "tftransfer.__main__"]


def test_rooms_none_holds_more_than_its_share_of_the_lines():
    lines = dict.fromkeys(ROOMS, 0)
    for path in MODULES:
        room = room_of(name_of(path))
        if room is not None:
            lines[ROOMS[room]] += path.read_text().count("\n")
    largest = max(lines, key=lines.get)
    assert lines[largest] <= MAX_ROOM_SHARE * sum(lines.values()), (largest, lines[largest])


def test_imports_upward_ones_are_found(tmp_path):
    file = tmp_path / "x.py"
    file.write_text("def f():\n    from tftransfer.cli.main import main\n    return main\n")
    assert imports_of(file) == {"tftransfer.cli.main"}
    assert room_of("tftransfer.cli.main") > room_of("tftransfer.checkpoints.weights")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_of_our_modules_by_importlib_are_only_in_the_package_file(path):
    if name_of(path) == "tftransfer":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            assert "tftransfer" not in ast.unparse(node), f"{name_of(path)}:{node.lineno}"


def test_parameters_of_our_classes_are_not_annotated_any():
    names = {snake_case(name) for name in classes_of_the_package()}
    found = [each for path in MODULES for each in parameters_hidden_by_any(path, names)]
    assert not found


def test_core_and_utils_import_no_tensorflow():
    for room in ("core", "utils"):
        for path in (PACKAGE / room).glob("*.py"):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, (ast.Import, ast.ImportFrom)):
                    names = [alias.name for alias in node.names]
                    names.append(getattr(node, "module", "") or "")
                    assert not {"tensorflow", "keras"} & {n.split(".")[0] for n in names}, path


def test_files_and_functions_are_short():
    for path in MODULES:
        text = path.read_text()
        assert text.count("\n") <= MAX_FILE_LINES, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                doc = ast.get_docstring(node, clean=False) or ""
                length = node.end_lineno - node.lineno - doc.count("\n")
                assert length <= MAX_FUNCTION_LINES, f"{path}: {node.name}"
