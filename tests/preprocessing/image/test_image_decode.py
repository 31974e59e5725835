import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from tftransfer.preprocessing.image.checks import (
    _gif_frames,
    frames_within_cap,
    header_size,
    within_pixel_cap,
)
from tftransfer.preprocessing.image.decode import (
    _gif_pixels,
    decode,
    decode_resized,
    resize,
    within_cap,
)
from tftransfer.preprocessing.image.preprocessor import ImagePreprocessor

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


def _encoded(pixels, kind, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def _decoded(data):
    found = decode(tf.constant(data))
    assert found.dtype == tf.uint8
    return found.numpy()


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True})]
)
def test_decode_of_lossless_formats_is_exact(kind, options):
    np.testing.assert_array_equal(_decoded(_encoded(PIXELS, kind, **options)), PIXELS)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_decode_of_lossy_formats_keeps_the_color(kind):
    pixels = np.broadcast_to(np.array([200, 60, 30], np.uint8), (16, 24, 3))
    found = _decoded(_encoded(pixels, kind, quality=95))
    assert found.shape == (16, 24, 3)
    np.testing.assert_allclose(found.astype(int), pixels, atol=6)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP"])
def test_decode_repeats_gray_values(kind):
    found = _decoded(_encoded(np.full((8, 9), 77, np.uint8), kind))
    assert found.shape == (8, 9, 3) and (found == found[..., :1]).all()
    np.testing.assert_allclose(found.astype(int), 77, atol=2)


def test_decode_drops_transparency_and_keeps_the_color_below():
    alpha = np.arange(35, dtype=np.uint8).reshape(5, 7, 1)
    both = np.concatenate([PIXELS, alpha], axis=-1)
    np.testing.assert_array_equal(_decoded(_encoded(both, "PNG")), PIXELS)


def test_decode_of_gray_with_transparency():
    file = io.BytesIO()
    Image.fromarray(PIXELS).convert("LA").save(file, "PNG")
    gray = np.asarray(Image.fromarray(PIXELS).convert("L"))
    np.testing.assert_array_equal(_decoded(file.getvalue()), np.repeat(gray[..., None], 3, -1))


def test_decode_of_16_bits_uses_the_upper_8():
    wide = np.array([[0x0000, 0x00FF, 0x0100], [0x7F80, 0xAB00, 0xFFFF]], np.uint16)
    found = _decoded(tf.io.encode_png(wide[..., None]).numpy())
    assert found[..., 0].tolist() == [[0x00, 0x00, 0x01], [0x7F, 0xAB, 0xFF]]
    assert (found == found[..., :1]).all()


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_decode_of_palettes_gives_colors(kind):
    image = Image.new("P", (4, 2))
    image.putpalette([255, 0, 0, 0, 0, 255] + [0, 0, 0] * 254)
    image.putdata([0, 1] * 4)
    file = io.BytesIO()
    image.save(file, kind)
    found = _decoded(file.getvalue())
    assert found.shape == (2, 4, 3)
    assert found[1, 0].tolist() == [255, 0, 0] and found[1, 1].tolist() == [0, 0, 255]


def test_decode_of_an_animation_gives_the_first_frame():
    frames = [Image.new("RGB", (6, 3), color) for color in ((0, 255, 0), (255, 0, 0))]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    found = _decoded(file.getvalue())
    assert found.shape == (3, 6, 3) and found[1, 1].tolist() == [0, 255, 0]


def test_decode_of_cmyk_keeps_the_hue():
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95)
    red, green, blue = _decoded(file.getvalue())[8, 8].astype(int)
    assert red > 200 and green < 60 and blue < 60


def _triangle(size, out, *, aware):
    """Weights [out, size] of bilinear scaling, area-aware or not, from its definition."""
    scale = size / out
    reach = max(scale, 1.0) if aware else 1.0
    centres = (np.arange(out)[:, None] + 0.5) * scale
    weights = np.maximum(0.0, 1.0 - np.abs(centres - (np.arange(size) + 0.5)) / reach)
    return weights / weights.sum(axis=1, keepdims=True)


