"""CONTRIBUTING.md describes the layout as it is, and its example of a method works."""

import re
import sys
from pathlib import Path

import pytest
from pages import ROOT, blocks

PAGE = ROOT / "CONTRIBUTING.md"
TEXT = PAGE.read_text()


@pytest.fixture
def rooms(monkeypatch):
    """The rooms that the test of the layers knows, from the top down."""
    monkeypatch.syspath_prepend(str(ROOT / "tests"))
    import test_layers

    return test_layers.ROOMS[::-1]


def test_contributing_layout_lists_the_rooms_from_the_top_down(rooms):
    (layout,) = [block.text for block in blocks(PAGE) if block.language == "text"]
    listed = re.findall(r"^  (\w+)(?:/|\.py) +\w", layout, re.MULTILINE)
    assert tuple(listed) == tuple(rooms)


def test_contributing_paths_exist():
    for name in re.findall(r"`((?:tests|losses|recipes|configs|tftransfer)/[\w/.]*)`", TEXT):
        path = Path(name)
        assert (ROOT / path).exists() or (ROOT / "tftransfer" / path).exists(), name


def test_contributing_reading_test_answers_name_what_exists():
    questions, answers = TEXT.partition("## Reading test")[2].split("<details>")
    asked = re.findall(r"^\d+\. ", questions, re.MULTILINE)
    given = re.findall(r"^\d+\. (.*(?:\n   .*)*)", answers, re.MULTILINE)
    assert len(asked) == len(given) == 20
    for answer in given:
        path, *names = re.findall(r"`([^`]+)`", answer)
        source = (ROOT / "tftransfer" / path).read_text()
        assert names and all(name in source for name in names), answer


@pytest.mark.slow
def test_contributing_method_trains_and_lowers_its_loss(tmp_path, monkeypatch):
    import numpy as np

    import tftransfer

    (code,) = [block.text for block in blocks(PAGE) if block.language == "python"]
    assert len(code.splitlines()) <= 45
    module = type(sys)("contributed")
    monkeypatch.setitem(sys.modules, "contributed", module)
    module.__dict__["__name__"] = "contributed"
    exec(compile(code, str(PAGE), "exec"), module.__dict__)
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 20)
    images = np.clip(60 * labels[:, None, None, None] + rng.normal(60, 20, (60, 16, 16, 3)), 0, 255)
    experiment = tftransfer.Experiment(
        data=(images.astype(np.uint8), labels),
        target_data=(255 - images).astype(np.uint8),
        backbone="small_cnn:width=4,depth=2",
        weights="none",
        image_size=16,
        recipe="scratch:epochs=5,augment=none+bnm:strength=0.5",
    )
    run = tftransfer.train(experiment, tmp_path / "run", export=False)
    losses = [row["NuclearNorm_loss"] for row in run.metrics()]
    # Between one class for all (a nuclear norm of 1 / sqrt(n)) and a perfect split among three.
    assert losses[-1] < losses[0] < 0
