"""Damaged checkpoints are recognized, and a save that fails keeps the one before."""

import random
import resource
from pathlib import Path

import numpy as np
import pytest

from tftransfer.checkpoints import checkpoint, weights
from tftransfer.checkpoints.checkpoint import Checkpoint
from tftransfer.utils import files


def some_checkpoint(number):
    rng = np.random.default_rng(number)
    groups = {
        "weights": {"head/0000/kernel": rng.normal(size=(40, 30)).astype(np.float32)},
        "optimizer": {"0": np.array(number, np.int64)},
    }
    return Checkpoint(groups, {"phase": 0, "epoch": number, "step": 0})


def damage(path, rng):
    data = bytearray(path.read_bytes())
    way = rng.choice(("flip", "cut", "remove", "empty", "grow", "zero"))
    at = rng.randrange(len(data))
    if way == "remove":
        path.unlink()
        return
    if way == "flip":
        data[at] ^= 1 << rng.randrange(8)
    elif way == "zero":
        data[at : at + 64] = bytes(b ^ 255 for b in data[at : at + 64])
    else:
        data = {"cut": data[:at], "empty": b"", "grow": bytes(data) + b"x"}[way]
    path.write_bytes(data)


@pytest.mark.parametrize("seed", range(100))
def test_load_newest_with_any_damage_names_it_and_uses_the_one_before(tmp_path, seed):
    rng = random.Random(seed)
    for number in (1, 2):
        checkpoint.save(tmp_path, number, some_checkpoint(number))
    damage(rng.choice(sorted((tmp_path / "00000002").iterdir())), rng)
    found, warnings = checkpoint.load_newest(tmp_path)
    assert found.state["epoch"] == 1
    assert len(warnings) == 1 and "checkpoint 00000002 is damaged" in warnings[0]


def failing(error):
    def fail(*arguments, **options):
        raise error

    return fail


@pytest.mark.parametrize("what", ["write", "fsync", "rename", "full disk"])
def test_save_that_fails_keeps_the_one_before(tmp_path, monkeypatch, what):
    checkpoint.save(tmp_path, 1, some_checkpoint(1))
    with monkeypatch.context() as patch, pytest.raises(OSError, match=r"."):
        if what == "write":
            patch.setattr(weights, "write", failing(OSError(28, "No space left on device")))
        elif what == "fsync":
            patch.setattr(files.os, "fsync", failing(OSError(5, "Input/output error")))
        elif what == "rename":
            patch.setattr(Path, "rename", failing(OSError(5, "Input/output error")))
        else:
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            try:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
                checkpoint.save(tmp_path, 2, some_checkpoint(2))
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        checkpoint.save(tmp_path, 2, some_checkpoint(2))
    found, warnings = checkpoint.load_newest(tmp_path)
    assert found.state["epoch"] == 1 and not warnings
    checkpoint.save(tmp_path, 3, some_checkpoint(3))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000001", "00000003"]