def test_reference_weights_by_hand():
    halved = [[3 / 7, 3 / 7, 1 / 7, 0], [0, 1 / 7, 3 / 7, 3 / 7]]
    np.testing.assert_allclose(_triangle(4, 2, aware=True), halved)
    doubled = [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    np.testing.assert_allclose(_triangle(2, 4, aware=True), doubled)
    np.testing.assert_allclose(_triangle(2, 4, aware=False), doubled)
    two_nearest = [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]
    np.testing.assert_allclose(_triangle(4, 2, aware=False), two_nearest)


def test_resize_by_hand():
    row = np.array([0, 70, 140, 210], np.uint8)
    pixels = np.broadcast_to(row[None, :, None], (4, 4, 3))
    found = resize(tf.constant(pixels), 2).numpy()
    assert found[..., 0].tolist() == [[35, 175], [35, 175]]
    assert found.dtype == np.uint8
    # 5 rows are more than twice 2: averaged over areas, and both sides so.
    found = resize(tf.constant(np.broadcast_to(row[None, :, None], (5, 4, 3))), 2).numpy()
    assert found[..., 0].tolist() == [[50, 160], [50, 160]]


@pytest.mark.parametrize("shape", [(4, 4), (5, 7), (40, 9), (1, 1), (1, 50), (2, 3)])
@pytest.mark.parametrize("size", [1, 2, 6])
def test_resize_is_bilinear_and_antialiased_if_a_side_more_than_halves(shape, size):
    pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    aware = max(shape) > 2 * size
    rows, columns = (_triangle(side, size, aware=aware) for side in shape)
    expected = np.einsum("yh,xw,hwc->yxc", rows, columns, pixels)
    found = resize(tf.constant(pixels), size).numpy()
    assert found.shape == (size, size, 3)
    assert np.abs(found - expected).max() <= 0.51


def test_resize_of_an_image_of_the_right_size_is_exact():
    pixels = PIXELS[:5, :5]
    np.testing.assert_array_equal(resize(tf.constant(pixels), 5), pixels)


def test_resize_keeps_black_and_white():
    pixels = np.kron(np.eye(8, dtype=np.uint8) * 255, np.ones((4, 4), np.uint8))
    found = resize(tf.constant(np.repeat(pixels[..., None], 3, -1)), 48).numpy()
    assert found.min() == 0 and found.max() == 255 and found[40, 2].tolist() == [0, 0, 0]


def test_decode_resized_in_a_graph_equals_eager_mode_and_has_a_static_shape():
    items = [_encoded(PIXELS, "PNG"), _encoded(np.full((9, 3), 50, np.uint8), "PNG")]
    dataset = tf.data.Dataset.from_tensor_slices(items).map(lambda data: decode_resized(data, 4))
    assert dataset.element_spec.shape == (4, 4, 3) and dataset.element_spec.dtype == tf.uint8
    for data, found in zip(items, dataset.as_numpy_iterator()):
        np.testing.assert_array_equal(found, decode_resized(tf.constant(data), 4))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (90, (90, 120)),
        (46, (90, 120)),
        (45, (45, 60)),
        (23, (45, 60)),
        (22, (23, 30)),
        (11, (12, 15)),
        (1, (12, 15)),
    ],
)
def test_decode_of_a_large_jpeg_uses_a_smaller_scale(size, expected):
    smooth = np.linspace(0, 255, 120, dtype=np.uint8)[None, :, None].repeat(90, 0).repeat(3, 2)
    data = _encoded(smooth, "JPEG", quality=98)
    found = decode(tf.constant(data), min_side=size).numpy()
    assert found.shape == (*expected, 3)
    whole = tf.image.resize(decode(tf.constant(data)), expected, antialias=True).numpy()
    assert np.abs(found - whole).mean() < 2
    png = decode(tf.constant(_encoded(smooth, "PNG")), min_side=size)
    assert png.shape == (90, 120, 3)


