"""Folders of examples: classes, splits, links, system files."""

import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tftransfer.data.folder_tree import Skipped, read_folder
from tftransfer.data.folders import from_folder
from tftransfer.data.scan import scan
from tftransfer.readers.sources import read_source
from tftransfer.utils.errors import UserError


def _tree(root, *files):
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def test_from_folder_reads_one_class_per_sub_folder(image_folder):
    found = read_source(str(image_folder))
    assert found.classes == ("blue", "green", "red") and found.problem_type == "single_label"
    assert len(found) == 36 and np.bincount(found.labels).tolist() == [12, 12, 12]
    assert found.labels.dtype == np.int64 and set(found.splits) == {""}
    assert found.names[0] == os.path.join("blue", "blue00.png")
    for name, item, label in zip(found.names, found.items, found.labels):
        assert item == str(image_folder / name)
        assert name.startswith(found.classes[label])


def test_from_folder_finds_images_that_pass_the_scan(image_folder):
    found = scan(from_folder(image_folder))
    assert len(set(found.sha256)) == 36 and found.quarantine == ()


@pytest.mark.parametrize(
    "folders",
    [("train", "val", "test"), ("Training", "dev", "testing"), ("train", "validation", "TEST")],
)
def test_from_folder_reads_splits_by_their_names(tmp_path, folders):
    names = [f"{folder}/{label}/{k}.png" for folder in folders for label in "ab" for k in range(2)]
    found = from_folder(_tree(tmp_path, *names))
    assert found.classes == ("a", "b")
    splits = dict(zip(found.names, found.splits))
    for folder, name in zip(folders, ("train", "val", "test")):
        assert splits[os.path.join(folder, "a", "1.png")] == name
    assert [len(found.where(name)) for name in ("train", "val", "test")] == [4, 4, 4]


def test_from_folder_accepts_a_split_without_one_of_the_classes(tmp_path):
    found = from_folder(_tree(tmp_path, "train/a/1", "train/b/1", "test/b/2"))
    assert found.classes == ("a", "b")
    assert found.labels[found.where("test")].tolist() == [1]


def test_from_folder_takes_split_names_next_to_other_names_for_classes(tmp_path):
    found = from_folder(_tree(tmp_path, "train/1.png", "plane/1.png"))
    assert found.classes == ("plane", "train") and set(found.splits) == {""}


def test_from_folder_skips_system_files_with_a_warning(tmp_path):
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
    assert found.warnings == (
        "6 system files and folders are skipped: .DS_Store, ._*, .ipynb_checkpoints (2), "
        "Thumbs.db, __MACOSX",
    )


def test_read_folder_is_recursive_and_sorted(tmp_path):
    _tree(tmp_path, "a/z/1.jpg", "a/y/2.jpg", "a/3.jpg", "b/grün\n[*].jpg")
    tree = read_folder(str(tmp_path), Skipped(), links=False)
    below = [os.path.relpath(path, tmp_path) for path in tree.all_files()]
    assert below == ["a/3.jpg", "a/y/2.jpg", "a/z/1.jpg", "b/grün\n[*].jpg"]
    assert from_folder(tmp_path).labels.tolist() == [0, 0, 0, 1]


def test_from_folder_warns_of_classes_that_differ_only_in_case(tmp_path):
    found = from_folder(_tree(tmp_path, "A/1", "a/1", "b/1"))
    assert found.classes == ("A", "a", "b")
    assert found.warnings == ("classes that differ only in case: A, a",)
    assert from_folder(_tree(tmp_path / "other", "a/1", "b/1")).warnings == ()


@pytest.mark.parametrize(
    ("files", "empty", "message"),
    [
        ((), (), "has 0 class folders"),
        (("1.jpg", "2.jpg"), (), "has 0 class folders"),
        (("only/1.jpg",), (), r"has 1 class folders \(only\)"),
        (("train/a/1.jpg", "test/a/2.jpg"), (), r"has 1 class folders \(a\)"),
        (("a/1.jpg",), ("b",), "class folder .*b has no files"),
        (("a/1.jpg", "b/._1.jpg"), (), "class folder .*b has no files"),
    ],
)
def test_from_folder_refuses_folders_without_classes(tmp_path, files, empty, message):
    _tree(tmp_path, *files)
    for name in empty:
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=message):
        from_folder(tmp_path)


