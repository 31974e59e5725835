"""The cache on disk: found again, never stale, complete or absent, bounded."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from tftransfer.features.disk_cache import FeatureCache
from tftransfer.features.store import FeatureStore, Key
from tftransfer.preprocessing.image.preprocessor import ImagePreprocessor
from tftransfer.utils.errors import UserError

KEY = Key("stage1", 0, "none", "weights")
SHAPES = [(4,), (2, 3)]


class CountingInputs:
    """Pictures that count how often they are asked for."""

    def __init__(self, count):
        self.array = np.arange(count * 12, dtype=np.uint8).reshape(count, 2, 2, 3)
        self.asked = []
        self.preprocessor = ImagePreprocessor(2)

    def batches(self, indices, size):
        self.asked += indices.tolist()
        for start in range(0, len(indices), size):
            yield self.array[indices[start : start + size]]


def prefix(pixels):
    flat = np.asarray(pixels).reshape(len(pixels), -1)
    return [flat[:, :4], flat[:, 4:10].reshape(-1, 2, 3)]


def store_of(folder, ids, *, basis="form", seed=0, limit=1 << 30):
    pixels = CountingInputs(len(ids))
    cache = FeatureCache(folder, limit)
    return FeatureStore(pixels, ids, seed, cache=cache, basis=basis), pixels


def filled(folder, ids, key=KEY, **options):
    store, pixels = store_of(folder, ids, **options)
    store.fill(key, np.arange(len(ids)), prefix, SHAPES)
    store.close()
    return store, pixels


def test_a_later_store_computes_nothing_and_gives_the_same(tmp_path):
    first, pixels = filled(tmp_path, list("abcdef"))
    assert len(pixels.asked) == 6
    second, pixels = filled(tmp_path, list("abcdef"))
    assert pixels.asked == [] and second.found == 6
    some = np.array([5, 0, 0, 3])
    for a, b in zip(first.get(KEY, some), second.get(KEY, some), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == np.float32


def test_rows_are_found_by_content_in_any_order_and_only_new_ones_are_computed(tmp_path):
    first, _ = filled(tmp_path, list("abc"))
    kept = dict(zip("abc", first.get(KEY, np.arange(3))[0]))
    second, pixels = filled(tmp_path, list("cxab"))
    assert pixels.asked == [1]
    got = second.get(KEY, np.arange(4))[0]
    for row, name in ((0, "c"), (2, "a"), (3, "b")):
        np.testing.assert_array_equal(got[row], kept[name])
    third, pixels = filled(tmp_path, list("xbca"))
    assert pixels.asked == []
    np.testing.assert_array_equal(third.get(KEY, np.array([0]))[0], got[[1]])


@pytest.mark.parametrize(
    "change",
    [
        {"ids": list("abd")},
        {"basis": "another form"},
        {"key": Key("stage2", 0, "none", "weights")},
        {"key": Key("stage1", 0, "none", "other weights")},
        {"key": Key("stage1", 1, "mirror", "weights")},
        {"key": Key("stage1", 2, "crop", "weights")},
    ],
    ids=["pixel", "form", "cut", "weight", "view", "augment"],
)
def test_whatever_changes_the_numbers_misses(tmp_path, change):
    filled(tmp_path, list("abc"))
    settings = {"ids": list("abc"), "key": KEY} | change
    _, pixels = filled(tmp_path, **settings)
    assert pixels.asked


def test_a_random_views_seed_counts_and_a_plain_views_does_not(tmp_path):
    crop = Key("stage1", 2, "crop", "weights")
    for key, recomputed in ((crop, True), (KEY, False)):
        filled(tmp_path, list("abc"), key=key, seed=0)
        _, pixels = filled(tmp_path, list("abc"), key=key, seed=1)
        assert bool(pixels.asked) == recomputed


def test_what_was_used_longest_ago_goes_first(tmp_path):
    keys = [Key(f"stage{k}", 0, "none", "weights") for k in range(3)]
    for age, key in enumerate(keys):
        store, _ = filled(tmp_path, list("abc"), key=key)
        entry = store._entry(FeatureCache(tmp_path), key)
        os.utime(entry, (time.time() - 100 + age,) * 2)
    held = sum(f.stat().st_size for f in (tmp_path / "features").rglob("*.npy"))
    filled(tmp_path, list("abc"), key=keys[0])  # used again: now stage1 is the oldest
    new = Key("new", 0, "none", "weights")
    filled(tmp_path, list("abc"), key=new, limit=held + 64)
    asked = [bool(filled(tmp_path, list("abc"), key=key)[1].asked) for key in (*keys, new)]
    assert asked == [False, True, False, False]


def test_copies_have_one_row_also_for_a_later_store(tmp_path):
    """Their views are random by place, so a later process must find what the first one used."""
    first, pixels = store_of(tmp_path, list("abab"))
    first.fill(KEY, np.arange(4), prefix, SHAPES)
    assert pixels.asked == [0, 1]
    got = [x.copy() for x in first.get(KEY, np.arange(4))]
    np.testing.assert_array_equal(got[0][:2], got[0][2:])
    first.close()
    later, _ = store_of(tmp_path, list("abab"))
    assert later.has(KEY, np.arange(4))
    for a, b in zip(got, later.get(KEY, np.arange(4)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_room_is_made_while_shards_are_renamed(tmp_path, monkeypatch):
    filled(tmp_path, list("abc"))
    walk = os.walk

    def late(entry):
        for folder in list(entry.iterdir()):
            folder.rename(folder.with_name(f"{folder.name}-moved"))
        return walk(entry)

    monkeypatch.setattr(os, "walk", late)
    FeatureCache(tmp_path, 1 << 20).make_room(1)
    assert list((tmp_path / "features").iterdir())


def test_what_a_store_holds_stays_readable_when_it_is_evicted(tmp_path):
    store, _ = filled(tmp_path, list("abc"))
    second, _ = store_of(tmp_path, list("abc"))
    assert second.has(KEY, np.arange(3))
    before = store.get(KEY, np.arange(3))
    FeatureCache(tmp_path, 0).make_room(1)
    assert not list((tmp_path / "features").iterdir())
    for a, b in zip(before, second.get(KEY, np.arange(3)), strict=True):
        np.testing.assert_array_equal(a, b)


PROGRAM = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    import numpy as np
    sys.path.insert(0, sys.argv[2])
    from test_feature_cache import KEY, SHAPES, prefix, store_of

    store, pixels = store_of(Path(sys.argv[1]), [f"{i:03}" for i in range(200)])
    calls = []
    def slow(batch):
        calls.append(1)
        print("batch", flush=True)
        time.sleep(float(sys.argv[3]))
        return prefix(batch)
    store.fill(KEY, np.arange(200), slow, SHAPES)
    store.close()
    """
)


