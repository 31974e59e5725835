"""What people leave in folders, and where their classes are: understood and shown, or asked."""

import io
import json
import re
import shlex
import wave
import zlib

import numpy as np
import pytest
from PIL import Image

from tftransfer.core.experiment import Experiment
from tftransfer.data.file_types import example_files, is_system_file
from tftransfer.data.folders import files_below, from_folder
from tftransfer.features.disk_cache import FeatureCache
from tftransfer.readers.load import read_examples
from tftransfer.readers.sources import read_source
from tftransfer.utils.errors import UserError


def png(seed=0):
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def wav(seed=0):
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        noise = np.random.default_rng(seed).integers(-9999, 9999, 4000)
        out.writeframes(noise.astype("<i2").tobytes())
    return file.getvalue()


LEFTOVERS = """
@eaDir $RECYCLE.BIN #recycle .cache .dvc .git .thumbnails Thumbs.db x.dvc x.jpg.part
x.jpg~ .trashed-1-a.jpg ~$a.docx desktop.ini __pycache__ lost+found .Trash-1000 .@__thumb
"""
CONTENT = {".png": png, ".wav": wav}


def tree(root, *names):
    """Writes files: images and clips by extension, a line of text for anything else."""
    for name in names:
        path, seed = root / name, zlib.crc32(f"{root} {name}".encode())
        path.parent.mkdir(parents=True, exist_ok=True)
        make = CONTENT.get(path.suffix)
        path.write_bytes(make(seed) if make else f"line {seed}\n".encode())
    return root


def classes(root, *names, suffix=".png", count=3):
    return tree(root, *(f"{name}/{k}{suffix}" for name in names for k in range(count)))


@pytest.mark.parametrize(
    "name",
    LEFTOVERS.split(),
)
def test_from_folder_skips_what_systems_and_tools_leave(tmp_path, name):
    root = classes(tmp_path, "a", "b")
    tree(root, f"a/{name}" if "." in name[1:] else f"{name}/x.png")
    found = from_folder(root)
    assert found.classes == ("a", "b") and len(found) == 6
    assert found.warnings == (f"1 system files and folders are skipped: {name}",)


def test_is_system_file_takes_a_hidden_image_for_an_example():
    assert not is_system_file(".hidden.jpg") and is_system_file(".hidden")


def test_from_folder_skips_runs_exports_comparisons_and_caches(tmp_path):
    root = classes(tmp_path, "a", "b")
    tree(root, "runs/x/plots/plot.png", "runs/x/export/saved_model.pb", "model/saved_model.pb")
    tree(root, "a/runs/y/plot.png", "compared/plot.png", "compared/comparison.json")
    for run in ("runs/x", "a/runs/y"):
        (root / run / "config.json").write_text(json.dumps({"experiment": {}}))
    cache = FeatureCache.open(str(root / "cache"))
    tree(cache.folder, "unpacked/archive/a/0.png")
    found = from_folder(root)
    assert found.classes == ("a", "b") and len(found) == 6
    assert found.warnings == (
        "5 folders of runs, exports or caches are skipped: a/runs, cache, compared, model, runs",
    )
    assert [path for path in files_below(root)[0].paths if "plot" in path or "cache" in path] == []


def test_from_folder_reads_a_class_with_a_config_of_another_tool(tmp_path):
    root = classes(tmp_path, "a", "b")
    (root / "a" / "config.json").write_text("no JSON")
    found = from_folder(root)
    assert np.bincount(found.labels).tolist() == [3, 3]
    assert found.warnings == ("1 files next to the examples are not read: 1 .json",)


@pytest.mark.parametrize(
    ("suffix", "side", "modality"),
    [
        (".wav", "{}.txt", "audio"),
        (".wav", "{}.wav.txt", "audio"),
        (".png", "{}.txt", "image"),
        (".png", "{}.png.xml", "image"),
        (".png", "{}.json", "image"),
        (".png", "{}.png.md5", "image"),
        (".png", "{}.mov", "image"),
    ],
)
def test_from_folder_reads_examples_and_counts_what_lies_next_to_each(
    tmp_path, suffix, side, modality
):
    root = classes(tmp_path, "a", "b", suffix=suffix, count=20)
    tree(root, *(f"{name}/{side.format(k)}" for name in "ab" for k in range(20)))
    found = from_folder(root)
    assert found.modality == modality and len(found) == 40
    assert found.modality_reason == f"by the content of the files: 40 {suffix}"
    expected = f"40 files next to the examples are not read: 40 .{side.rsplit('.', 1)[1]}"
    assert found.warnings[0].startswith(expected)