@pytest.mark.parametrize("target", ["..", "../.."])
def test_from_folder_refuses_a_link_to_a_folder_above(tmp_path, target):
    root = _tree(tmp_path / "x" / "data", "a/1.jpg", "b/1.jpg")
    (root / "loop").symlink_to(Path(target) / ("data" if target == ".." else "x"))
    with pytest.raises(UserError, match="loop is a link to a folder above it"):
        from_folder(root)


def test_from_folder_reads_a_linked_class_folder_and_ends_at_a_loop(tmp_path):
    _tree(tmp_path, "elsewhere/1.jpg", "data/a/1.jpg")
    (tmp_path / "data" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "a" / "loop").symlink_to(tmp_path / "data")
    found = from_folder(tmp_path / "data")
    assert found.names == [os.path.join("a", "1.jpg"), os.path.join("b", "1.jpg")]


@pytest.mark.parametrize("blocked", ["a", os.path.join("a", "deep"), ""])
def test_from_folder_names_a_folder_that_cannot_be_read(tmp_path, monkeypatch, blocked):
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
    ("data", "message", "remedy"),
    [
        ("", "No data were given", "--data"),
        (None, "No data were given", "--data"),
        ("photo", "photo does not exist", "Did you mean photos?"),
        ("no/where", "where does not exist", "does not exist either"),
        ("archive.zip", "is not a zip or tar file", "or a folder"),
        ("notes.txt", "neither a folder nor a table nor an archive", "sub-folder per class"),
        ("absent.csv", "absent.csv does not exist", "Available: archive.zip, notes.txt, photos."),
    ],
)
def test_read_source_of_unusable_data_is_an_error(tmp_path, monkeypatch, data, message, remedy):
    _tree(tmp_path, "photos/a/1.jpg", "archive.zip", "notes.txt")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        read_source(data)
    assert remedy in caught.value.remedy


def test_read_source_accepts_path_objects_and_expands_the_home_folder(image_folder, monkeypatch):
    monkeypatch.setenv("HOME", str(image_folder.parent))
    assert len(read_source(Path("~/images"))) == len(read_source(image_folder)) == 36


def test_read_source_returns_examples_unchanged(image_folder):
    found = from_folder(image_folder)
    assert read_source(found) is found


def test_from_folder_reads_real_photos(shared_data, tmp_path):
    with zipfile.ZipFile(shared_data / "flowers" / "flowers.zip") as archive:
        images = sorted(n for n in archive.namelist() if n.lower().endswith((".jpg", ".png")))
        classes = sorted({Path(name).parent.name for name in images})
        assert len(classes) > 1
        for name in classes:
            for number, image in enumerate(i for i in images if Path(i).parent.name == name):
                if number < 2:
                    target = tmp_path / name / Path(image).name
                    target.parent.mkdir(exist_ok=True)
                    with archive.open(image) as source, target.open("wb") as file:
                        shutil.copyfileobj(source, file)
    found = scan(from_folder(tmp_path), max_quarantine=0.0)
    assert found.classes == tuple(classes) and len(found) == 2 * len(classes)


def test_from_folder_warns_of_links_that_lead_out_or_are_skipped(image_folder, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    one = next((image_folder / "red").iterdir())
    (outside / "x.png").write_bytes(one.read_bytes())
    assert from_folder(image_folder).warnings == ()
    (image_folder / "red" / "link.png").symlink_to(outside / "x.png")
    (image_folder / "red" / "deep").symlink_to(outside)
    (image_folder / "red" / "inside.png").symlink_to(one)
    first, second = from_folder(image_folder).warnings
    assert first.startswith("1 links lead out of") and first.endswith("link.png")
    assert second == f"1 linked folders are skipped: {image_folder / 'red' / 'deep'}"


def test_from_folder_with_a_link_to_itself_quarantines_it_in_the_scan(image_folder):
    (image_folder / "red" / "loop.jpg").symlink_to("loop.jpg")
    found = scan(from_folder(image_folder), max_quarantine=1.0)
    assert [entry.name for entry in found.quarantine] == ["red/loop.jpg"]
