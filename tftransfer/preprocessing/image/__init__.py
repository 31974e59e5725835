"""Images: JPEG, PNG, GIF, BMP and WebP."""

from __future__ import annotations

import re

from tftransfer.preprocessing.base import Modality
from tftransfer.preprocessing.image.checks import CHECKS, WARNINGS

__all__ = ["MODALITY"]

_MAX_REASON_CHARACTERS = 160


def _decode_error(data: bytes) -> str | None:
    import tensorflow as tf

    from tftransfer.preprocessing.image.decode import decode_turned

    try:
        decode_turned(tf.constant(data))
    except (tf.errors.OpError, ValueError) as error:
        # The names of operations in TensorFlow's message mean nothing to users.
        reason = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", str(error).splitlines()[0])
        return f"cannot be decoded: {' '.join(reason.split())[:_MAX_REASON_CHARACTERS]}"
    return None


MODALITY = Modality(
    name="image",
    singular="image",
    plural="images",
    checks=CHECKS,
    warnings=WARNINGS,
    decode_error=_decode_error,
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