def started(folder, pause):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), os.path.dirname(__file__), str(pause)],
        stdout=subprocess.PIPE,
        text=True,
    )


def expect_right(folder):
    store, pixels = filled(folder, [f"{i:03}" for i in range(200)])
    expected = prefix(CountingInputs(200).array)
    for a, b in zip(store.get(KEY, np.arange(200)), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    return pixels


def test_two_processes_at_once(tmp_path):
    both = [started(tmp_path, 0.05) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    for process in both:
        process.stdout.close()
    assert expect_right(tmp_path).asked == []


def test_a_killed_process_leaves_nothing_that_is_read(tmp_path):
    process = started(tmp_path, 60)
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert len(expect_right(tmp_path).asked) == 200
    (left,) = (tmp_path / "features").glob("*/.*")
    os.utime(left, (0, 0))
    FeatureCache(tmp_path, 1 << 30).make_room(0)
    assert not left.exists()


def test_a_folder_that_cannot_be_made_is_two_lines(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made") as caught:
        FeatureCache.of_user(str(tmp_path / "file" / "cache"))
    assert "--cache_bytes=0" in caught.value.remedy
    assert FeatureCache.of_user(str(tmp_path), 0) is None


def test_a_full_disk_is_two_lines_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match="no room: No space left") as caught:
        filled(tmp_path, list("abc"))
    assert "--cache_bytes=0" in caught.value.remedy
    assert not list((tmp_path / "features").glob("*/.*"))
