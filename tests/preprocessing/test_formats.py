"""Formats that are not read: each is named, with how to convert it."""

import pytest

from tftransfer.data.scan import scan_item
from tftransfer.preprocessing import get_modality
from tftransfer.preprocessing.formats import unread_format

REST = b"\0" * 300
IMAGES = {
    "HEIC": b"\0\0\0\x18ftypheic",
    "AVIF": b"\0\0\0\x1cftypavif",
    "JPEG XL": b"\xff\x0a\xfa",
    "a Photoshop (PSD) file": b"8BPS\0\1",
    "a DICOM file": b"\0" * 128 + b"DICM",
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n",
    "a raw photo": b"II*\0\x10\0\0\0CR\2\0",
    "a TIFF file": b"MM\0*\0\0\0\x08",
    "SVG, a drawing": b'<?xml version="1.0"?>\n<svg xmlns="x">',
    "a PBM, PGM or PPM file": b"P6\n4 4\n255\n",
}
SOUNDS = {
    "M4A": b"\0\0\0\x20ftypM4A ",
    "MP4, a video or a sound": b"\0\0\0\x20ftypisom",
    "WebM or Matroska": b"\x1aE\xdf\xa3\x01",
    "AIFF-C": b"FORM\0\0\0\x20AIFC",
    "AIFF": b"FORM\0\0\0\x20AIFF",
    "a SPHERE file": b"NIST_1A\n   1024\n",
    "AAC": b"\xff\xf1\x50\x80",
}
MP3 = [
    b"ID3\4\0",
    *(bytes([0xFF, second, 0x90]) for second in (0xFB, 0xFA, 0xF3, 0xF2, 0xE3, 0xE2)),
]


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_in_another_format_is_named_with_how_to_convert_it(name):
    reason = scan_item(IMAGES[name] + REST, get_modality("image")).reason
    assert reason.startswith(f"not JPEG, PNG, GIF, BMP or WebP but {name}: convert it to ")


@pytest.mark.parametrize("name", SOUNDS)
def test_a_sound_in_another_format_is_named_with_how_to_convert_it(name):
    reason = scan_item(SOUNDS[name] + REST, get_modality("audio")).reason
    assert reason.startswith(f"not WAV, FLAC or Ogg but {name}: convert it to WAV, as by `ffmpeg")


@pytest.mark.parametrize("start", MP3)
def test_mp3_is_recognized_by_every_first_byte(start):
    found = unread_format(start + REST)
    assert found is not None and (found.name, found.modality) == ("MP3", "audio")


@pytest.mark.parametrize("data", [b"\xff\xfeh\0i\0", b"hello", b"", b"\xff\xd8\xff\xe0", b"P6x"])
def test_other_bytes_are_no_format_to_convert(data):
    assert unread_format(data) is None
