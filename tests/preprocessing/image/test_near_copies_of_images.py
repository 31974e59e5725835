"""Near copies of photographs are found, and other photographs are not."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from tftransfer.preprocessing.image.near_copies import near_copies
from tftransfer.preprocessing.image.signature import SIDE

COUNT = 300


def crop(image):
    width, height = image.size
    return image.crop((width // 20, height // 20, width - width // 20, height - height // 20))


def shift(image):
    """Moves the image by an eighth, and repeats its border."""
    pixels = np.asarray(image)
    rows, columns = pixels.shape[0] // 8, pixels.shape[1] // 8
    padded = np.pad(pixels, ((rows, 0), (columns, 0), (0, 0)), mode="edge")
    return Image.fromarray(padded[: pixels.shape[0], : pixels.shape[1]])


def recompress(image):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=60)
    return Image.open(file)


CHANGES = {
    "crop to 90 %": crop,
    "shift": shift,
    "brightness": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "JPEG of quality 60": recompress,
    "mirror": ImageOps.mirror,
}


def gray(image):
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32).mean(axis=-1)


@pytest.fixture(scope="module")
def photographs(shared_data):
    with zipfile.ZipFile(shared_data / "flowers" / "flowers.zip") as file:
        names = [name for name in file.namelist() if name.endswith(".jpg")]
        some = names[:: len(names) // COUNT][:COUNT]
        return [Image.open(io.BytesIO(file.read(name))).convert("RGB") for name in some]


@pytest.mark.parametrize("change", CHANGES)
def test_near_copies_are_found_among_other_photographs(photographs, change):
    originals = np.stack([gray(image) for image in photographs])
    changed = np.stack([gray(CHANGES[change](image)) for image in photographs])
    pairs = {tuple(pair) for pair in near_copies(np.concatenate([originals, changed])).tolist()}
    right = {(k, k + COUNT) for k in range(COUNT)}
    assert len(pairs & right) >= 0.9 * COUNT
    others = {frozenset((a % COUNT, b % COUNT)) for a, b in pairs - right}
    assert len(others) <= 0.01 * COUNT


def test_near_copies_of_noise_are_none():
    noise = np.random.default_rng(0).normal(size=(200, SIDE, SIDE)).astype(np.float32)
    assert near_copies(noise).shape == (0, 2)
    assert near_copies(noise[:1]).shape == (0, 2)
    assert near_copies(np.concatenate([noise, noise[:1]])).tolist() == [[0, 200]]
