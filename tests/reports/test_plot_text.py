"""Names in plots: literal, shortened but distinct, numbered where no font has their characters."""

import matplotlib
import numpy as np
import pytest
from matplotlib.text import Text

from tftransfer.reports import plots
from tftransfer.reports.plot_text import labels, literal_text, undrawable

FORMULAS = ["$", "$$", "US$_to_EU$", "$\\frac{", "a_b^c", "%", "\\n", "two\nlines", "_hidden"]
# Characters of private use, which no font is expected to have.
UNKNOWN = "class \U000f1234"


def drawn(plot, monkeypatch):
    """The texts that a plot draws, and whether each is literal."""
    texts = {}
    draw = Text.draw

    def record(self, *args, **kwargs):
        texts[self.get_text()] = not self.get_parse_math() and not self.get_usetex()
        return draw(self, *args, **kwargs)

    monkeypatch.setattr(Text, "draw", record)
    plot()
    return texts


@pytest.mark.parametrize("settings", [{}, {"text.usetex": True}, {"text.parse_math": True}])
def test_class_names_are_literal_whatever_the_settings(tmp_path, monkeypatch, settings):
    counts = np.eye(len(FORMULAS), dtype=int) * 5
    with matplotlib.rc_context(settings):
        texts = drawn(
            lambda: plots.confusion_matrix(counts, FORMULAS, tmp_path / "c.png"), monkeypatch
        )
    assert [name for name in FORMULAS if not texts.get(name.replace("\n", "\\n"))] == []


def test_names_of_phases_blocks_and_recipes_are_literal(tmp_path, monkeypatch):
    phases = [{"name": "$x", "rates": {"$stage$": 0.0, "head": 1.0}}]
    texts = drawn(lambda: plots.trained_blocks(phases, tmp_path / "b.png"), monkeypatch)
    assert texts["$x"] and texts["$stage$"]
    row = {"recipe": "$a$+$b$", "value": 0.5, "low": 0.4, "high": 0.6}
    texts = drawn(lambda: plots.intervals([row], "accuracy", tmp_path / "i.png"), monkeypatch)
    assert texts["$a$+$b$"]
    records = [{"phase": "$\\int$", "epoch": 1, "loss": 1.0}]
    texts = drawn(lambda: plots.learning_curves(records, tmp_path / "l.png"), monkeypatch)
    assert texts["$\\int$"]


@literal_text
def labels_of(names, **settings):
    return labels(names, **settings)


def test_shortened_names_that_become_the_same_get_their_numbers():
    long = "x" * 40
    assert (
        labels_of(["a", "a", f"{long}1", f"{long}2"])
        == [
            "a",
            "a",
            f"{'x' * 27}…",
            f"{'x' * 27}… #3",
        ]
        or len(set(labels_of(["a", f"{long}1", f"{long}2"]))) == 3
    )
    assert len(set(labels_of([f"{long}1", f"{long}2"]))) == 2


def test_name_without_glyphs_is_numbered_without_a_warning(tmp_path):
    assert labels_of(["a", UNKNOWN]) == ["a", "#1"]
    assert undrawable(["a", UNKNOWN]) == {1: UNKNOWN}
    plots.confusion_matrix(np.eye(2, dtype=int), ["a", UNKNOWN], tmp_path / "c.png")
