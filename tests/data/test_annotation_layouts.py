"""Folders of detection data sets, files without a class, and what NAS boxes leave."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import tftransfer
from tftransfer.readers.load import read_examples
from tftransfer.utils.errors import UserError

RNG = np.random.default_rng(0)


def _images(folder, *names, count=8):
    for name in names:
        for number in range(count):
            path = folder / name.format(number)
            path = path if "{" in name else path / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(RNG.integers(0, 255, (12, 12, 3)).astype("uint8")).save(path)


def _sides(folder, *names):
    for name in names:
        for number in range(8):
            path = folder / name / f"{number}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("0 .5 .5 .1 .1\n")


def _read(folder, **options):
    return read_examples(tftransfer.Experiment(data=str(folder), **options))


def _yolo(folder):
    _images(folder, "images/train", "images/val")
    _sides(folder, "labels/train", "labels/val")


def _roboflow(folder):
    for split in ("train", "valid", "test"):
        _images(folder, f"{split}/images")
        _sides(folder, f"{split}/labels")


LAYOUTS = {
    "YOLO": (_yolo, "images, labels"),
    "Roboflow": (_roboflow, "images, labels"),
    "COCO": (lambda f: _images(f, "train2017", "val2017"), "the splits train2017, val2017"),
    "VOC": (lambda f: _images(f, "JPEGImages", "SegmentationClass"), "JPEGImages"),
    "masks": (lambda f: _images(f, "images", "masks"), "images, masks"),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_data_sets_of_detection_have_no_class_per_image(tmp_path, case):
    make, shown = LAYOUTS[case]
    make(tmp_path)
    with pytest.raises(UserError, match="but no folder per class") as caught:
        _read(tmp_path)
    assert shown in caught.value.what and "columns path and label" in caught.value.remedy


def test_the_remedies_of_a_data_set_of_detection_work(tmp_path):
    _images(tmp_path, "images", "masks")
    assert _read(tmp_path, columns="label=folder1").classes == ("images", "masks")
    rows = [f"images/{k}.png,{'ab'[k % 2]}" for k in range(8)]
    (tmp_path / "t.csv").write_text("\n".join(["path,label", *rows]))
    assert _read(tmp_path / "t.csv").classes == ("a", "b")


def test_years_with_classes_are_no_splits_of_coco(tmp_path):
    _images(tmp_path, "train2017/a", "train2017/b", "val2017/a", "val2017/b")
    with pytest.raises(UserError, match="hold the same folders: a, b"):
        _read(tmp_path)


def test_a_flat_folder_next_to_a_table_names_the_table(tmp_path):
    _images(tmp_path, "train")
    rows = [f"train/{k}.png,{'ab'[k % 2]}" for k in range(8)]
    (tmp_path / "train.csv").write_text("\n".join(["path,label", *rows]))
    for folder in (tmp_path, tmp_path / "train"):
        with pytest.raises(UserError, match="0 class folders") as caught:
            _read(folder)
        table = caught.value.remedy.partition("--data=")[2].rstrip(".")
        assert _read(table).classes == ("a", "b")


def test_a_flat_folder_names_the_classes_in_the_names(tmp_path):
    _images(tmp_path, "cat.{}.png", "dog.{}.png")
    with pytest.raises(UserError, match="0 class folders") as caught:
        _read(tmp_path)
    assert "(cat, dog)" in caught.value.remedy
    for path in list(tmp_path.iterdir()):
        name = path.name.partition(".")[0]
        (tmp_path / name).mkdir(exist_ok=True)
        path.rename(tmp_path / name / path.name)
    assert _read(tmp_path).classes == ("cat", "dog")


@pytest.mark.parametrize("split", ["val", "test"])
def test_files_of_a_split_without_classes_are_counted(tmp_path, split):
    _images(tmp_path, "train/a", "train/b", split)
    found = _read(tmp_path)
    assert len(found) == 16
    expected = f"8 files outside of the class folders are not read: {split}/0.png"
    assert any(line.startswith(expected) for line in found.warnings)


@pytest.mark.parametrize("name", ["@__thumb", "_thumbs", "FOUND.000", "node_modules", "@Transcode"])
def test_folders_of_nas_boxes_and_tools_are_no_classes(tmp_path, name):
    _images(tmp_path, "a", "b")
    _images(tmp_path, name, f"a/{name}", count=1)
    found = _read(tmp_path)
    assert found.classes == ("a", "b") and len(found) == 16
    assert any("system files and folders are skipped" in line for line in found.warnings)


def test_a_table_about_other_files_is_not_the_remedy(tmp_path):
    _images(tmp_path, "photos")
    (tmp_path / "other.csv").write_text("text,label\nsome words,a\n")
    with pytest.raises(UserError, match="0 class folders") as caught:
        _read(tmp_path / "photos")
    assert "other.csv" not in caught.value.remedy


def test_a_locale_without_utf8_is_named_with_a_remedy_that_works(tmp_path):
    _images(tmp_path / "data", "été", "hiver")
    rows = [f"{c}/{k}.png,{c}" for c in ("été", "hiver") for k in range(8)]
    table = tmp_path / "data" / "t.csv"
    table.write_text("\n".join(["path,label", *rows]), "utf-8")
    code = (
        "import sys, tftransfer; from tftransfer.readers.load import read_examples; "
        "print(ascii(read_examples(tftransfer.Experiment(data=sys.argv[1])).classes))"
    )
    locale = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    for data in (tmp_path / "data", table):
        command = [sys.executable, "-c", code, str(data)]
        failed, worked = (
            subprocess.run(
                command, env=os.environ | locale | {"PYTHONUTF8": mode}, capture_output=True
            )
            for mode in "01"
        )
        assert b"names that are not ASCII" in failed.stderr and b"PYTHONUTF8=1" in failed.stderr
        assert worked.stdout.splitlines()[-1] == rb"('hiver', '\xe9t\xe9')"