def test_decode_of_large_cmyk_and_gray_jpegs_uses_a_smaller_scale():
    file = io.BytesIO()
    Image.new("CMYK", (64, 48), (0, 255, 255, 0)).save(file, "JPEG", quality=95)
    red, green, blue = decode_resized(tf.constant(file.getvalue()), 8).numpy()[4, 4].astype(int)
    assert red > 200 and green < 60 and blue < 60
    gray = _encoded(np.full((48, 64), 77, np.uint8), "JPEG")
    np.testing.assert_allclose(decode_resized(tf.constant(gray), 8), 77, atol=2)


@pytest.mark.parametrize("data", [b"", b"hello", _encoded(PIXELS, "PNG")[:-30]])
def test_decode_of_other_bytes_raises(data):
    for size in (0, 8):
        with pytest.raises(tf.errors.InvalidArgumentError):
            decode(tf.constant(data), min_side=size)


def _turned(orientation, **options):
    """A photo with an EXIF orientation."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", orientation
    steps = np.linspace(0, 255, 40 * 60).reshape(40, 60)
    pixels = np.stack([steps, steps[::-1], steps[:, ::-1]], axis=-1).astype(np.uint8)
    return _encoded(pixels, "JPEG", exif=exif, quality=95, **options)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_decode_turns_photos_upright(orientation):
    data = _turned(orientation)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    np.testing.assert_allclose(_decoded(data).astype(int), upright, atol=12)
    small = decode(tf.constant(data), 20).numpy()
    assert small.shape == (upright.shape[0] // 2, upright.shape[1] // 2, 3)
    np.testing.assert_allclose(small.astype(int), upright[::2, ::2], atol=16)


@pytest.mark.parametrize("order", [b"MM", b"II"])
@pytest.mark.parametrize("jfif", [True, False])
def test_decode_reads_exif_of_either_byte_order_and_place(order, jfif):
    data, end = _turned(1), "big" if order == b"MM" else "little"
    entry = b"".join(n.to_bytes(size, end) for n, size in ((0x0112, 2), (3, 2), (1, 4), (6, 2)))
    table = (1).to_bytes(2, end) + entry + bytes(6)
    exif = b"Exif\0\0" + order + (42).to_bytes(2, end) + (8).to_bytes(4, end) + table
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    first = 20 if jfif else 2  # after the JFIF header, or before everything
    body = data[20 + 2 + int.from_bytes(data[22:24], "big") :]
    found = _decoded(data[:first] + segment + body)
    assert found.shape == (60, 40, 3)


@pytest.mark.parametrize("cut", [2, 8, 14, 20, 30])
def test_decode_ignores_truncated_exif(cut):
    data = _turned(6)
    start = data.index(b"Exif") + 6
    stop = start - 8 + int.from_bytes(data[start - 8 : start - 6], "big")
    broken = data[: start + cut] + b"\xff" * (stop - start - cut) + data[stop:]
    assert _decoded(broken).shape in ((40, 60, 3), (60, 40, 3))


def test_decode_valid_accepts_invalid_bytes():
    good = [_encoded(PIXELS, kind) for kind in ("PNG", "BMP", "JPEG", "GIF", "WEBP")]
    huge = bytearray(good[0])
    huge[16:24] = (60_000).to_bytes(4, "big") * 2
    bad = [b"", b"x", b"<html>", good[0][:40], good[2][:50], bytes(huge)]
    mixed = [data for pair in zip(good, bad) for data in pair] + bad[5:]
    for batch in (mixed, mixed[:3], bad, good, []):
        pixels, fine = ImagePreprocessor(8).decode_valid(tf.constant(batch, tf.string))
        assert pixels.shape == (len(batch), 8, 8, 3)
        assert fine.numpy().tolist() == [data in good for data in batch]
        for data, found, is_good in zip(batch, pixels.numpy(), fine.numpy()):
            wanted = decode_resized(tf.constant(data), 8).numpy() if is_good else 0 * found
            np.testing.assert_array_equal(found, wanted)


def _with_stated_size(kind, at, sides):
    data = bytearray(_encoded(PIXELS, kind, **({"lossless": True} if kind == "WEBP" else {})))
    data[at : at + len(sides)] = sides
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        _with_stated_size("PNG", 16, (20_000).to_bytes(4, "big") * 2),
        _with_stated_size("GIF", 6, (60_000).to_bytes(2, "little") * 2),
        _with_stated_size("BMP", 18, struct.pack("<ii", 20_000, -20_000)),
        _with_stated_size("WEBP", 21, (16_383 | 16_383 << 14).to_bytes(4, "little")),
    ],
    ids=["PNG", "GIF", "BMP", "WebP"],
)
def test_too_many_pixels_are_refused_by_the_scan_and_the_export(data):
    assert within_pixel_cap(data)
    with pytest.raises(tf.errors.InvalidArgumentError):
        within_cap(tf.constant(data))


def _gif_with(frame, size, count=3):
    """An animation in which one frame states another size than it has."""
    images = [Image.fromarray(np.roll(PIXELS, k, 0)) for k in range(count)]
    file = io.BytesIO()
    images[0].save(file, "GIF", save_all=True, append_images=images[1:], optimize=False)
    data, at = bytearray(file.getvalue()), -1
    for _ in range(frame + 1):
        at = data.index(b"\x2c\0\0\0\0", at + 1)
    data[at + 5 : at + 9] = struct.pack("<HH", *size)
    return bytes(data)


@pytest.mark.parametrize("frame", [0, 1, 2])
@pytest.mark.parametrize(
    ("size", "refused"), [((7, 5), False), ((60_000, 60_000), True), ((7, 4), False)]
)
def test_frames_of_a_gif_are_checked_by_the_scan_and_the_export(frame, size, refused):
    data = _gif_with(frame, size)
    assert bool(within_pixel_cap(data)) == refused
    _, good = ImagePreprocessor(8).decode_valid(tf.constant([data, _encoded(PIXELS, "PNG")]))
    assert good.numpy().tolist() == [not refused, True]


def test_wide_and_high_frames_of_a_gif_count_together():
    data = _gif_with(0, (60_000, 1))
    at = data.index(b"\x2c\0\0\0\0", data.index(b"\x2c\0\0\0\0") + 1)
    data = data[: at + 5] + struct.pack("<HH", 1, 60_000) + data[at + 9 :]
    assert within_pixel_cap(data).startswith("60000 × 60000 pixels")
    with pytest.raises(tf.errors.InvalidArgumentError):
        within_cap(tf.constant(data))


@pytest.mark.parametrize(("count", "refused"), [(3, False), (4, True)])
def test_pixels_of_all_frames_of_a_gif_count_together(count, refused):
    data = _gif_with(0, (10_000, 10_000), count)
    for frame in range(1, count):
        at = [k for k in range(len(data)) if data.startswith(b"\x2c\0\0\0\0", k)][frame]
        data = data[: at + 5] + struct.pack("<HH", 10_000, 10_000) + data[at + 9 :]
    assert bool(frames_within_cap(data)) == refused and not within_pixel_cap(data)
    if refused:
        with pytest.raises(tf.errors.InvalidArgumentError):
            within_cap(tf.constant(data))
    else:
        within_cap(tf.constant(data))


@pytest.mark.parametrize("seed", range(20))
def test_gif_sizes_in_the_graph_equal_those_in_python(seed):
    rng = np.random.default_rng(seed)
    data = bytearray(_gif_with(int(rng.integers(3)), rng.integers(1, 40_000, 2).tolist()))
    for _ in range(rng.integers(4)):
        data[int(rng.integers(6, len(data)))] = int(rng.integers(256))
    data = bytes(data[: rng.integers(30, len(data) + 1)])
    width, height = header_size(data)
    total = sum(w * h for w, h in _gif_frames(data))
    assert int(_gif_pixels(tf.constant(data))) == max(width * height, -(-total // 3))