def test_from_folder_reads_texts_with_few_images(tmp_path):
    root = classes(tmp_path, "a", "b", suffix=".txt", count=20)
    tree(root, "a/cover.png", "b/cover.png")
    found = from_folder(root)
    assert found.modality == "text" and len(found) == 40
    assert found.warnings == (
        "2 files next to the examples are not read: 2 .png; a --backbone for image reads those "
        "instead",
    )


@pytest.mark.parametrize(
    ("wanted", "count"), [("audio", 20), ("image", 30), ("", 30), ("text", 30)]
)
def test_example_files_of_two_modalities_are_those_of_the_backbone_asked_for(
    tmp_path, wanted, count
):
    root = tree(tmp_path, *(f"{k}.wav" for k in range(20)), *(f"{k}.png" for k in range(30)))
    found, remarks = files_below(root, wanted)
    assert len(found.paths) == count
    other = "image" if wanted == "audio" else "audio"
    assert remarks[0].endswith(f"a --backbone for {other} reads those instead")


def test_captions_next_to_examples_are_the_texts_that_a_backbone_for_text_asks_for(tmp_path):
    root = classes(tmp_path, "a", "b", suffix=".wav", count=20)
    tree(root, *(f"{name}/{k}.txt" for name in "ab" for k in range(20)))
    (hint,) = from_folder(root).warnings
    assert hint.endswith("40 .txt; a --backbone for text reads those instead")
    found, (remark,) = files_below(root, "text")
    assert found.modality == "text" and {path[-4:] for path in found.paths} == {".txt"}
    assert remark.endswith("40 .wav; a --backbone for audio reads those instead")


def test_read_examples_reads_the_modality_of_the_backbone_in_test_data_too(tmp_path):
    root = classes(tmp_path / "data", "a", "b", suffix=".wav", count=9)
    test = classes(classes(tmp_path / "test", "a", "b", suffix=".wav"), "a", "b", count=9)
    experiment = Experiment(data=str(root), test_data=str(test), backbone="yamnet")
    found = read_examples(experiment, modality="audio")
    assert found.modality == "audio" and len(found.where("test")) == 6


def test_example_files_keeps_a_format_to_convert_so_that_the_scan_names_it(tmp_path):
    root = classes(tmp_path, "a", "b")
    (root / "a" / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 40)
    assert len(from_folder(root)) == 7


def test_example_files_skips_the_unreadable_twin_of_an_image(tmp_path):
    root = classes(tmp_path, "a", "b")
    (root / "a" / "0.heic").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 40)
    found = from_folder(root)
    assert len(found) == 6 and "1 .heic" in found.warnings[0]


def test_example_files_finds_texts_without_an_extension(tmp_path):
    root = tree(tmp_path, *(f"sci/{k}" for k in range(9)), *(f"rec/1{k}" for k in range(9)))
    found = from_folder(root)
    assert found.modality == "text" and found.classes == ("rec", "sci")


def test_example_files_of_one_extension_are_all_kept(tmp_path):
    paths = [str(tmp_path / f"{k}.jpg") for k in range(3)]
    assert example_files(paths).paths == paths


def test_from_folder_names_folders_without_examples(tmp_path):
    root = classes(tmp_path, "a", "b")
    tree(root, *(f"annotations/{k}.xml" for k in range(9)), "docs/README.md")
    found = from_folder(root)
    assert found.classes == ("a", "b")
    assert "2 folders without examples are not classes: annotations, docs" in found.warnings


def test_from_folder_counts_examples_outside_of_the_class_folders(tmp_path):
    root = tree(classes(tmp_path, "a", "b"), "new.png", "LICENSE.txt")
    assert from_folder(root).warnings == (
        "1 files outside of the class folders are not read: new.png",
    )


@pytest.mark.parametrize("above", ["photos", "data/photos", "photos/photos/photos"])
def test_from_folder_descends_where_there_is_only_one_folder(tmp_path, above):
    root = tmp_path / "given"
    classes(root / above, "a", "b")
    tree(root, "README.md", ".DS_Store")
    found = from_folder(root)
    assert found.classes == ("a", "b") and len(found) == 6
    assert found.warnings[0] == (
        f"{root} holds only the folder {above}, whose folders are read as the classes or splits: "
        "a, b"
    )


def test_from_folder_descends_in_each_split(tmp_path):
    for split in ("train", "test"):
        classes(tmp_path / split / split, "a", "b")
    found = from_folder(tmp_path)
    assert found.classes == ("a", "b")
    assert [len(found.where(split)) for split in ("train", "test")] == [6, 6]


