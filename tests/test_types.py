"""Annotations name types: `Any` is rare.

`python tests/test_types.py` prints, by room, how many annotations are or contain `Any`.
"""

import ast
from collections import Counter, defaultdict
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "tftransfer"
# Shares of all annotations of the package.
MAX_SHARE_OF_ANY = 0.01
MAX_SHARE_CONTAINING_ANY = 0.05


def annotations_of(source):
    """Every annotation of a parameter, a result, a field or a variable."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.returns
        elif isinstance(node, ast.arg | ast.AnnAssign):
            yield node.annotation


def count(source):
    """Numbers of annotations: all, those that are `Any`, and those that contain it."""
    found = [ast.unparse(node) for node in annotations_of(source) if node is not None]
    bare = sum(each in ("Any", "Any | None") for each in found)
    return Counter(all=len(found), bare=bare, contain=sum("Any" in names(each) for each in found))


def names(annotation):
    tree = ast.walk(ast.parse(annotation))
    return {node.id for node in tree if isinstance(node, ast.Name)}


def by_room():
    rooms = defaultdict(Counter)
    for path in PACKAGE.rglob("*.py"):
        rooms[path.relative_to(PACKAGE).parts[0]] += count(path.read_text())
    return rooms


def line(name, counts):
    bare, contain = (counts[key] / max(counts["all"], 1) for key in ("bare", "contain"))
    return (
        f"{name:<16}{counts['all']:5} annotations, Any {bare:6.1%}, containing Any {contain:6.1%}"
    )


def test_annotations_with_any_are_counted_once_each():
    source = "def f(a: Any, b: dict[str, Any], c: int) -> Any: ...\nx: AnyStr = ''"
    assert count(source) == Counter(all=5, bare=2, contain=3)


def test_annotations_of_the_package_are_rarely_any():
    total = sum(by_room().values(), Counter())
    print(line("all", total))
    assert total["bare"] <= MAX_SHARE_OF_ANY * total["all"]
    assert total["contain"] <= MAX_SHARE_CONTAINING_ANY * total["all"]


# Signatures of the base classes.
OVERRIDDEN = ("redirect_request", "update_step")


def functions_of(body):
    """Functions and methods of a module, without those inside of other functions."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from functions_of(node.body)
        elif isinstance(node, ast.FunctionDef):
            yield node


def test_public_functions_of_three_parameters_document_them():
    missing = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in functions_of(ast.parse(path.read_text()).body):
            arguments = node.args
            every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
            names = [each.arg for each in every if each.arg not in ("self", "cls")]
            private = node.name.startswith("_") or node.name in OVERRIDDEN
            if len(names) > 2 and not private and "Args:" not in (ast.get_docstring(node) or ""):
                missing.append(f"{path.relative_to(PACKAGE)}: {node.name}")
    assert not missing


if __name__ == "__main__":
    rooms = by_room()
    for room in sorted(rooms, key=lambda room: -rooms[room]["contain"]):
        print(line(room, rooms[room]))
    print(line("all", sum(rooms.values(), Counter())))
