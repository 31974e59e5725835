import csv
import hashlib
import io
import os
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tftransfer.core.problem_types import ProblemType
from tftransfer.data.examples import (
    SPLIT_DTYPE,
    Examples,
    Quarantined,
    add_test_data,
    read_item,
    with_classes,
    write_quarantine,
)
from tftransfer.data.file_types import is_system_file, not_empty
from tftransfer.data.scan import ScannedFile, scan, scan_item
from tftransfer.data.scan_cache import ScanCache
from tftransfer.preprocessing.image import MODALITY
from tftransfer.preprocessing.image.checks import (
    MAX_PIXELS,
    header_size,
    image_format,
    known_format,
    within_pixel_cap,
)
from tftransfer.utils.errors import UserError


def _encoded(kind, size=(7, 5), mode="RGB", **options):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind, **options)
    return file.getvalue()


def _chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _png_of(width, height):
    """A valid PNG header and almost no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = _chunk(b"IDAT", zlib.compress(b"\0" * 64))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + body + _chunk(b"IEND", b"")


def _jpeg_of(width, height):
    """A JPEG whose frame header was changed to other sides."""
    data = _encoded("JPEG", progressive=True)
    start = data.index(b"\xff\xc2") + 5
    return data[:start] + struct.pack(">HH", height, width) + data[start + 4 :]


def _with_compression(bmp):
    return bmp[:30] + b"\1" + bmp[31:]


def _segment(marker, length, *sides):
    """A segment of a JPEG; `sides` are the height and the width after the precision."""
    body = bytes((0xFF, marker)) + struct.pack(">HB", length, 8)
    body += struct.pack(f">{len(sides)}H", *sides)
    return body + b"\x01" * (length + 2 - len(body))


def _examples(items, labels=None, classes=("a", "b"), problem_type="single_label", quarantine=()):
    labels = [0] * len(items) if labels is None else labels
    kind = np.int64 if problem_type == "single_label" else np.float32
    return Examples(
        names=[f"n{k}" for k in range(len(items))],
        items=items,
        labels=np.array(labels, kind),
        problem_type=problem_type,
        classes=classes,
        splits=np.full(len(items), "", SPLIT_DTYPE),
        quarantine=quarantine,
    )


GOOD = _encoded("PNG")
BAD = {
    "empty": (b"", "the file is empty (0 bytes)"),
    "html": (b"<!DOCTYPE html><p>404</p>", "not an image: HTML, XML or SVG text"),
    "html after blanks": (b"\r\n  <html>", "not an image: HTML, XML or SVG text"),
    "tiff": (
        _encoded("TIFF"),
        "not JPEG, PNG, GIF, BMP or WebP but a TIFF file: convert it to PNG",
    ),
    "big-endian tiff": (
        b"MM\x00*" + b"\0" * 20,
        "not JPEG, PNG, GIF, BMP or WebP but a TIFF file: convert it to PNG",
    ),
    "pdf": (b"%PDF-1.7", "not an image: a PDF file"),
    "zip": (b"PK\x03\x04...", "not an image: a zip archive"),
    "git lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "not an image: a Git LFS pointer, not the file itself",
    ),
    "text": (b"hello", "not an image: no JPEG, PNG, GIF, BMP or WebP signature"),
    "audio in RIFF": (b"RIFF\x24\0\0\0WAVEfmt ", "not an image: no JPEG"),
    "huge PNG": (
        _png_of(60_000, 60_000),
        "60000 × 60000 pixels are more than the limit of 100,000",
    ),
    "huge JPEG": (_jpeg_of(60_000, 50_000), "60000 × 50000 pixels are more than the limit"),
    "header of PNG": (GOOD[:33], "cannot be decoded: "),
    "cut PNG": (GOOD[: len(GOOD) // 2], "cannot be decoded: "),
    "header of JPEG": (_encoded("JPEG", (64, 64))[:400], "cannot be decoded: "),
    "cut JPEG": (_encoded("JPEG", (64, 64))[:-600], "cannot be decoded: "),
    "palette BMP": (_encoded("BMP", mode="P"), "a BMP with a color table"),
    "compressed BMP": (_with_compression(_encoded("BMP", mode="L")), "a BMP with a color table"),
    "signature alone": (b"\xff\xd8\xff", "cannot be decoded: "),
    "flipped bits": (GOOD[:60] + bytes(b ^ 0xFF for b in GOOD[60:]), "cannot be decoded: "),
}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (_encoded("JPEG"), "JPEG"),
        (_encoded("PNG"), "PNG"),
        (_encoded("GIF"), "GIF"),
        (b"GIF87a" + _encoded("GIF")[6:], "GIF"),
        (_encoded("BMP"), "BMP"),
        (_encoded("WEBP"), "WebP"),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"\x89PNG", None),
        (b" " + _encoded("PNG"), None),
        (b"", None),
    ],
)
def test_image_format_is_decided_by_the_first_bytes(data, kind):
    assert image_format(data) == kind
    assert (known_format(data) is None) == (kind is not None)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (_encoded("JPEG"), (7, 5)),
        (_encoded("JPEG", progressive=True), (7, 5)),
        (_encoded("JPEG", comment=b"\xff\xc0" * 100), (7, 5)),
        (_encoded("PNG"), (7, 5)),
        (_encoded("GIF"), (7, 5)),
        (_encoded("BMP"), (7, 5)),
        (_encoded("BMP")[:22] + struct.pack("<i", -5) + _encoded("BMP")[26:], (7, 5)),
        (_png_of(60_000, 1), (60_000, 1)),
        (b"\xff\xd8" + _segment(0xC4, 19) + _segment(0xC0, 17, 5, 7), (7, 5)),
        (b"\xff\xd8" + _segment(0xE0, 3000) + _segment(0xC9, 17, 5, 7), (7, 5)),
        (b"\xff\xd8\xff", None),
        (b"\xff\xd8\xff\xe0\x00\x00" * 4, None),
        (b"\x89PNG\r\n\x1a\n", None),
        (b"hello", None),
    ],
)
def test_header_size_reads_every_format(data, size):
    assert header_size(data) == size


@pytest.mark.parametrize(
    ("width", "height", "refused"),
    [(10_000, 10_000, False), (10_001, 10_000, True), (MAX_PIXELS, 1, False), (1, 1, False)],
)
def test_within_pixel_cap_refuses_larger_images(width, height, refused):
    assert bool(within_pixel_cap(_png_of(width, height))) == refused


def test_not_empty_refuses_only_empty_files():
    assert not_empty(b"") and not_empty(b"\0") is None


@pytest.mark.parametrize(
    ("name", "system"),
    [
        ("._photo.jpg", True),
        (".DS_Store", True),
        ("Thumbs.db", True),
        ("__MACOSX", True),
        (".ipynb_checkpoints", True),
        ("photo.jpg", False),
        ("_photo.jpg", False),
        (".hidden.jpg", False),
        ("", False),
    ],
)
def test_is_system_file_knows_the_names(name, system):
    assert is_system_file(name) == system


@pytest.mark.parametrize("case", BAD)
def test_scan_item_reports_the_reason_of_bad_bytes(case):
    data, reason = BAD[case]
    assert scan_item(data, MODALITY).reason.startswith(reason)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
@pytest.mark.parametrize("name", ["photo.jpg", "photo.TXT", "photo", "grün *\n.png"])
def test_scan_item_ignores_the_extension(tmp_path, kind, name):
    data = _encoded(kind)
    (tmp_path / name).write_bytes(data)
    found = scan_item(str(tmp_path / name), MODALITY)
    assert (found.sha256, found.reason) == (hashlib.sha256(data).hexdigest(), "")


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("JPEG", "CMYK"),
        ("JPEG", "L"),
        ("BMP", "L"),
        ("BMP", "RGBA"),
        ("PNG", "1"),
        ("PNG", "P"),
        ("PNG", "LA"),
        ("PNG", "RGBA"),
        ("PNG", "I;16"),
        ("GIF", "P"),
    ],
)
def test_scan_item_accepts_other_color_modes(kind, mode):
    assert scan_item(_encoded(kind, mode=mode), MODALITY).reason == ""


def test_scan_item_reports_the_reason_of_unreadable_paths(tmp_path):
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "folder.jpg").mkdir()
    found = [
        scan_item(str(tmp_path / name), MODALITY).reason
        for name in ("dangling.jpg", "folder.jpg", "x.jpg")
    ]
    missing = "cannot be read: No such file or directory"
    assert found == [missing, "cannot be read: not a regular file", missing]


def test_scan_item_does_not_block_on_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert scan_item(str(tmp_path / "pipe.jpg"), MODALITY) == ScannedFile(
        reason="cannot be read: not a regular file"
    )
    with pytest.raises(OSError, match="not a regular file"):
        read_item(str(tmp_path / "pipe.jpg"))


def test_scan_item_refuses_a_name_that_is_not_utf8(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff.png"
    with open(path, "wb") as file:
        file.write(GOOD)
    assert scan_item(os.fsdecode(path), MODALITY).reason == "its name is not UTF-8"


def test_scan_hashes_in_order_and_quarantines_bad_files():
    items = [_encoded("PNG", (3 + k, 4)) for k in range(4)]
    items[2] = b"<html>"
    before = (Quarantined(name="row 9", reason="gone"),)
    found = scan(_examples(items, [0, 1, 0, 1], quarantine=before), max_quarantine=0.4)
    assert found.names == ["n0", "n1", "n3"] and found.items == [items[0], items[1], items[3]]
    assert found.sha256 == [hashlib.sha256(data).hexdigest() for data in found.items]
    np.testing.assert_array_equal(found.labels, [0, 1, 1])
    assert len(found.splits) == 3
    html = Quarantined(name="n2", reason="not an image: HTML, XML or SVG text")
    assert found.quarantine == (*before, html)


@pytest.mark.parametrize(
    ("bad", "limit", "stops"),
    [(1, 0.05, False), (2, 0.05, True), (2, 0.1, False), (0, 0.0, False), (1, 0.0, True)],
)
def test_scan_stops_above_max_quarantine(bad, limit, stops):
    items = [GOOD] * (20 - bad) + [b"<html>"] * bad
    if not stops:
        assert len(scan(_examples(items), max_quarantine=limit)) == 20 - bad
        return
    with pytest.raises(UserError) as caught:
        scan(_examples(items), max_quarantine=limit)
    assert caught.value.what.startswith(
        f"{bad} of 20 files cannot be used, the first n{20 - bad}: not an image: HTML"
    )
    assert f"more than {limit:.0%} by --max_quarantine" in caught.value.remedy
    enough = float(caught.value.remedy.rpartition("=")[2].rstrip("."))
    assert len(scan(_examples(items), max_quarantine=enough)) == 20 - bad


def test_scan_counts_earlier_quarantine_and_names_its_own_first():
    before = (Quarantined(name="row 9", reason="gone"),)
    with pytest.raises(
        UserError, match=r"2 of 3 rows .*, the first n1: the file is .*; row 9: gone"
    ):
        scan(_examples([GOOD, b""], quarantine=before))


def test_scan_of_a_class_without_a_readable_file_is_an_error():
    with pytest.raises(UserError, match="No file of the class 'b' can be used"):
        scan(_examples([GOOD] * 3 + [b""], [0, 0, 0, 1]), max_quarantine=0.5)


def test_scan_accepts_a_class_that_had_no_files():
    assert len(scan(_examples([GOOD] * 2, classes=("a", "b", "unseen")))) == 2


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "None of the 0 files is a readable image."),
        ([b"", b""], "None of the 2 files is a readable image; the first: the file is empty"),
    ],
)
def test_scan_without_a_readable_file_is_an_error(items, message):
    with pytest.raises(UserError, match=message):
        scan(_examples(items), max_quarantine=1.0)


def test_write_quarantine_escapes_names(tmp_path):
    path = tmp_path / "quarantine.csv"
    write_quarantine(path, [])
    assert path.read_text().split() == ["name,reason"]
    odd = "a,\n\udcff.jpg"
    write_quarantine(path, [Quarantined(name=odd, reason='has "no"')])
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [["name", "reason"], ["a,\n\\udcff.jpg", 'has "no"']]


def test_targets_are_one_hot_for_single_labels():
    single = _examples([b""] * 3, [2, 0, 1], classes=("a", "b", "c"))
    np.testing.assert_array_equal(single.targets(), [[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    several = _examples([b""] * 2, [[1, 1], [0, 0]], problem_type="multi_label")
    np.testing.assert_array_equal(several.targets(), [[1, 1], [0, 0]])
    assert single.targets().dtype == several.targets().dtype == np.float32


def test_digest_depends_on_content_label_and_split_but_not_on_order():
    items = [_encoded("PNG", (3 + k, 4)) for k in range(3)]
    found = scan(_examples(items, [0, 1, 0]))
    assert found.keep(np.array([2, 0, 1])).digest() == found.digest()
    others = [scan(_examples(items, [0, 1, 1])), scan(_examples([*items[:2], GOOD], [0, 1, 0]))]
    changed = found.keep(np.arange(3))
    changed.splits[0] = "test"
    others.append(scan(_examples(items, [0, 1, 0], classes=("a", "c"))))
    assert len({found.digest(), changed.digest(), *(other.digest() for other in others)}) == 5


@pytest.mark.parametrize(
    ("labels", "classes", "problem_type", "known", "expected"),
    [
        ([0, 1, 1], ("b", "c"), "single_label", ("a", "b", "c"), [1, 2, 2]),
        ([[1, 0], [1, 1]], ("c", "a"), "multi_label", ("a", "b", "c"), [[0, 0, 1], [1, 0, 1]]),
        ([[1.5, -2.0]], ("y", "x"), "regression", ("x", "y"), [[-2.0, 1.5]]),
    ],
)
def test_with_classes_converts_labels(labels, classes, problem_type, known, expected):
    examples = _examples([b""] * len(labels), labels, classes, problem_type)
    found = with_classes(examples, known, ProblemType(problem_type))
    np.testing.assert_array_equal(found.labels, expected)
    assert found.classes == known


@pytest.mark.parametrize(
    ("classes", "problem_type", "known", "expected", "message"),
    [
        (("a", "z"), "single_label", ("a", "b"), "single_label", "unknown classes: z"),
        (
            ("a", "b"),
            "single_label",
            ("a", "b"),
            "multi_label",
            "training multi_label",
        ),
        (("x",), "regression", ("x", "y"), "regression", "lack columns of the training data: y"),
    ],
)
def test_with_classes_refuses_other_classes(classes, problem_type, known, expected, message):
    labels = [[0.5]] if problem_type == "regression" else [0]
    with pytest.raises(UserError, match=message):
        with_classes(_examples([b""], labels, classes, problem_type), known, ProblemType(expected))


def test_add_test_data_makes_all_of_it_the_test_split():
    first = scan(_examples([_encoded("PNG", (3 + k, 4)) for k in range(2)], [0, 1]))
    test = scan(_examples([GOOD], [0], classes=("b",)))
    found = add_test_data(first, test)
    assert found.splits.tolist() == ["", "", "test"] and found.labels.tolist() == [0, 1, 1]
    assert found.items[2] == GOOD and len(found.sha256) == len(found.names) == 3


def test_scan_cache_saves_decoding_readable_content_again(tmp_path, monkeypatch):
    import tftransfer.preprocessing.image as module

    decoded = []
    seen = replace(MODALITY, decode=lambda data: decoded.append(data) or MODALITY.decode(data))
    monkeypatch.setattr(module, "MODALITY", seen)
    bad = GOOD[:-30]
    first = scan(_examples([GOOD, bad], [0, 0]), max_quarantine=1, readable=ScanCache(tmp_path))
    assert sorted(decoded) == sorted([GOOD, bad]) and len(first) == 1
    decoded.clear()
    again = scan(_examples([GOOD, bad], [0, 0]), max_quarantine=1, readable=ScanCache(tmp_path))
    assert decoded == [bad]  # unreadable content is checked again, and reported again
    assert again.sha256 == first.sha256 and again.quarantine == first.quarantine


def test_scan_cache_of_a_damaged_file_is_empty(tmp_path):
    ScanCache(tmp_path).add(["0" * 64])
    (path,) = tmp_path.iterdir()
    assert "0" * 64 in ScanCache(tmp_path)
    path.write_bytes(b"\xff\xfe" + b"0" * 70)
    assert "0" * 64 not in ScanCache(tmp_path)
    path.unlink()
    path.mkdir()
    ScanCache(tmp_path).add(["1" * 64])  # cannot be written: no error


def _frames(kind):
    file = io.BytesIO()
    images = [Image.new("RGB", (16, 16), (k, 9, 9)) for k in (10, 200)]
    images[0].save(file, kind, save_all=True, append_images=images[1:])
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "warnings"),
    [
        (_encoded("PNG", (16, 16)), ()),
        (_encoded("JPEG", (16, 16)), ()),
        (_encoded("GIF", (16, 16)), ()),
        (_encoded("PNG", (16, 16), mode="RGBA"), ("with transparency, which is dropped",)),
        (_encoded("PNG", (16, 16), mode="LA"), ("with transparency, which is dropped",)),
        (
            _encoded("PNG", (16, 16), mode="I;16"),
            ("of one color", "with 16 bits per channel, of which 8 are used"),
        ),
        (
            _encoded("JPEG", (16, 16), mode="CMYK"),
            ("in CMYK, converted to RGB without a color profile",),
        ),
        (_frames("GIF"), ("of one color", "animated: only the first frame is used")),
        (_encoded("PNG", (1, 1)), ("smaller than 8 px on a side",)),
        (_encoded("PNG", (10, 200)), ("more than 8 times as long as wide",)),
    ],
)
def test_scan_item_warns_of_lossy_conversions(data, warnings):
    assert scan_item(data, MODALITY).warnings == warnings


def test_scan_reports_each_warning_once_with_its_first_file():
    items = [_encoded("PNG", (16, 16 + k), mode="RGBA") for k in range(3)]
    found = scan(_examples([*items, _encoded("PNG", (16, 9))], [0, 1, 0, 1]))
    assert found.warnings == ("3 images with transparency, which is dropped: n0 ...",)


@pytest.mark.parametrize("kind", ["WEBP"])
@pytest.mark.parametrize(
    "options", [{"lossless": True}, {"lossless": False}, {"exif": b"Exif\0\0"}]
)
def test_header_size_reads_every_webp(kind, options):
    assert header_size(_encoded(kind, (37, 21), **options)) == (37, 21)


def test_within_pixel_cap_counts_gif_frames_larger_than_the_screen():
    data = bytearray(_encoded("GIF", (16, 16)))
    at = data.index(b"\x2c\0\0\0\0") + 5
    data[at : at + 4] = struct.pack("<HH", 20_000, 20_000)
    assert within_pixel_cap(bytes(data))


def test_header_size_skips_fill_bytes_of_a_jpeg():
    data = _encoded("JPEG", (37, 21))
    start = data.index(b"\xff\xdb")
    assert header_size(data[:start] + b"\xff\xff\xff" + data[start:]) == (37, 21)
