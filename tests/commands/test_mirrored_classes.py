"""Classes that are mirror images of each other are named before training; the remedy works."""

import shlex

import numpy as np
import pytest
from PIL import Image

import tftransfer
from tftransfer.cli.main import main

SIDE = 32


@pytest.fixture(scope="module")
def signs(tmp_path_factory):
    """Folders `left` and `right` of stripes that are brightest on that side of each."""
    root = tmp_path_factory.mktemp("signs")
    rng = np.random.default_rng(0)
    for name in ("left", "right"):
        (root / name).mkdir()
        for number in range(60):
            stripes = (np.arange(SIDE) + rng.integers(8)) % 8 * 30
            pixels = stripes[None, :, None] + rng.integers(0, 40, (SIDE, SIDE, 3))
            pixels = pixels[:, ::-1] if name == "left" else pixels
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{number}.png")
    return root


def settings(data, backbone, **changes):
    fields = {"recipe": "fine_tune:augment=crop", "epochs": 6} | changes
    return tftransfer.Experiment(data=str(data), backbone=str(backbone.workdir), **fields)


def test_mirrored_classes_are_named_before_training_and_the_remedy_learns_them(
    signs, source_run, tmp_path, log_lines
):
    run = tftransfer.train(settings(signs, source_run), tmp_path / "run", export=False)
    (warning,) = [line for line in log_lines if line.startswith("warning   mirrored images have")]
    before = next(n for n, line in enumerate(log_lines) if " 1/" in line)
    assert log_lines.index(warning) < before
    assert "mirrored images have other labels" in run.result["verdict"][1]
    command = shlex.split(warning.rpartition("; ")[2])
    assert command[0] == "tftransfer"
    assert main([*command[1:], "--noexport"]) == 0
    shifted = tftransfer.load(tmp_path / "run-shift")
    assert shifted.result["test"]["accuracy"] >= 0.95 > run.result["test"]["accuracy"]
    assert "mirrored" not in shifted.result["baselines"]["linear_probe"]
    assert not any("mirrored images" in line for line in shifted.result["verdict"])
