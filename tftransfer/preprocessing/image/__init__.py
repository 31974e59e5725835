"""Pictures: JPEG, PNG, GIF, BMP and WebP."""

from __future__ import annotations

import re

from tftransfer.preprocessing.base import Modality
from tftransfer.preprocessing.image.checks import CHECKS, WARNINGS


def _undecodable(data: bytes) -> str | None:
    import tensorflow as tf

    from tftransfer.preprocessing.image.decode import decode

    try:
        decode(tf.constant(data))
    except (tf.errors.OpError, ValueError) as error:
        said = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", str(error).splitlines()[0])
        return f"cannot be decoded: {' '.join(said.split())[:160]}"
    return None


MODALITY = Modality(
    name="image",
    singular="image",
    plural="images",
    checks=CHECKS,
    warnings=WARNINGS,
    decode_error=_undecodable,
    augmentations=("none", "flip", "shift", "crop", "full", "strong", "noise"),
    default_augmentation="crop",
    signature_input="image_bytes",
    invalid_message="not a picture that can be decoded: JPEG, PNG, GIF, BMP and WebP can",
    expected_data="a folder with one sub-folder of pictures per class, or a .csv manifest",
)
