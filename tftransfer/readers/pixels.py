"""Encoding of images in memory to PNG; the range of their pixels is the same for all."""

from __future__ import annotations

import numpy as np

from tftransfer.core.typing import Array, ArrayLike
from tftransfer.utils.errors import UserError

# Largest value of 8 bits.
_FULL_SCALE = 255
# A little above 1 are values in [0, 1] after an interpolation, not values up to 255.
_MIN_LARGEST_OF_8_BITS = 2.0
_MODES = ("L", "RGB", "RGBA")  # of Pillow, whose pixels are colors


class Pixels:
    """Encodes images one after the other, and finds whether their pixels end at 1 or at 255.

    Attributes:
      warnings: How the pixels were read; complete after `finish`.
    """

    def __init__(self) -> None:
        self.warnings: tuple[str, ...] = ()
        self._dtype = ""
        self._count = 0
        # Images with pixels up to 1, which may be dark images with pixels up to 255.
        self._up_to_1: list[int] = []
        self._up_to_255 = 0

    def encode(self, image: ArrayLike | None, number: int) -> bytes:
        """Returns an image as PNG.

        Args:
          image: Image as in `encode_png`, or with numbers from 0 to 255 of any type.
          number: Index of the image, for messages.

        Raises:
          UserError: The image has another shape or range.
        """
        place, self._count = self._count, self._count + 1
        if image is None:
            raise UserError(f"Image {number} is None.", "Fix it, or remove it and its label.")
        pixels = _array(image)
        if pixels.dtype == np.uint8 or pixels.dtype.kind not in "biuf" or not pixels.size:
            return encode_png(pixels, number)
        self._dtype = self._dtype or str(pixels.dtype)
        if _MIN_LARGEST_OF_8_BITS <= pixels.max() <= _FULL_SCALE and pixels.min() >= 0:
            self._up_to_255 += 1
            return encode_png(np.round(pixels).astype(np.uint8), number)
        self._up_to_1.append(place)
        return encode_png(pixels, number)

    def finish(self, items: list[bytes]) -> list[bytes]:
        """Returns the encoded images, all in the range that most of them have.

        Args:
          items: Results of `encode`, in order.

        Raises:
          UserError: Most images end at 1, and some do not.
        """
        if self._up_to_255 and self._up_to_255 < len(self._up_to_1):
            raise UserError(
                f"{self._up_to_255:,} images have values up to 255, and {len(self._up_to_1):,} up "
                "to 1.",
                "Give all as uint8 from 0 to 255.",
            )
        if self._up_to_255:
            self.warnings = (f"images of {self._dtype} from 0 to 255 are rounded to 8 bits",)
            dark = set(self._up_to_1)
            return [_darkened(item) if n in dark else item for n, item in enumerate(items)]
        if self._dtype:
            self.warnings = (f"images of {self._dtype} in [0, 1] are stored with 8 bits",)
        return items


def encode_png(image: ArrayLike, number: int) -> bytes:
    """Returns an image as PNG, which keeps 8 bits per channel exactly.

    Args:
      image: Image [h, w], [h, w, 1], [h, w, 3] or [h, w, 4]; uint8, or floating point in [0, 1].
      number: Index of the image, for messages.

    Raises:
      UserError: The image has another shape or range.
    """
    import tensorflow as tf

    image = _array(image)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[-1] not in (1, 3, 4) or not image.size:
        first = image.ndim == 3 and image.shape[0] in (1, 3, 4)
        last = " Move the channels to the end: np.moveaxis(image, 0, -1)." if first else ""
        raise UserError(
            f"Image {number} has the shape {image.shape}.",
            f"Give [h, w], [h, w, 1] or [h, w, 3].{last}",
        )
    if image.dtype != np.uint8:
        if image.dtype.kind == "f" and np.isnan(image).any():
            raise UserError(
                f"Image {number} is {image.dtype} with values outside [0, 1]: some are NaN.",
                "Remove it and its label, or fill it by np.nan_to_num.",
            )
        if not np.isfinite(image).all() or image.min() < 0 or image.max() > 1:
            raise UserError(
                f"Image {number} is {image.dtype} with values outside [0, 1].", _remedy(image)
            )
        image = np.round(image * _FULL_SCALE).astype(np.uint8)
    png: bytes = tf.io.encode_png(image).numpy()
    return png


def _array(image: ArrayLike) -> Array:
    """Returns the pixels; a palette or another color space of Pillow becomes RGB."""
    mode = getattr(image, "mode", None)
    if isinstance(mode, str) and mode not in _MODES and hasattr(image, "convert"):
        image = image.convert("RGB")
    return np.asarray(image)


def _remedy(image: Array) -> str:
    text = "Give uint8 from 0 to 255, or floating point in [0, 1]"
    if -1 <= image.min() < 0 and image.max() <= 1:
        return f"{text}; for values from -1 to 1, that is (images + 1) / 2."
    return f"{text}."


def _darkened(item: bytes) -> bytes:
    """Returns an image whose pixels were multiplied by 255 without that factor."""
    import tensorflow as tf

    pixels = tf.io.decode_png(item).numpy()
    return encode_png(np.round(pixels / _FULL_SCALE).astype(np.uint8), 0)
