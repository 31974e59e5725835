"""EXIF orientation in every format and place, in the graph of an export too."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from tftransfer.preprocessing.image.decode import decode

PIXELS = np.kron(np.arange(6).reshape(2, 3) * 40, np.ones((16, 16)))[..., None] + [0, 20, 40]
PIXELS = PIXELS.astype(np.uint8)
graph_decode = tf.function(decode, input_signature=[tf.TensorSpec([], tf.string)])


def exif(orientation, order="<"):
    """TIFF data with another entry before that of the orientation."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    entries = [(0x0110, 3, 1, 7), (0x0112, 3, 1, orientation)]
    table = b"".join(struct.pack(f"{order}HHIHH", *entry, 0) for entry in entries)
    return head + struct.pack(f"{order}H", len(entries)) + table + b"\0\0\0\0"


def saved(form, orientation, order="<", **options):
    file = io.BytesIO()
    data = b"Exif\0\0" + exif(orientation, order)
    Image.fromarray(PIXELS).save(file, form, exif=data, **options)
    return file.getvalue()


def segment(marker, content):
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


XMP = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")
BEFORE = {
    "comment": segment(0xFE, b"made by an editor"),
    "xmp": XMP,
    "icc": segment(0xE2, b"ICC_PROFILE\0\x01\x01" + b"x" * 5000),
    "several": segment(0xFE, b"a") + XMP + segment(0xED, b"Photoshop 3.0\0") + b"\xff",
}


def jpeg_with(before, orientation, order):
    data = saved("JPEG", orientation, order, quality=100, subsampling=0)
    at = data.index(b"\xff\xe1")
    return data[:at] + before + data[at:]


def png_with_late_exif(orientation):
    data = saved("PNG", orientation)
    at = data.index(b"eXIf") - 4
    (size,) = struct.unpack(">I", data[at : at + 4])
    chunk, end = data[at : at + 12 + size], data.index(b"IEND") - 4
    return data[:at] + data[at + 12 + size : end] + chunk + data[end:]


def check(data, orientation):
    plain = decode_plain(data)
    turned = Image.fromarray(plain)
    turned.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(turned))
    for function in (decode, graph_decode):
        np.testing.assert_array_equal(function(tf.constant(data)), expected)


def decode_plain(data):
    return tf.io.decode_image(data, channels=3, expand_animations=False).numpy()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_decode_turns_images_of_every_format(form, orientation, order):
    check(saved(form, orientation, order), orientation)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("before", BEFORE)
def test_decode_finds_the_orientation_behind_other_segments(before, order):
    check(jpeg_with(BEFORE[before], 6, order), 6)


def test_decode_finds_the_orientation_after_the_pixels_of_a_png():
    check(png_with_late_exif(8), 8)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
def test_decode_keeps_images_without_exif(form):
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, form)
    check(file.getvalue(), 1)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_decode_of_damaged_exif_ends(form):
    data = bytearray(saved(form, 6))
    at = data.index(b"II*\0")
    data[at : at + 12] = b"\xff" * 12
    assert decode(tf.constant(bytes(data))).shape[-1] == 3
