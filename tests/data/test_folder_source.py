import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tftransfer.data.scan import scan
from tftransfer.data.sources import from_folder, list_files, read_source
from tftransfer.utils.errors import UserError


def _tree(root, *files):
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def test_one_folder_per_class(picture_folder):
    found = read_source(str(picture_folder))
    assert found.classes == ("blue", "green", "red") and found.problem_type == "single_label"
    assert len(found) == 36 and np.bincount(found.labels).tolist() == [12, 12, 12]
    assert found.labels.dtype == np.int64 and set(found.splits) == {""}
    assert found.names[0] == os.path.join("blue", "blue00.png")
    for name, item, label in zip(found.names, found.items, found.labels):
        assert item == str(picture_folder / name)
        assert name.startswith(found.classes[label])


def test_a_folder_of_pictures_passes_the_scan(picture_folder):
    found = scan(from_folder(picture_folder))
    assert len(set(found.sha256)) == 36 and found.quarantine == ()


@pytest.mark.parametrize(
    "folders",
    [("train", "val", "test"), ("Training", "dev", "testing"), ("train", "validation", "TEST")],
)
def test_given_parts(tmp_path, folders):
    names = [f"{folder}/{label}/{k}.png" for folder in folders for label in "ab" for k in range(2)]
    found = from_folder(_tree(tmp_path, *names))
    assert found.classes == ("a", "b")
    splits = dict(zip(found.names, found.splits))
    for folder, part in zip(folders, ("train", "val", "test")):
        assert splits[os.path.join(folder, "a", "1.png")] == part
    assert [len(found.where(part)) for part in ("train", "val", "test")] == [4, 4, 4]


def test_a_class_may_be_absent_from_a_part(tmp_path):
    found = from_folder(_tree(tmp_path, "train/a/1", "train/b/1", "test/b/2"))
    assert found.classes == ("a", "b")
    assert found.labels[found.where("test")].tolist() == [1]


def test_part_names_beside_others_are_classes(tmp_path):
    found = from_folder(_tree(tmp_path, "train/1.png", "plane/1.png"))
    assert found.classes == ("plane", "train") and set(found.splits) == {""}


def test_files_of_systems_are_no_examples(tmp_path):
    root = _tree(
        tmp_path,
        "a/1.jpg",
        "a/._1.jpg",
        "a/.DS_Store",
        "a/Thumbs.db",
        "b/1.jpg",
        "notes.txt",
        "__MACOSX/a/1.jpg",
        ".ipynb_checkpoints/1.jpg",
        "b/.ipynb_checkpoints/1.jpg",
    )
    found = from_folder(root)
    assert found.names == [os.path.join("a", "1.jpg"), os.path.join("b", "1.jpg")]
    assert found.warnings == ("6 that systems leave are ignored: .ipynb_checkpoints ...",)


def test_deeper_folders_belong_to_their_class_and_the_order_is_fixed(tmp_path):
    _tree(tmp_path, "a/z/1.jpg", "a/y/2.jpg", "a/3.jpg", "b/grün\n[*].jpg")
    below = [os.path.relpath(path, tmp_path) for path in list_files(tmp_path)]
    assert below == ["a/3.jpg", "a/y/2.jpg", "a/z/1.jpg", "b/grün\n[*].jpg"]
    assert from_folder(tmp_path).labels.tolist() == [0, 0, 0, 1]


def test_classes_that_differ_only_in_case_are_remarked(tmp_path):
    found = from_folder(_tree(tmp_path, "A/1", "a/1", "b/1"))
    assert found.classes == ("A", "a", "b")
    assert found.warnings == ("classes that differ only in case: A, a",)
    assert from_folder(_tree(tmp_path / "other", "a/1", "b/1")).warnings == ()


@pytest.mark.parametrize(
    ("files", "empty", "what"),
    [
        ((), (), "has 0 class folders"),
        (("1.jpg", "2.jpg"), (), "has 0 class folders"),
        (("only/1.jpg",), (), r"has 1 class folders \(only\)"),
        (("train/a/1.jpg", "test/a/2.jpg"), (), r"has 1 class folders \(a\)"),
        (("a/1.jpg",), ("b",), "class folder .*b has no files"),
        (("a/1.jpg", "b/._1.jpg"), (), "class folder .*b has no files"),
    ],
)
def test_folders_without_classes_are_refused(tmp_path, files, empty, what):
    _tree(tmp_path, *files)
    for name in empty:
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=what):
        from_folder(tmp_path)


