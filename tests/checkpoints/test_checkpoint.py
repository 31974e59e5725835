"""Checkpoints are whole or absent; arrays come back exactly, and damage is seen."""

import json

import keras
import numpy as np
import pytest

from tftransfer.checkpoints import checkpoint as checkpoints
from tftransfer.checkpoints import weights
from tftransfer.checkpoints.checkpoint import Checkpoint
from tftransfer.utils.errors import UserError


def checkpoint(number):
    groups = {
        "weights": {"head/0000/kernel": np.full((2, 3), number, np.float32)},
        "optimizer": {"0": np.array(number, np.int64), "1": np.zeros((0,), np.float32)},
    }
    return Checkpoint(groups, {"phase": 0, "epoch": number, "history": [0.5, None]})


def save(folder, *numbers):
    for number in numbers:
        checkpoints.save(folder, number, checkpoint(number))


def same(got, expected):
    assert got.state == expected.state
    assert got.groups.keys() == expected.groups.keys()
    for name, values in expected.groups.items():
        assert got.groups[name].keys() == values.keys()
        for key, value in values.items():
            assert got.groups[name][key].dtype == value.dtype
            np.testing.assert_array_equal(got.groups[name][key], value)


def test_save_keeps_the_last_two_and_load_newest_returns_the_last(tmp_path):
    assert checkpoints.load_newest(tmp_path / "none") is None
    save(tmp_path, 1, 2, 3)
    assert checkpoints.numbers(tmp_path) == [2, 3]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000002", "00000003"]
    got, remarks = checkpoints.load_newest(tmp_path)
    same(got, checkpoint(3))
    assert remarks == []


def test_save_with_the_same_number_replaces_the_checkpoint(tmp_path):
    save(tmp_path, 1)
    checkpoints.save(tmp_path, 1, checkpoint(7))
    same(checkpoints.load_newest(tmp_path)[0], checkpoint(7))


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def remove(path):
    path.unlink()


def empty(path):
    path.write_bytes(b"")


def a_list(path):
    path.write_text("[1, 2]")


@pytest.mark.parametrize(
    "name, damage, message",
    [
        ("weights.npz", cut, "weights.npz does not match its sha256"),
        ("weights.npz", flip, "weights.npz does not match its sha256"),
        ("optimizer.npz", remove, "optimizer.npz is missing"),
        ("state.json", flip, "state.json does not match its sha256"),
        ("state.json", empty, "state.json does not match its sha256"),
        ("manifest.json", remove, "manifest.json does not exist"),
        ("manifest.json", empty, "not valid JSON"),
        ("manifest.json", cut, "not valid JSON"),
        ("manifest.json", a_list, "damaged"),
    ],
)
def test_load_newest_damaged_checkpoint_uses_the_one_before(tmp_path, name, damage, message):
    save(tmp_path, 1, 2)
    damage(tmp_path / "00000002" / name)
    got, remarks = checkpoints.load_newest(tmp_path)
    same(got, checkpoint(1))
    assert len(remarks) == 1
    assert "00000002" in remarks[0]
    assert message in remarks[0]


def test_load_newest_all_damaged_is_an_error(tmp_path):
    save(tmp_path, 1, 2)
    for number in (1, 2):
        cut(tmp_path / f"{number:08d}" / "weights.npz")
    with pytest.raises(UserError, match=r"All checkpoints in .* are damaged"):
        checkpoints.load_newest(tmp_path)


def test_save_partial_folder_is_ignored_and_replaced(tmp_path):
    save(tmp_path, 1)
    half = tmp_path / ".00000002.part"
    half.mkdir()
    (half / "weights.npz").write_bytes(b"PK half")
    (tmp_path / "notes").mkdir()
    assert checkpoints.numbers(tmp_path) == [1]
    same(checkpoints.load_newest(tmp_path)[0], checkpoint(1))
    save(tmp_path, 2)
    assert not half.exists()
    same(checkpoints.load_newest(tmp_path)[0], checkpoint(2))


def test_save_that_fails_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    save(tmp_path, 1)

    def full(path, values):
        path.write_bytes(b"PK")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(weights, "write", full)
        with pytest.raises(OSError, match="No space"):
            save(tmp_path, 2)
    assert checkpoints.numbers(tmp_path) == [1]
    same(checkpoints.load_newest(tmp_path)[0], checkpoint(1))


