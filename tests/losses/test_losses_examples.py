"""The examples in the docstrings of the losses give the results that they show."""

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

from tftransfer import losses

ROOM = Path(inspect.getfile(losses)).parent


def modules():
    for path in sorted(ROOM.rglob("*.py")):
        parts = path.relative_to(ROOM.parent).with_suffix("").parts
        yield ".".join(["tftransfer", *(part for part in parts if part != "__init__")])


@pytest.mark.parametrize("name", list(modules()))
def test_examples_of_losses_give_the_results_shown(name):
    runner = doctest.DocTestRunner()
    for test in doctest.DocTestFinder().find(importlib.import_module(name)):
        if not test.name.endswith(".register_loss"):  # a public name, whose example runs elsewhere
            runner.run(test)
    assert not runner.failures


@pytest.mark.parametrize("info", losses.list_losses(), ids=lambda info: info.name)
def test_every_loss_has_an_example_and_a_documented_default_for_each_field(info):
    doc = inspect.getdoc(getattr(losses, info.name))
    assert ">>> " in doc
    own = [field for field in info.fields if field not in ("weight", "ramp")]
    assert [field for field in own if f"\n  {field}: " not in doc] == []