@pytest.mark.parametrize("target", ["..", "../.."])
def test_a_link_to_a_folder_above_is_refused(tmp_path, target):
    root = _tree(tmp_path / "x" / "data", "a/1.jpg", "b/1.jpg")
    (root / "loop").symlink_to(Path(target) / ("data" if target == ".." else "x"))
    with pytest.raises(UserError, match="loop is a link to a folder above it"):
        from_folder(root)


def test_a_linked_class_folder_is_read_and_a_nested_loop_ends(tmp_path):
    _tree(tmp_path, "elsewhere/1.jpg", "data/a/1.jpg")
    (tmp_path / "data" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "a" / "loop").symlink_to(tmp_path / "data")
    found = from_folder(tmp_path / "data")
    assert found.names == [os.path.join("a", "1.jpg"), os.path.join("b", "1.jpg")]


@pytest.mark.parametrize("blocked", ["a", os.path.join("a", "deep"), ""])
def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch, blocked):
    root = _tree(tmp_path / "data", "a/1.jpg", "a/deep/2.jpg", "b/1.jpg")
    real = {"scandir": os.scandir, "listdir": os.listdir}

    def guarded(name):
        def call(path="."):
            if os.fspath(path) == os.path.normpath(root / blocked):
                raise PermissionError(13, "Permission denied", os.fspath(path))
            return real[name](path)

        return call

    for name in real:
        monkeypatch.setattr(os, name, guarded(name))
    with pytest.raises(UserError, match="cannot be read: Permission denied") as caught:
        from_folder(root)
    assert caught.value.what.startswith(os.path.normpath(root / blocked))


@pytest.mark.parametrize(
    ("data", "what", "remedy"),
    [
        ("", "No data were given", "--data"),
        (None, "No data were given", "--data"),
        ("photo", "photo does not exist", "Did you mean photos?"),
        ("no/where", "where does not exist", "Nor does"),
        ("archive.zip", "is no zip or tar file", "Give a folder"),
        ("notes.txt", "file of a kind that is not understood", "sub-folder per class"),
        ("absent.csv", "absent.csv does not exist", "Available: archive.zip, notes.txt, photos."),
    ],
)
def test_data_that_are_not_there(tmp_path, monkeypatch, data, what, remedy):
    _tree(tmp_path, "photos/a/1.jpg", "archive.zip", "notes.txt")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=what) as caught:
        read_source(data)
    assert remedy in caught.value.remedy


def test_paths_may_be_paths_and_begin_at_home(picture_folder, monkeypatch):
    monkeypatch.setenv("HOME", str(picture_folder.parent))
    assert len(read_source(Path("~/pictures"))) == len(read_source(picture_folder)) == 36


def test_examples_pass_through(picture_folder):
    found = from_folder(picture_folder)
    assert read_source(found) is found


def test_real_photos_from_an_archive(shared_data, tmp_path):
    with zipfile.ZipFile(shared_data / "flowers" / "flowers.zip") as archive:
        pictures = sorted(n for n in archive.namelist() if n.lower().endswith((".jpg", ".png")))
        classes = sorted({Path(name).parent.name for name in pictures})
        assert len(classes) > 1
        for name in classes:
            for number, picture in enumerate(p for p in pictures if Path(p).parent.name == name):
                if number < 2:
                    target = tmp_path / name / Path(picture).name
                    target.parent.mkdir(exist_ok=True)
                    with archive.open(picture) as source, target.open("wb") as file:
                        shutil.copyfileobj(source, file)
    found = scan(from_folder(tmp_path), max_quarantine=0.0)
    assert found.classes == tuple(classes) and len(found) == 2 * len(classes)


def test_links_that_lead_out_or_are_not_followed_are_said(picture_folder, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    one = next((picture_folder / "red").iterdir())
    (outside / "x.png").write_bytes(one.read_bytes())
    assert from_folder(picture_folder).warnings == ()
    (picture_folder / "red" / "link.png").symlink_to(outside / "x.png")
    (picture_folder / "red" / "deep").symlink_to(outside)
    (picture_folder / "red" / "inside.png").symlink_to(one)
    first, second = from_folder(picture_folder).warnings
    assert first.startswith("1 links lead out of") and first.endswith("link.png")
    assert second == f"1 linked folders are not looked into: {picture_folder / 'red' / 'deep'}"


def test_a_link_to_itself_is_left_to_the_scan(picture_folder):
    (picture_folder / "red" / "loop.jpg").symlink_to("loop.jpg")
    found = scan(from_folder(picture_folder), max_quarantine=1.0)
    assert [entry.name for entry in found.quarantine] == ["red/loop.jpg"]
