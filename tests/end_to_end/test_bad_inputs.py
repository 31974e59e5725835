"""What bad input gets, row by row, from the command: a stop, a quarantine, a remark; no silence.

Each case is named by its row, then by the input. `E` stops before training with two lines, the
first naming the file, row or flag; `Q` leaves the file out with a reason; `W` goes on and says so
(`N`, what is normalised, too).
"""

import csv
import io
import json
import os
import re
import shutil
import struct
import tarfile
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tftransfer
from tftransfer.backbones.load import load_backbone
from tftransfer.checkpoints import checkpoint
from tftransfer.checkpoints import weights as weight_arrays
from tftransfer.checkpoints.async_saver import AsyncSaver
from tftransfer.cli import main
from tftransfer.commands import train
from tftransfer.data import load, scan
from tftransfer.data.in_memory import from_arrays
from tftransfer.planning import preflight
from tftransfer.training.train_step import TrainStep

SETTINGS = (
    "--backbone=small_cnn",
    "--weights=none",
    "--image_size=32",
    "--recipe=scratch:epochs=1",
)
EVERYTHING = "27 train, 3 val, 6 test; single_label, 3 classes"


@dataclass(frozen=True)
class Place:
    """Where a case makes its input: a good folder of 36 pictures, and room beside it."""

    root: Path
    beside: Path
    patch: pytest.MonkeyPatch = field(repr=False)

    def write(self, name, data=b""):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def table(self, text, name="table.csv"):
        return self.write(name, text.encode())


@pytest.fixture
def place(image_folder, tmp_path, monkeypatch):
    return Place(image_folder, tmp_path, monkeypatch)


def command(place, *flags, name="train"):
    """Exit code of a command on the folder, unless the flags name other data."""
    data = () if any(flag.startswith("--data=") for flag in flags) else (f"--data={place.root}",)
    given = {flag.partition("=")[0] for flag in flags}
    given |= {"--recipe"} if "--config" in given or name == "inspect" else set()
    settings = [each for each in SETTINGS if each.partition("=")[0] not in given]
    return main.main([name, *data, *settings, *flags])


def count(said):
    """Examples in all parts, as a plan says it."""
    line = next(line for line in said.splitlines() if line.startswith("data "))
    return sum(int(number) for number in re.findall(r"(\d+) (?:train|val|test)", line))


def told_in_two_lines(capsys):
    said = capsys.readouterr().err
    assert "Traceback" not in said
    lines = said.splitlines()
    assert len(lines) == 2 and lines[0].startswith("tftransfer: ") and lines[1]
    return lines[0]


