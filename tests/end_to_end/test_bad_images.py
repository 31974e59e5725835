"""Bad and unusual images on the command line: quarantined with a reason, or used with a warning."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from bad_input_tools import ALL_EXAMPLES, JPEG, PNG, count_examples, encode, run_command, writes
from PIL import Image

from tftransfer.data import scan


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def black_png(side, rows):
    """Returns a PNG whose header states a square of 1 bit per pixel, with so many rows."""
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


def photo_of_a_turned_camera():
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode("JPEG", (24, 16), exif=exif)


TABLES = {at: JPEG.index(at) + 5 for at in (b"\xff\xdb", b"\xff\xc4")}


def flipped(data, at):
    return data[:at] + bytes(b ^ 0xFF for b in data[at : at + 40]) + data[at + 40 :]


BAD_IMAGES = {
    "0 bytes": (b"", "the file is empty"),
    "truncated JPEG": (JPEG[: len(JPEG) // 2], "cannot be decoded"),
    "truncated PNG": (PNG[: len(PNG) // 2], "cannot be decoded"),
    "header-only JPEG": (JPEG[:20], "cannot be decoded"),
    "header-only PNG": (PNG[:33], "cannot be decoded"),
    "bit-flipped JPEG": (flipped(JPEG, TABLES[b"\xff\xc4"]), "cannot be decoded"),
    "bit-flipped PNG": (flipped(PNG, 60), "cannot be decoded"),
    "HTML named .jpg": (b"<!DOCTYPE html><p>404", "not an image: HTML"),
    "text named .jpg": (b"hello", "not an image"),
    "TIFF named .jpg": (
        encode("TIFF"),
        "not JPEG, PNG, GIF, BMP or WebP but a TIFF file: convert it",
    ),
    "PNG whose header states 60,000 × 60,000": (black_png(60_000, 1), "60000 × 60000 pixels"),
    "a real 12,000² PNG": (black_png(12_000, 12_000), "12000 × 12000 pixels"),
}


def dangling(path):
    path.symlink_to(path.with_name("nowhere.png"))


def unreadable(path):
    """Simulates missing permissions, which do not stop root."""
    path.write_bytes(PNG)
    real = scan.read_item

    def read(item):
        if item == os.fspath(path):
            raise PermissionError(13, "Permission denied")
        return real(item)

    return lambda place: place.patch.setattr(scan, "read_item", read)


BAD_FILES = {
    "dangling link": (dangling, "No such file or directory"),
    "link to itself": (lambda path: path.symlink_to(path.name), "cannot be read"),
    "unreadable file": (unreadable, "Permission denied"),
    "FIFO named .jpg": (os.mkfifo, "not a regular file"),
    "device named .jpg": (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
}


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_bad_image_is_quarantined_with_a_reason(place, capsys, case):
    data, reason = BAD_IMAGES[case]
    place.write("red/bad.jpg", data)
    assert run_command(place, "--dry_run") == 0
    output = capsys.readouterr().out
    first = f"the first is red/bad.jpg: {reason}"
    assert f"1 file quarantined, listed in quarantine.csv; {first}" in output
    assert ALL_EXAMPLES in output


@pytest.mark.parametrize("case", BAD_FILES)
def test_file_that_cannot_be_read_is_quarantined_with_a_reason(place, capsys, case):
    make, reason = BAD_FILES[case]
    more = make(place.root / "red" / "bad.jpg")
    if more:
        more(place)
    assert run_command(place, "--dry_run") == 0
    output = capsys.readouterr().out
    assert "1 file quarantined" in output and "red/bad.jpg" in output and reason in output


USABLE = {
    ".webp": (writes("red/a.webp", encode("WEBP")), ""),
    ".jfif": (writes("red/a.jfif", JPEG), ""),
    "no extension": (writes("red/a", JPEG), ""),
    "PNG named .jpg": (writes("red/a.jpg", PNG), ""),
    ".JPG": (writes("red/a.JPG", JPEG), ""),
    "CMYK": (writes("red/a.jpg", encode("JPEG", mode="CMYK")), "CMYK, converted"),
    "gray": (writes("red/a.png", encode(mode="L")), ""),
    "palette": (writes("red/a.png", encode(mode="P")), ""),
    "LA": (writes("red/a.png", encode(mode="LA")), "transparency, which is dropped"),
    "RGBA": (writes("red/a.png", encode(mode="RGBA")), "which is dropped: red/a.png"),
    "16-bit": (writes("red/a.png", encode(mode="I;16")), "16 bits per channel, of which 8"),
    "animated GIF": (writes("red/a.gif", animation()), "only the first frame is used"),
    "EXIF rotation": (writes("red/a.jpg", photo_of_a_turned_camera()), ""),
    "1×1": (writes("red/a.png", encode(size=(1, 1))), "smaller than 8 px on a side: red/a.png"),
    "1×5000": (writes("red/a.png", encode(size=(1, 5000))), "smaller than 8 px on a side: red"),
}


@pytest.mark.parametrize("case", USABLE)
def test_usable_image_is_used_and_lossy_conversions_get_a_warning(place, capsys, case):
    make, warning = USABLE[case]
    make(place)
    assert run_command(place, "--dry_run") == 0
    captured = capsys.readouterr()
    assert not captured.err and warning in captured.out
    assert count_examples(captured.out) == 37 and "quarantined" not in captured.out


def write_near_duplicates(place, *names):
    """Writes the same photo with different brightness."""
    y, x = np.mgrid[:96, :96] / 3
    waves = 120 + 50 * np.sin(x / 3) * np.cos(y / 5) + 30 * np.cos(x * y / 70)
    for number, name in enumerate(names):
        Image.fromarray((waves + 8 * number).astype(np.uint8)).save(place.root / name)


def test_near_duplicates_are_listed_by_inspect(place, capsys):
    write_near_duplicates(place, "red/a.png", "blue/b.png")
    assert run_command(place, name="inspect") == 0
    assert "blue/b.png and red/a.png" in capsys.readouterr().out
