"""The cache on disk: features are found again, never stale, complete or absent, and bounded."""

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
from tftransfer.features.store import FeatureKey, FeatureStore
from tftransfer.features.views import View
from tftransfer.preprocessing.image.preprocessor import ImagePreprocessor
from tftransfer.utils.errors import UserError

SHAPES = [(4,), (2, 3)]


def key_of(boundary="stage1", number=0, augment="none", weights="weights", seed=0):
    view = View(number=number, augment=augment, seed=seed if augment == "crop" else None)
    return FeatureKey(boundary=boundary, view=view, weights=weights)


KEY = key_of()


class CountingInputs:
    """Images that record the indices that were read."""

    def __init__(self, count):
        self.array = np.arange(count * 12, dtype=np.uint8).reshape(count, 2, 2, 3)
        self.read = []
        self.preprocessor = ImagePreprocessor(2)

    def batches(self, indices, size):
        self.read += indices.tolist()
        for start in range(0, len(indices), size):
            yield self.array[indices[start : start + size]]


def forward(pixels):
    flat = np.asarray(pixels).reshape(len(pixels), -1)
    return [flat[:, :4], flat[:, 4:10].reshape(-1, 2, 3)]


def store_of(folder, ids, *, basis="basis", max_bytes=1 << 30):
    pixels = CountingInputs(len(ids))
    cache = FeatureCache(folder, max_bytes)
    return FeatureStore(pixels, ids, cache=cache, basis=basis), pixels


def filled(folder, ids, key=KEY, **options):
    store, pixels = store_of(folder, ids, **options)
    store.fill(key, np.arange(len(ids)), forward, SHAPES)
    store.close()
    return store, pixels


def test_cache_later_store_reads_the_same_features(tmp_path):
    first, pixels = filled(tmp_path, list("abcdef"))
    assert len(pixels.read) == 6
    second, pixels = filled(tmp_path, list("abcdef"))
    assert pixels.read == [] and second.rows_found == 6
    some = np.array([5, 0, 0, 3])
    for a, b in zip(first.get(KEY, some), second.get(KEY, some), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == np.float32


def test_cache_finds_rows_by_content_in_any_order(tmp_path):
    first, _ = filled(tmp_path, list("abc"))
    kept = dict(zip("abc", first.get(KEY, np.arange(3))[0]))
    second, pixels = filled(tmp_path, list("cxab"))
    assert pixels.read == [1]
    got = second.get(KEY, np.arange(4))[0]
    for row, name in ((0, "c"), (2, "a"), (3, "b")):
        np.testing.assert_array_equal(got[row], kept[name])
    third, pixels = filled(tmp_path, list("xbca"))
    assert pixels.read == []
    np.testing.assert_array_equal(third.get(KEY, np.array([0]))[0], got[[1]])


@pytest.mark.parametrize(
    "change",
    [
        {"ids": list("abd")},
        {"basis": "another basis"},
        {"key": key_of("stage2")},
        {"key": key_of(weights="other weights")},
        {"key": key_of(number=1, augment="mirror")},
        {"key": key_of(number=2, augment="crop")},
    ],
    ids=["pixel", "basis", "boundary", "weight", "view", "augment"],
)
def test_cache_misses_where_a_value_that_features_depend_on_changed(tmp_path, change):
    filled(tmp_path, list("abc"))
    settings = {"ids": list("abc"), "key": KEY} | change
    _, pixels = filled(tmp_path, **settings)
    assert pixels.read


def test_cache_key_has_the_seed_of_random_views_only(tmp_path):
    for augment, recomputed in (("crop", True), ("none", False)):
        filled(tmp_path, list("abc"), key=key_of(number=2, augment=augment, seed=0))
        key = key_of(number=2, augment=augment, seed=1)
        _, pixels = filled(tmp_path, list("abc"), key=key)
        assert bool(pixels.read) == recomputed


def test_cache_deletes_the_least_recently_used_entry_first(tmp_path):
    keys = [key_of(f"stage{k}") for k in range(3)]
    for age, key in enumerate(keys):
        store, _ = filled(tmp_path, list("abc"), key=key)
        entry = store._entry(FeatureCache(tmp_path), key)
        os.utime(entry, (time.time() - 100 + age,) * 2)
    held = sum(f.stat().st_size for f in (tmp_path / "features").rglob("*.npy"))
    filled(tmp_path, list("abc"), key=keys[0])  # used again: now stage1 is the oldest
    new = key_of("new")
    filled(tmp_path, list("abc"), key=new, max_bytes=held + 64)
    read = [bool(filled(tmp_path, list("abc"), key=key)[1].read) for key in (*keys, new)]
    assert read == [False, True, False, False]


def test_cache_copies_of_an_image_share_one_row(tmp_path):
    """A later process finds the row that the first one computed."""
    first, pixels = store_of(tmp_path, list("abab"))
    first.fill(KEY, np.arange(4), forward, SHAPES)
    assert pixels.read == [0, 1]
    got = [x.copy() for x in first.get(KEY, np.arange(4))]
    np.testing.assert_array_equal(got[0][:2], got[0][2:])
    first.close()
    later, _ = store_of(tmp_path, list("abab"))
    assert later.has(KEY, np.arange(4))
    for a, b in zip(got, later.get(KEY, np.arange(4)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_cache_make_room_while_shards_are_renamed_succeeds(tmp_path, monkeypatch):
    filled(tmp_path, list("abc"))
    walk = os.walk

    def late(entry):
        for folder in list(entry.iterdir()):
            folder.rename(folder.with_name(f"{folder.name}-moved"))
        return walk(entry)

    monkeypatch.setattr(os, "walk", late)
    FeatureCache(tmp_path, 1 << 20).make_room(1)
    assert list((tmp_path / "features").iterdir())


def test_cache_evicted_entry_stays_readable_for_an_open_store(tmp_path):
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
    from test_disk_cache import KEY, SHAPES, forward, store_of

    store, pixels = store_of(Path(sys.argv[1]), [f"{i:03}" for i in range(200)])
    calls = []
    def slow(batch):
        calls.append(1)
        print("batch", flush=True)
        time.sleep(float(sys.argv[3]))
        return forward(batch)
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


def assert_complete(folder):
    store, pixels = filled(folder, [f"{i:03}" for i in range(200)])
    expected = forward(CountingInputs(200).array)
    for a, b in zip(store.get(KEY, np.arange(200)), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    return pixels


def test_cache_two_processes_at_once_fill_one_entry(tmp_path):
    both = [started(tmp_path, 0.05) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    for process in both:
        process.stdout.close()
    assert assert_complete(tmp_path).read == []


def test_cache_killed_process_leaves_no_features(tmp_path):
    process = started(tmp_path, 60)
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert len(assert_complete(tmp_path).read) == 200
    (left,) = (tmp_path / "features").glob("*/.*")
    os.utime(left, (0, 0))
    FeatureCache(tmp_path, 1 << 30).make_room(0)
    assert not left.exists()


def test_cache_folder_that_cannot_be_created_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be created") as caught:
        FeatureCache.open(str(tmp_path / "file" / "cache"))
    assert "--cache_bytes=0" in caught.value.remedy
    assert FeatureCache.open(str(tmp_path), 0) is None


def test_cache_full_disk_is_an_error_and_leaves_no_files(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match="out of disk space: No space left") as caught:
        filled(tmp_path, list("abc"))
    assert "--cache_bytes=0" in caught.value.remedy
    assert not list((tmp_path / "features").glob("*/.*"))
