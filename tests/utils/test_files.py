"""Atomic writes: a reader finds the old content or the new one, and never a part of it."""

import os

import pytest

from tftransfer.utils import files


def test_atomic_file_replaces_the_old_content_on_success(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with files.atomic_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("exclusive", [False, True])
def test_atomic_file_keeps_the_old_content_when_the_block_raises(tmp_path, exclusive):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), files.atomic_file(path, exclusive=exclusive) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_atomic_file_names_differ_unless_the_writer_is_exclusive(tmp_path):
    path = tmp_path / "a.txt"
    with files.atomic_file(path) as shared, files.atomic_file(path, exclusive=True) as fixed:
        assert str(os.getpid()) in shared.name
        assert fixed.name == ".a.txt.part"
        shared.write_text("1")
        fixed.write_text("2")
    assert path.read_text() == "1"  # the outer block ends last


@pytest.mark.parametrize("durable", [False, True])
def test_atomic_folder_replaces_the_old_folder_and_deletes_leftovers(tmp_path, durable):
    folder, leftover = tmp_path / "export", tmp_path / ".export.part"
    for each in (folder, leftover):
        each.mkdir()
        (each / "old.txt").write_text("old")
    with files.atomic_folder(folder, durable=durable) as temporary:
        (temporary / "new.txt").write_text("new")
        assert os.listdir(folder) == ["old.txt"]
    assert os.listdir(folder) == ["new.txt"]
    assert os.listdir(tmp_path) == ["export"]


def test_atomic_folder_keeps_the_old_folder_when_the_block_raises(tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "old.txt").write_text("old")
    with pytest.raises(RuntimeError), files.atomic_folder(folder) as temporary:
        (temporary / "half.txt").write_text("half")
        raise RuntimeError
    assert os.listdir(folder) == ["old.txt"]
    assert os.listdir(tmp_path) == ["export"]


def test_atomic_folder_is_replaced_where_the_system_cannot_swap_names(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_exchange", lambda first, second: False)
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "old.txt").write_text("old")
    with files.atomic_folder(folder) as temporary:
        (temporary / "new.txt").write_text("new")
    assert os.listdir(folder) == ["new.txt"]
    assert os.listdir(tmp_path) == ["export"]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_atomic_folder_replaces_nested_files(tmp_path, monkeypatch, can_exchange):
    if not can_exchange:
        monkeypatch.setattr(files, "_exchange", lambda *_: False)
    for content in ("one", "two"):
        with files.atomic_folder(tmp_path / "export") as part:
            (part / "deep").mkdir()
            (part / "deep" / "file").write_text(content)
        assert (tmp_path / "export" / "deep" / "file").read_text() == content
        assert [path.name for path in tmp_path.iterdir()] == ["export"]