def encoded(modality="PNG", size=(16, 16), mode="RGB", **options):
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(file, modality, **options)
    return file.getvalue()


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def black_png(side, rows):
    """A PNG whose header promises a square of 1 bit per pixel, and which holds so many rows."""
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    body = zlib.compress(bytes((1 + (side + 7) // 8) * rows))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*each) for each in ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    )


def animation():
    file = io.BytesIO()
    frames = [Image.new("RGB", (16, 16), (k, 9, 9)) for k in (10, 200)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def turned_by_a_camera():
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded("JPEG", (24, 16), exif=exif)


JPEG, PNG = encoded("JPEG", (64, 64)), encoded("PNG")
TABLES = {at: JPEG.index(at) + 5 for at in (b"\xff\xdb", b"\xff\xc4")}


def flipped(data, at):
    return data[:at] + bytes(b ^ 0xFF for b in data[at : at + 40]) + data[at + 40 :]


NO_PICTURES = {
    "0 bytes": (b"", "the file is empty"),
    "cut JPEG": (JPEG[: len(JPEG) // 2], "cannot be decoded"),
    "cut PNG": (PNG[: len(PNG) // 2], "cannot be decoded"),
    "header-only JPEG": (JPEG[:20], "cannot be decoded"),
    "header-only PNG": (PNG[:33], "cannot be decoded"),
    "bit-flipped JPEG": (flipped(JPEG, TABLES[b"\xff\xc4"]), "cannot be decoded"),
    "bit-flipped PNG": (flipped(PNG, 60), "cannot be decoded"),
    "HTML named .jpg": (b"<!DOCTYPE html><p>404", "not a picture: HTML"),
    "text named .jpg": (b"hello", "not a picture"),
    "TIFF named .jpg": (encoded("TIFF"), "not a picture: a TIFF file"),
    "PNG whose header says 60,000 × 60,000": (black_png(60_000, 1), "60000 × 60000 pixels"),
    "a real 12,000² PNG": (black_png(12_000, 12_000), "12000 × 12000 pixels"),
}


def dangling(path):
    path.symlink_to(path.with_name("nowhere.png"))


def unreadable(path):
    """Its owner may not read it, which no test run by root could bring about."""
    path.write_bytes(PNG)
    real = scan.read_item

    def read(item):
        if item == os.fspath(path):
            raise PermissionError(13, "Permission denied")
        return real(item)

    return lambda place: place.patch.setattr(scan, "read_item", read)


NO_FILES = {
    "dangling link": (dangling, "No such file or directory"),
    "link to itself": (lambda path: path.symlink_to(path.name), "cannot be read"),
    "unreadable file": (unreadable, "Permission denied"),
    "FIFO named .jpg": (os.mkfifo, "not a regular file"),
    "device named .jpg": (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
}


@pytest.mark.parametrize("row", NO_PICTURES)
def test_what_is_no_picture_is_left_out_with_the_reason(place, capsys, row):
    data, reason = NO_PICTURES[row]
    place.write("red/bad.jpg", data)
    assert command(place, "--dry_run") == 0
    said = capsys.readouterr().out
    assert (
        f"1 file quarantined, listed in quarantine.csv; the first is red/bad.jpg: {reason}" in said
    )
    assert EVERYTHING in said


@pytest.mark.parametrize("row", NO_FILES)
def test_what_is_no_file_is_left_out_with_the_reason(place, capsys, row):
    make, reason = NO_FILES[row]
    more = make(place.root / "red" / "bad.jpg")
    if more:
        more(place)
    assert command(place, "--dry_run") == 0
    said = capsys.readouterr().out
    assert "1 file quarantined" in said and "red/bad.jpg" in said and reason in said


def test_a_name_that_is_not_utf8_is_left_out_and_can_be_said(place, capsys):
    with open(os.fsencode(place.root / "red") + b"/\xff.png", "wb") as file:
        file.write(PNG)
    assert command(place, "--dry_run") == 0
    assert "the first is red/\\udcff.png: its name is not UTF-8" in capsys.readouterr().out


def system_files(place):
    for name in (
        "red/._x.jpg",
        "__MACOSX/red/x.jpg",
        ".DS_Store",
        "blue/Thumbs.db",
        ".ipynb_checkpoints/x.png",
        "blue/.ipynb_checkpoints/x.png",
    ):
        place.write(name, b"not a picture")


def copied(place, source, target):
    place.write(target, (place.root / source).read_bytes())


def lighter(place, source, target):
    """The same photograph for the eye, other bytes."""
    y, x = np.mgrid[:32, :32]
    waves = 120 + 50 * np.sin(x / 3) * np.cos(y / 5) + 30 * np.cos(x * y / 70)
    for name, by in ((source, 0), (target, 8)):
        place.write(name, b"")
        Image.fromarray((waves + by).astype(np.uint8)).save(place.root / name)


def given_test_part(place):
    for name in ("blue", "green", "red"):
        copied(place, f"{name}/{name}03.png", f"test/{name}/1.png")
        (place.root / "train").mkdir(exist_ok=True)
        (place.root / name).rename(place.root / "train" / name)


def three_only(place):
    for number in range(3):
        place.write(f"rare/{number}.png", encoded(size=(16, 16 + number)))


def linked_out(place):
    (place.beside / "other.png").write_bytes(PNG)
    (place.root / "red" / "link.png").symlink_to(place.beside / "other.png")


def wrote(name, data):
    return lambda place: place.write(name, data)


SAID = {
    "._x.jpg, __MACOSX/, .DS_Store, Thumbs.db, .ipynb_checkpoints/": (
        system_files,
        ["6 that systems leave are ignored: "],
    ),
    ".webp": (wrote("red/a.webp", encoded("WEBP")), []),
    ".jfif": (wrote("red/a.jfif", JPEG), []),
    "no extension": (wrote("red/a", JPEG), []),
    "PNG named .jpg": (wrote("red/a.jpg", PNG), []),
    ".JPG": (wrote("red/a.JPG", JPEG), []),
    "CMYK": (wrote("red/a.jpg", encoded("JPEG", mode="CMYK")), ["CMYK, converted"]),
    "grey": (wrote("red/a.png", encoded(mode="L")), []),
    "palette": (wrote("red/a.png", encoded(mode="P")), []),
    "LA": (wrote("red/a.png", encoded(mode="LA")), ["transparency, which is dropped"]),
    "RGBA": (wrote("red/a.png", encoded(mode="RGBA")), ["which is dropped: red/a.png"]),
    "16-bit": (wrote("red/a.png", encoded(mode="I;16")), ["of 16 bits, cut to 8"]),
    "animated GIF": (wrote("red/a.gif", animation()), ["only the first frame is used"]),
    "EXIF rotation": (wrote("red/a.jpg", turned_by_a_camera()), []),
    "1×1": (wrote("red/a.png", encoded(size=(1, 1))), ["smaller than 8 px on a side: red/a.png"]),
    "1×5000": (wrote("red/a.png", encoded(size=(1, 5000))), ["smaller than 8 px on a side: red"]),
    "unicode in names": (
        wrote("red/größe 猫.png", encoded(mode="LA")),
        ["dropped: red/größe 猫.png"],
    ),
    "newline in names": (wrote("red/a\nb.png", encoded(mode="LA")), ["dropped: red/a\\nb.png\n"]),
    "glob characters in names": (
        wrote("red/[*]?.png", encoded(mode="LA")),
        ["dropped: red/[*]?.png"],
    ),
    "link out of the root": (linked_out, ["1 links lead out of", "red/link.png"]),
    "classes A and a": (
        lambda p: (copied(p, "red/red01.png", "A/1.png"), copied(p, "red/red02.png", "a/1.png")),
        ["classes that differ only in case: A, a"],
    ),
    "the same image in train and test": (
        given_test_part,
        ["Dropped 3 training images that are also in the given test split", "blue/blue03.png"],
    ),
    "the same image in two classes": (
        lambda p: copied(p, "red/red00.png", "blue/again.png"),
        ["1 content has more than one label, for example blue/again.png and red/red00.png"],
    ),
    "a class of 3 images": (three_only, ["classes with fewer than 10 examples: rare (3)"]),
}


@pytest.mark.parametrize("row", SAID)
def test_what_can_be_used_is_used_and_what_is_lost_is_said(place, capsys, row):
    make, expected = SAID[row]
    make(place)
    assert command(place, "--dry_run") == 0
    said = capsys.readouterr()
    assert not said.err
    for text in expected:
        assert text in said.out
    files = [path for path in place.root.rglob("*") if path.is_file()]
    systems, dropped = (
        re.search(rf"(\d+) {what}", said.out) for what in ("that systems leave", "training image")
    )
    gone = sum(int(found[1]) for found in (systems, dropped) if found)
    assert count(said.out) == len(files) - gone and "quarantined" not in said.out


def test_near_duplicates_are_listed_by_inspect(place, capsys):
    lighter(place, "red/a.png", "blue/b.png")
    assert command(place, name="inspect") == 0
    assert "blue/b.png and red/a.png" in capsys.readouterr().out


def flat(place):
    for number in range(3):
        (place.beside / "flat").mkdir(exist_ok=True)
        (place.beside / "flat" / f"{number}.png").write_bytes(PNG)
    return f"--data={place.beside / 'flat'}"


def one_class(place):
    (place.beside / "one" / "only").mkdir(parents=True)
    (place.beside / "one" / "only" / "1.png").write_bytes(PNG)
    return f"--data={place.beside / 'one'}"


def unreadable_class(place):
    """Its owner may not list it, which no test run by root could bring about."""
    real = os.scandir

    def guarded(path="."):
        if os.fspath(path) == os.fspath(place.root / "red"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return real(path)

    place.patch.setattr(os, "scandir", guarded)


def loop(place):
    (place.root / "loop").symlink_to("..")


def all_of_red_cut(place):
    for path in (place.root / "red").iterdir():
        path.write_bytes(path.read_bytes()[:40])
    return "--max_quarantine=0.9"


def two_bad(place):
    for number in range(2):
        place.write(f"red/bad{number}.jpg")


def cells(*rows, header="path,label"):
    """A table of good rows, then these."""
    good = [f"{name}/{name}{k:02}.png,{name}" for name in ("blue", "red") for k in range(4)]
    return "\n".join([header, *good, *rows]) + "\n"


def table(*rows, **options):
    return lambda place: f"--data={place.table(cells(*rows, **options))}"


def text(content):
    return lambda place: f"--data={place.table(content)}"


def leading_out(place):
    (place.beside / "out.png").write_bytes(PNG)
    return f"--data={place.table(cells('../out.png,red'))}"


def archive(name, content, *, big=False):
    def make(place):
        path = place.beside / name
        data = bytes(200 << 20) if big else PNG
        if name.endswith(".zip"):
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
                file.writestr(content, data)
        else:
            with tarfile.open(path, "w:gz") as file:
                info = tarfile.TarInfo(content)
                info.size = len(data)
                file.addfile(info, io.BytesIO(data))
        return f"--data={path}"

    return make


class Writes(tf.Module):
    """A module that touches a file when it is called."""

    def __init__(self, path):
        super().__init__()
        self.path = str(path)

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.float32)])
    def __call__(self, pixels):
        tf.io.write_file(self.path, "secret")
        return tf.reduce_mean(pixels, (1, 2))


def module(place):
    tf.saved_model.save(Writes(place.beside / "told"), str(place.beside / "module"))
    return f"--backbone={place.beside / 'module'}"


def weights(change=None, backbone="small_cnn", name="x.weights.h5"):
    def make(place):
        path = place.beside / name
        load_backbone(backbone, weights="none", image_size=32).model.save_weights(path)
        if change:
            change(path)
        return f"--weights={path}", "--recipe=feature_extraction"

    return make


def boundary(path):
    path.write_bytes(path.read_bytes()[:5000])


def legacy(path):
    """The form of Keras 2, of which the first layer has another shape."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["conv1a"]
        group = file.create_group("conv1a")
        group.attrs["weight_names"] = ["kernel"]
        group["kernel"] = np.zeros((5, 5, 3, 16), np.float32)


def with_lambda(place):
    pixels = keras.Input((4,))
    model = keras.Model(pixels, keras.layers.Lambda(lambda x: x + 1)(pixels))
    model.save(place.beside / "x.keras")
    return f"--weights={place.beside / 'x.keras'}", "--recipe=feature_extraction"


def wrong_hash(place):
    (place.beside / "mine.py").write_text(
        "import tftransfer\nfrom tftransfer.backbones.image.small_cnn import small_cnn\n\n"
        "known = {'x.weights.h5': 'ab' * 32}\n\n\n"
        "@tftransfer.register_backbone('pinned', image_size=32, sha256=known)\n"
        "def build(image_size):\n    return small_cnn(image_size)\n"
    )
    return *weights()(place), f"--register={place.beside / 'mine.py'}", "--backbone=pinned"


def own_config(place):
    """A recipe that names a block that is not there."""
    path = place.beside / "mine.py"
    path.write_text(
        "import tftransfer\n\n\ndef get_config():\n"
        "    losses = (tftransfer.losses.CrossEntropy(),)\n"
        "    phase = tftransfer.Phase(name='p', train={'staje1': 1.0}, losses=losses)\n"
        "    return tftransfer.config(recipe=tftransfer.Recipe(name='r', phases=(phase,)))\n"
    )
    return f"--config={path}"


STOPPED = {
    "a class empties": (all_of_red_cut, "No file of class 'red' can be read"),
    "more than 5 % is lost": (two_bad, "2 of 38 files cannot be used, the first red/bad0.jpg"),
    "newline in the name of a file that is named": (
        lambda p: (p.write("red/a\nb.jpg"), "--max_quarantine=0")[1],
        "red/a\\nb.jpg",
    ),
    "symlink loop": (loop, "loop is a link to a folder above it"),
    "unreadable class folder": (unreadable_class, "red cannot be read: Permission denied"),
    "empty class folder": (lambda p: (p.root / "new").mkdir(), "new has no files"),
    "one class": (one_class, "has 1 class folders (only)"),
    "flat folder": (flat, "has 0 class folders"),
    "missing path": (lambda p: f"--data={p.root}x", "picturesx does not exist"),
    "path is a file": (lambda p: f"--data={p.write('a.png', PNG)}", "not understood"),
    "CSV: ragged": (table("red/red05.png"), "table.csv, row 10 has 1 cells"),
    "CSV: empty": (text(""), "table.csv has no rows"),
    "CSV: header alone": (text("path,label\n"), "table.csv has no rows"),
    "CSV: unknown column": (table(header="pth,label"), "table.csv has no column of paths and none"),
    "CSV: missing image path": (table("red/no.png,red"), "row 10: red/no.png does not exist"),
    "CSV: path escaping the root": (leading_out, "row 10: ../out.png leads out of"),
    "labels: negative": (
        text("path,label\nred/red00.png,0\nred/red01.png,-1\n"),
        "row 3: the label -1 is neg",
    ),
    "labels: NaN beside names": (table("red/red05.png,nan"), "row 10: the label nan is neg"),
    "labels: NaN": (text("path,y\nred/red00.png,0.5\nred/red01.png,nan\n"), "row 3: 'nan'"),
    "labels: Inf": (text("path,y\nred/red00.png,0.5\nred/red01.png,inf\n"), "row 3: 'inf'"),
    "labels: strings for a regression": (
        lambda p: (table("red/red05.png,x")(p), "--problem_type=regression"),
        "row 2: 'blue'",
    ),
    "drop_remainder": (lambda p: "--drop_remainder", "no flag of tftransfer train named"),
    "too many steps": (lambda p: "--steps=99999", "no flag of tftransfer train named '--steps'"),
    "weights file cut": (weights(boundary), "x.weights.h5 cannot be read"),
    "weights of other shape": (
        weights(backbone="small_cnn:width=8"),
        "x.weights.h5 does not fit small_cnn: layer conv1a has shape (3, 3, 3, 16), the file's "
        "has (3, 3, 3, 8)",
    ),
    "weights of other shape, as of Keras 2": (
        weights(legacy, name="x.weights.h5"),
        "conv1a has shapes [(3, 3, 3, 16)]",
    ),
    "weights of another model": (
        weights(backbone="small_cnn:depth=2"),
        "x.weights.h5 does not fit small_cnn: layer conv3a is missing in the file",
    ),
    "weights of wrong hash": (wrong_hash, "is not the expected one: sha256"),
    "weights that are not there": (
        lambda p: ("--weights=gone.h5", "--recipe=fine_tune"),
        "gone.h5 does not exist",
    ),
    "archive with ../": (archive("x.zip", "../a/1.png"), "x.zip is refused for its member '../a/1"),
    "archive with ../ in a tar file": (archive("x.tar.gz", "../a.png"), "member '../a.png'"),
    "a bomb": (archive("x.zip", "a/1.png", big=True), "x.zip is refused for its member 'a/1.png'"),
    "a Lambda layer": (with_lambda, "x.keras is a whole model, which may hold code"),
    "a SavedModel with file operations": (
        module,
        "a program that runs with your permissions (it uses WriteFile)",
    ),
    "unknown flag": (lambda p: "--bakbone=x", "named '--bakbone'"),
    "unknown config key": (lambda p: "--config.recipe.epocs=2", "named 'epocs'"),
    "unknown backbone": (lambda p: "--backbone=mobilenet_v9", "backbone named 'mobilenet_v9'"),
    "unknown recipe": (lambda p: "--recipe=fine_tun", "recipe named 'fine_tun'"),
    "unknown block": (own_config, "There is no block named 'staje1'"),
    "unknown part": (text("path,label,split\nred/red00.png,a,trian\n"), "no part ("),
}


@pytest.mark.parametrize("row", STOPPED)
def test_what_cannot_be_used_stops_before_training(place, capsys, row):
    make, what = STOPPED[row]
    flags = make(place) or ()
    flags = (flags,) if isinstance(flags, str) else flags
    assert command(place, *flags, "--dry_run") == 2
    assert what in told_in_two_lines(capsys)


def test_a_batch_larger_than_the_data_is_said(place, capsys):
    assert command(place, "--dry_run", "--batch_size=64") == 0
    said = capsys.readouterr().out
    assert "64 is more than the 27 training examples" in said
    assert "batches have 32 places" in said


def test_columns_that_nobody_reads_are_said(place, capsys):
    rows = [f"{n}/{n}{k:02}.png,{n},x" for n in ("blue", "red") for k in range(9)]
    flag = text("\n".join(["path,label,splt", *rows]))(place)
    assert command(place, "--dry_run", flag) == 0
    assert "columns that are not used: splt" in capsys.readouterr().out


def test_labels_that_are_strings_are_classes(place, capsys):
    assert command(place, "--dry_run", table("green/green00.png,a b")(place)) == 0
    assert "single_label, 3 classes" in capsys.readouterr().out


def test_mixed_float16_without_a_gpu_is_said(place, capsys):
    assert command(place, "--dry_run", "--precision=mixed_float16") == 0
    assert "mixed_float16 without a GPU is slow" in capsys.readouterr().out


def test_a_savedmodel_with_file_operations_that_is_trusted_is_said(place, capsys):
    flags = (module(place), "--trust_code", "--recipe=feature_extraction", "--image_size=8")
    assert command(place, "--dry_run", *flags) == 0
    assert "the module uses WriteFile; it was trusted" in capsys.readouterr().out


FROM_MEMORY = {
    "labels negative": (np.uint8, 0, [0, -1], "Label -1 of example 1 is negative"),
    "labels NaN": (np.uint8, 0, [0.5, np.nan], "Label of example 1 is not a finite number"),
    "NaN features": (np.float32, np.nan, [0, 1], "Image 1 is float32 with values outside"),
    "Inf features": (np.float32, np.inf, [0, 1], "Image 1 is float32 with values outside"),
}


@pytest.mark.parametrize("row", FROM_MEMORY)
def test_arrays_are_refused_with_the_row(row):
    modality, value, labels, what = FROM_MEMORY[row]
    images = np.zeros((2, 8, 8, 3), modality)
    images[1, 0, 0] = value
    settings = tftransfer.Experiment(data=(images, np.array(labels)), backbone="small_cnn")
    with pytest.raises(tftransfer.UserError, match=what):
        tftransfer.plan(settings)


def test_labels_out_of_range_are_refused_with_the_row():
    with pytest.raises(tftransfer.UserError, match="Label 7 of example 1 is outside 0 to 1"):
        from_arrays(np.zeros((2, 8, 8), np.uint8), np.array([0, 7]), classes=("a", "b"))


def read_only(place):
    """As its owner would find it: root may write anywhere."""
    place.patch.setattr(preflight.os, "access", lambda path, mode: False)


def full(place):
    usage = shutil.disk_usage(place.beside)
    place.patch.setattr(preflight.shutil, "disk_usage", lambda _: usage._replace(free=1000))


BEFORE_TRAINING = {
    "output folder read-only": (read_only, "--workdir=.*run cannot be written"),
    "disk full": (full, "--workdir=.*run needs about .* MiB, its disk has 0 MiB free"),
    "TF_CONFIG malformed": (
        lambda place: place.patch.setenv("TF_CONFIG", "{"),
        "variable TF_CONFIG cannot be under",
    ),
}


@pytest.mark.parametrize("row", BEFORE_TRAINING)
def test_what_would_fail_later_stops_before_training(place, capsys, row):
    make, what = BEFORE_TRAINING[row]
    make(place)
    assert command(place, f"--workdir={place.beside / 'run'}") == 2
    assert re.search(what, told_in_two_lines(capsys))
    assert not (place.beside / "run").exists()


def trained(place, *flags):
    run = place.beside / "run"
    return command(place, f"--workdir={run}", "--noexport", *flags), run


def incidents(run):
    return [json.loads(line) for line in (run / "incidents.jsonl").read_text().splitlines()]


def test_the_quarantine_is_a_file_of_the_run_and_the_folder_is_no_other_runs(place, capsys):
    place.write("red/a\nb.jpg")
    code, run = trained(place)
    with (run / "quarantine.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert code == 0
    assert rows == [["name", "reason"], ["red/a\\nb.jpg", "the file is empty (0 bytes)"]]
    before = (run / "weights.npz").read_bytes()
    capsys.readouterr()
    assert trained(place, "--seed=5")[0] == 2
    assert (
        "holds another run; it differs in: experiment.seed (0 there, 5 here)"
        in told_in_two_lines(capsys)
    )
    assert (run / "weights.npz").read_bytes() == before


def test_a_full_disk_keeps_the_previous_checkpoint(place, capsys):
    real = weight_arrays.write

    def write(path, values):
        if checkpoint.load_newest(place.beside / "run" / "checkpoints"):
            raise OSError(28, "No space left on device", str(path))
        return real(path, values)

    place.patch.setattr(checkpoint.weights, "write", write)
    place.patch.setattr(AsyncSaver, "due", lambda self: True)
    code, run = trained(place, "--recipe=scratch:epochs=3", "--batch_size=8")
    assert code == 2 and "No space left on device" in told_in_two_lines(capsys)
    assert checkpoint.load_newest(run / "checkpoints")


def poisoned(place, times):
    """From the second group of steps on the loss is no number, so many times."""
    real, calls = TrainStep.__call__, []

    def call(self, group):
        figures = real(self, group)
        calls.append(group)
        if 1 < len(calls) <= 1 + times:
            return {**figures, "loss": figures["loss"] * np.nan}
        return figures

    place.patch.setattr(TrainStep, "__call__", call)


def test_a_loss_of_nan_is_rolled_back_and_its_files_are_named(place, capsys):
    poisoned(place, 1)
    code, run = trained(place, "--recipe=scratch:epochs=2")
    said = capsys.readouterr().out
    assert code == 0 and "the loss became nan" in said and "with 0.5 times the rate" in said
    (record,) = incidents(run)
    assert record["batch"] and all((place.root / name).is_file() for name in record["batch"])


def test_a_loss_of_nan_stops_after_three(place, capsys):
    poisoned(place, 99)
    code, run = trained(place, "--recipe=scratch:epochs=2")
    assert code == 2 and "the loss became nan, for the 4th time" in told_in_two_lines(capsys)
    assert len(incidents(run)) >= 3 and not (run / "weights.npz").exists()


@pytest.mark.parametrize(
    ("fields", "near"),
    [
        ({"recipe": "scratch:epoch=1"}, "epochs"),
        ({"recipe": "scratch+fixmach"}, "fixmatch"),
        ({"backbone": "mobilenet_v4"}, "mobilenet_v"),
        ({"backbone": "small_cnn:widht=8"}, "width"),
    ],
)
def test_a_wrong_name_is_said_before_any_file_is_read(place, fields, near):
    place.patch.setattr(load, "scan", lambda *some, **more: pytest.fail("the files were read"))
    given = {"data": str(place.root), "backbone": "small_cnn", "weights": "none", **fields}
    experiment, folder = tftransfer.Experiment(**given), place.beside / "run"
    recipes = ["scratch", experiment.recipe]
    for name, more in (("train", {}), ("compare", {"recipes": recipes}), ("plan", {})):
        where = () if name == "plan" else (folder,)
        with pytest.raises(tftransfer.UserError) as error:
            getattr(tftransfer, name)(experiment, *where, **more)
        assert near in error.value.remedy


def gone(path):
    path.unlink()


def damaged(path):
    path.write_bytes(path.read_bytes()[:-30])


@pytest.mark.parametrize(
    ("change", "said"),
    [(gone, "No such file"), (damaged, "cannot be decoded")],
    ids=["deleted", "damaged"],
)
def test_a_file_deleted_or_damaged_later_is_named_and_the_run_waits_for_it(
    place, capsys, change, said
):
    """No quarantine here: the order and the result of a run depend on every picture of it."""
    path, real = place.root / "red" / "red03.png", train.check_disk_space
    before = path.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "check_disk_space", lambda *some: (change(path), real(*some)))
        assert trained(place)[0] == 2
    line = told_in_two_lines(capsys)
    assert f"{path} was there when the run began, and is not as it was" in line and said in line
    assert trained(place)[0] == 2
    assert "started with different data" in told_in_two_lines(capsys)
    path.write_bytes(before)
    assert trained(place)[0] == 0
