"""Images that are blank once decoded are reported before training, in later scans too."""

import io

import numpy as np
import pytest
from PIL import Image

from tftransfer.data.folders import from_folder
from tftransfer.data.scan import scan, scan_item
from tftransfer.data.scan_cache import ScanCache
from tftransfer.preprocessing import get_modality

IMAGE = get_modality("image")


def encoded(pixels, form="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def icon():
    """A shape that is in the transparency only."""
    pixels = np.zeros((24, 24, 4), np.uint8)
    pixels[4:20, 4:20, 3] = 255
    return pixels


@pytest.mark.parametrize(
    ("data", "warning"),
    [
        (encoded(np.full((24, 24, 3), 9, np.uint8)), "of one color"),
        (encoded(np.full((24, 24, 3), 90, np.uint8), "JPEG"), "of one color"),
        (encoded(icon()), "of one color without transparency, which is dropped; save on a"),
    ],
)
def test_scan_item_warns_of_images_of_one_color(data, warning):
    found = scan_item(data, IMAGE)
    assert found.reason == "" and found.warnings[0].startswith(warning) and found.blank


def test_scan_item_sees_a_single_pixel_of_another_color():
    pixels = np.full((24, 24, 3), 9, np.uint8)
    pixels[13, 13] = 200
    found = scan_item(encoded(pixels), IMAGE)
    assert found.warnings == () and not found.blank


def test_scan_reports_blank_images_with_their_number_again(tmp_path):
    for k, name in enumerate("ab"):
        (tmp_path / "data" / name).mkdir(parents=True)
        pixels = np.full((24, 24, 3), 40 * k, np.uint8)
        (tmp_path / "data" / name / "0.png").write_bytes(encoded(pixels))
        noise = np.random.default_rng(k).integers(0, 256, (24, 24, 3), np.uint8)
        (tmp_path / "data" / name / "1.png").write_bytes(encoded(noise))
    for _ in range(2):
        found = scan(from_folder(tmp_path / "data"), readable=ScanCache(tmp_path))
        assert found.warnings == ("2 images of one color: a/0.png ...",)
