"""A module that uses the metrics of a problem type also imports the room that registers them."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "tftransfer"
METHODS = {"metrics", "probabilities"}


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


SOURCES = {module_name(path): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}


def imported(name):
    """Modules of the package that are imported with a module: its packages, and those it names."""
    yield from (each for each in SOURCES if name.startswith(f"{each}."))
    for node in SOURCES[name].body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in SOURCES)
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (each for each in (node.module, *names) if each in SOURCES)


def reached(name):
    """The modules that are imported with a module, directly and indirectly."""
    found, waiting = set(), [name]
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting += imported(each)
    return found


def calls_metrics_of_a_problem_type(tree):
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in METHODS
        and "problem_type" in ast.unparse(node.func.value)
        for node in ast.walk(tree)
    )


def test_modules_that_use_metrics_of_a_problem_type_import_the_room_that_registers_them():
    users = [name for name, tree in SOURCES.items() if calls_metrics_of_a_problem_type(tree)]
    assert len(users) >= 3
    for name in users:
        assert any(each.startswith("tftransfer.metrics") for each in reached(name)), name