def test_from_folder_keeps_a_split_with_one_class_that_has_folders(tmp_path):
    classes(tmp_path / "train", "a", "b")
    classes(tmp_path / "test" / "a", "2023", "2024")
    found = from_folder(tmp_path)
    assert found.classes == ("a", "b") and len(found.where("test")) == 6


def test_read_source_of_years_with_the_same_classes_asks_and_each_remedy_works(tmp_path):
    root = tmp_path / "all years"
    for year in ("2023", "2024"):
        classes(root / year, "daisy", "rose")
    with pytest.raises(UserError, match="folders 2023, 2024, and these hold the same") as error:
        read_source(str(root))
    first, second = re.findall(r"--columns=(\S+?)[,.;]", error.value.remedy + ".")
    found = read_source(str(root), columns=first)
    assert found.classes == ("daisy", "rose") and len(found) == 12
    assert "the classes are the folders of level 2: daisy, rose" in found.warnings
    assert read_source(str(root), columns=second).classes == ("2023", "2024")
    one = next(w for w in shlex.split(error.value.remedy.replace(";", "")) if "--data=" in w)
    assert len(read_source(one.removeprefix("--data="))) == 6


def test_read_source_of_named_splits_asks_and_the_remedy_works(tmp_path):
    for split in ("seg_train", "seg_test"):
        classes(tmp_path / split / split, "sea", "street", "wood")
    tree(tmp_path / "seg_pred" / "seg_pred", "0.png", "1.png")
    with pytest.raises(UserError, match="hold the same folders: sea, street, wood") as error:
        read_source(str(tmp_path))
    words = [word.strip(";") for word in shlex.split(error.value.remedy) if word.startswith("--")]
    flags = dict(word.lstrip("-").split("=", 1) for word in words)
    assert flags["columns"] == "label=folder1."
    found = read_examples(Experiment(data=flags["data"], test_data=flags["test_data"]))
    assert found.classes == ("sea", "street", "wood") and len(found.where("test")) == 9


def test_from_folder_with_classes_in_levels_that_differ_names_the_flag(tmp_path):
    classes(tmp_path / "animals", "cat", "dog")
    classes(tmp_path / "cars", "van")
    found = from_folder(tmp_path)
    assert found.classes == ("animals", "cars")
    assert "animals/cat" in found.warnings[0] and "label=folder2" in found.warnings[0]
    assert from_folder(tmp_path, columns="label=folder2").classes == ("cat", "dog", "van")


def test_from_folder_takes_a_vehicle_for_a_class_by_the_flag(tmp_path):
    classes(tmp_path / "train", "steam", "diesel")
    classes(tmp_path, "bus", "valid", "invalid")
    with pytest.raises(UserError, match="not a split") as error:
        from_folder(tmp_path)
    assert "--columns=label=folder1" in error.value.remedy
    found = from_folder(tmp_path, columns="label=folder1")
    assert found.classes == ("bus", "invalid", "train", "valid") and len(found) == 15


def test_from_folder_without_that_level_is_an_error_but_for_other_data(tmp_path):
    root = classes(tmp_path, "a", "b")
    with pytest.raises(UserError, match="no folders of that depth"):
        from_folder(root, columns="label=folder2")
    assert from_folder(root, columns="label=folder2", to_train=False).classes == ("a", "b")


@pytest.mark.parametrize("other", ["rose\u0301", "ros\u00e9 ", "ros\u00e9\u200b", " ros\u00e9"])
def test_from_folder_joins_names_that_look_the_same(tmp_path, other):
    found = from_folder(classes(tmp_path, "ros\u00e9", other, "tulip"))
    assert found.classes == ("ros\u00e9", "tulip")
    assert np.bincount(found.labels).tolist() == [6, 3]
    assert "'ros\u00e9' of 2 folders" in found.warnings[0]


def test_from_folder_reports_classes_that_differ_in_hyphens(tmp_path):
    found = from_folder(classes(tmp_path, "New York", "new-york", "paris"))
    assert found.classes == ("New York", "new-york", "paris")
    assert found.warnings == (
        "classes that differ only in blanks, hyphens or underscores: New York, new-york",
    )


def test_from_folder_skips_folders_without_examples_next_to_splits(tmp_path):
    for split in ("train", "test"):
        classes(tmp_path / split, "a", "b")
    tree(tmp_path, "docs/README.md", "annotations/train/0.xml")
    found = from_folder(tmp_path)
    assert found.classes == ("a", "b") and len(found.where("test")) == 6
    assert found.warnings[0] == (
        "folders without examples next to the splits are skipped: annotations, docs"
    )
