"""Every public name has an example in its docstring, and the examples run."""

import doctest
import inspect

import pytest

import tftransfer

# More than 3 seconds on two busy cores.
SLOW = {"export"}
NAMES = [
    pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
    for name in tftransfer.__all__
    if name != "__version__"
]


@pytest.fixture(autouse=True)
def only_printed_output():
    """Hides the log, which the console handler would print between the outputs."""
    tftransfer.set_verbosity("warning")
    yield
    tftransfer.set_verbosity("info")


def examples_of(name):
    value = getattr(tftransfer, name)
    text = inspect.getdoc(value) or ""
    return doctest.DocTestParser().get_doctest(text, {}, f"tftransfer.{name}", None, 0)


@pytest.mark.parametrize("name", NAMES)
def test_example_of_each_public_name_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    test = examples_of(name)
    assert test.examples, f"the docstring of {name} has no example"
    output = []
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    doctest.DocTestRunner(optionflags=flags).run(test, out=output.append)
    assert not output, "".join(output)
