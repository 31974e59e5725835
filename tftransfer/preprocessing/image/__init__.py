"""Images: JPEG, PNG, GIF, BMP and WebP."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

import numpy as np

from tftransfer.core.typing import Array, IntArray
from tftransfer.preprocessing.base import Decoded, Modality
from tftransfer.preprocessing.image.checks import CHECKS, WARNINGS, transparent
from tftransfer.preprocessing.image.signature import signature

__all__ = ["MODALITY"]

_MAX_REASON_CHARACTERS = 160
# Of 0 to 255. Most images already differ by more in every 8th pixel.
_BLANK_RANGE = 2
_BLANK_STEP = 8
_MIN_BLANK_SIDE = 8


def _decode(data: bytes) -> Decoded:
    """Decodes an image, and warns if all its pixels have one color."""
    import tensorflow as tf

    from tftransfer.preprocessing.image.decode import decode_turned

    try:
        pixels = np.asarray(decode_turned(tf.constant(data)))
    except (tf.errors.OpError, ValueError) as error:
        # The names of operations in TensorFlow's message mean nothing to users.
        reason = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", str(error).splitlines()[0])
        reason = f"cannot be decoded: {' '.join(reason.split())[:_MAX_REASON_CHARACTERS]}"
        return Decoded(reason)
    if not _is_blank(pixels):
        return Decoded(signature=partial(signature, pixels))
    warning = "of one color"
    if transparent(data):
        warning += " without transparency, which is dropped; save on a background"
    return Decoded(warning=warning)


def _is_blank(pixels: Array) -> bool:
    """Returns whether the pixels differ by less than the noise of a JPEG."""
    if min(pixels.shape[:2]) < _MIN_BLANK_SIDE:  # which has a warning
        return False
    sample = pixels[::_BLANK_STEP, ::_BLANK_STEP]
    return all(
        (np.ptp(each.reshape(-1, each.shape[-1]), axis=0) <= _BLANK_RANGE).all()
        for each in (sample, pixels)
    )


def _near_copies(signatures: Sequence[Array], labels: Array) -> IntArray:
    from tftransfer.preprocessing.image.near_copies import near_copies  # imports SciPy

    return near_copies(np.stack(signatures), labels)


MODALITY = Modality(
    name="image",
    singular="image",
    plural="images",
    checks=CHECKS,
    warnings=WARNINGS,
    decode=_decode,
    near_copies=_near_copies,
    augmentations={
        "none": "leaves examples unchanged",
        "flip": "mirrors left and right at random",
        "shift": "translates and zooms at random, for images that mirroring changes, like digits",
        "crop": "flip and shift",
        "full": "crop, and random rotation, contrast and brightness",
        "strong": "large crops, and random contrast, brightness, saturation and grayscale, for "
        "views that losses compare",
        "noise": "adds normal noise, for auto-encoders",
    },
    default_augmentation="crop",
    signature_input="image_bytes",
    invalid_message="the image cannot be decoded; give JPEG, PNG, GIF, BMP or WebP",
    expected_data="a folder with one sub-folder of images per class, or a .csv table",
)
