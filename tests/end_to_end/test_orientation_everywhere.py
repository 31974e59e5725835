"""EXIF orientation gives the same image in training, in `predict` and in the export."""

import itertools
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tftransfer
from tftransfer.cli import main

# How an upright image is stored such that its orientation turns it upright.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
FORMS = {"png": {}, "webp": {"lossless": True}}
SETTINGS = ("--backbone=small_cnn:width=4", "--weights=none", "--image_size=16")


def exif(orientation, order):
    """EXIF data with an orientation, in the byte order `<` or `>`."""
    mark = {"<": b"II", ">": b"MM"}[order]
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"Exif\0\0" + mark + struct.pack(f"{order}HIH", 42, 8, 1) + entry + bytes(4)


def upright(number):
    """An image that is light at the top for even numbers, at the bottom for odd ones."""
    pixels = np.random.default_rng(number).integers(0, 100, (16, 16, 3), np.uint8)
    pixels[:6] += 100 * (number % 2 == 0)
    pixels[10:] += 100 * (number % 2 == 1)
    return Image.fromarray(pixels)


def write(path, number, orientation, order, **options):
    image, turn = upright(number), STORED[orientation]
    path.parent.mkdir(exist_ok=True)
    stored = image if turn is None else image.transpose(turn)
    stored.save(path, exif=exif(orientation, order), **options)
    return path


def train(folder, orientations, count=48):
    """Trains on images that are stored in these orientations by turns; returns the run."""
    rows = ["path,label,split"]
    for number, orientation in zip(range(count), itertools.cycle(orientations)):
        write(folder / f"{number}.png", number, orientation, "<>"[number // 8 % 2])
        split = ("train", "train", "val", "test")[number // 2 % 4]
        rows.append(f"{number}.png,{('top', 'bottom')[number % 2]},{split}")
    (folder / "table.csv").write_text("\n".join(rows))
    flags = (
        f"--data={folder}/table.csv",
        f"--workdir={folder}/run",
        "--recipe=scratch:augment=none",
    )
    assert main.main(["train", *flags, "--epochs=2", "--batch_size=8", *SETTINGS]) == 0
    return tftransfer.load(folder / "run")


@pytest.mark.slow
def test_orientation_is_the_same_in_training_predict_and_the_export(tmp_path, capsys):
    for name in ("upright", "turned"):
        (tmp_path / name).mkdir()
    plain, turned = train(tmp_path / "upright", [1]), train(tmp_path / "turned", range(1, 9))
    assert plain.result["weights_sha256"] == turned.result["weights_sha256"]
    expected = plain.predict([write(tmp_path / "plain.png", 100, 1, "<")])[0]["scores"]

    forms = itertools.product(FORMS.items(), STORED, "<>")
    folder = tmp_path / "forms"
    files = [
        write(folder / f"{orientation}{ord(order)}.{form}", 100, orientation, order, **options)
        for (form, options), orientation, order in forms
    ]
    capsys.readouterr()
    assert main.main(["predict", f"--workdir={plain.workdir}", str(folder)]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines() if "\t" in line]
    best = max(expected, key=expected.__getitem__)
    assert len(lines) == len(files) == 32
    assert {(label, score) for _, label, score in lines} == {(best, f"{expected[best]:.4f}")}

    served = tf.saved_model.load(str(plain.export_dir)).signatures["serving_default"]
    for file in files:
        answer = served(image_bytes=tf.constant([file.read_bytes()]))
        assert answer["label"].numpy()[0].decode() == best, file
        np.testing.assert_allclose(answer["scores"].numpy().max(), expected[best], atol=1e-5)