def test_save_writes_the_sha256_of_every_file_to_the_manifest(tmp_path):
    save(tmp_path, 5)
    folder = tmp_path / "00000005"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert sorted(manifest) == ["optimizer.npz", "state.json", "weights.npz"]
    assert all(len(digest) == 64 for digest in manifest.values())


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.6, 0.99])
def test_read_truncated_npz_is_an_error_that_names_it(tmp_path, keep):
    path = tmp_path / "weights.npz"
    weights.write(path, {"a": np.arange(1000.0), "b": np.ones((3, 3))})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(UserError, match=r"weights\.npz cannot be read"):
        weights.read(path)


def test_read_flipped_bit_absent_file_or_pickle_is_an_error(tmp_path):
    path = tmp_path / "weights.npz"
    weights.write(path, {"a": np.arange(1000.0)})
    flip(path)
    with pytest.raises(UserError, match="cannot be read"):
        weights.read(path)
    with pytest.raises(UserError, match=r"absent\.npz cannot be read"):
        weights.read(tmp_path / "absent.npz")
    np.savez(path, a=np.array([{"code": 1}], dtype=object))
    with pytest.raises(UserError, match="cannot be read"):
        weights.read(path)


def layers(units=3):
    keras.utils.set_random_seed(0)
    made = [keras.layers.Dense(units, name="dense"), keras.layers.BatchNormalization(name="norm")]
    keras.Sequential([keras.Input((2,)), *made])
    return made


def test_assign_blocks_matches_by_position_not_by_layer_name(tmp_path):
    source = {"stage1": layers(), "head": layers(4)}
    for value, variable in enumerate(weights.variables_of([*source["stage1"], *source["head"]])):
        variable.assign(np.full(variable.shape, value))
    collected = weights.collect(source)
    places = [key.split("/")[:2] for key in collected]
    assert places[:2] == [["stage1", "0000"], ["stage1", "0001"]]
    assert places[6] == ["head", "0000"]
    weights.write(tmp_path / "w.npz", collected)
    target = {"head": layers(4), "stage1": layers()}
    target["head"][0].trainable = False
    weights.assign_blocks(target, weights.read(tmp_path / "w.npz"), tmp_path / "w.npz")
    for block in source:
        for ours, theirs in zip(*map(weights.variables_of, (target[block], source[block]))):
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize(
    "blocks, message",
    [
        ({"stage1": 5}, r"stage1/0000/.* has the shape \(2, 3\), the network's .* \(2, 5\)"),
        ({"stage9": 3}, "no weights for stage9"),
    ],
)
def test_assign_blocks_misfit_is_named_and_nothing_is_assigned(tmp_path, blocks, message):
    stored = weights.collect({"stage1": layers()})
    target = {name: layers(units) for name, units in blocks.items()}
    target = {"first": layers(), **target}
    stored |= weights.collect({"first": layers()})
    for variable in weights.variables_of(target["first"]):
        variable.assign(np.full(variable.shape, 9.0))
    with pytest.raises(UserError, match=message):
        weights.assign_blocks(target, stored, tmp_path / "w.npz")
    assert all((v.numpy() == 9).all() for v in weights.variables_of(target["first"]))


def test_digest_depends_on_values_shapes_dtypes_and_order():
    a, b = np.arange(6.0, dtype=np.float32), np.ones(2, np.float32)
    reference = weights.digest([a, b])
    assert len(reference) == 64
    assert weights.digest([a.copy(), b]) == reference
    assert weights.digest([keras.Variable(a), keras.Variable(b)]) == reference
    changed = a.copy()
    changed[3] = np.nextafter(changed[3], 9)
    others = [
        [b, a],
        [a],
        [a.reshape(2, 3), b],
        [a.astype(np.float64), b],
        [changed, b],
        [a, b, np.zeros((0,), np.float32)],
    ]
    digests = {weights.digest(other) for other in others}
    assert len(digests) == len(others)
    assert reference not in digests


def test_digest_does_not_depend_on_memory_layout():
    a = np.arange(6.0).reshape(2, 3)
    assert weights.digest([np.asfortranarray(a)]) == weights.digest([a])
    assert weights.digest([a[:, ::-1]]) == weights.digest([a[:, ::-1].copy()])
