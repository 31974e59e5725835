"""Small gray images, in which near copies are looked for."""

from __future__ import annotations

import numpy as np

from tftransfer.core.typing import Array

# Side of a signature in pixels.
SIDE = 64
# More pixels change no signature that one can see.
_MAX_SAMPLED_SIDE = 8 * SIDE
# Gray levels between the darkest and the lightest tenth; below it there is no content.
_MIN_CONTRAST_LEVELS = 8
_TENTH = SIDE * SIDE // 10


def signature(pixels: Array) -> Array | None:
    """Returns an image in gray, uint8 [64, 64], regardless of its aspect ratio.

    Args:
      pixels: Pixels, uint8 [height, width, 3].

    Returns:
      The gray image; None for images that are smaller or have almost no contrast.
    """
    from PIL import Image

    if min(pixels.shape[:2]) < SIDE:
        return None
    rows, columns = (max(1, side // _MAX_SAMPLED_SIDE) for side in pixels.shape[:2])
    sampled = np.ascontiguousarray(pixels[::rows, ::columns])
    image = Image.fromarray(sampled).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    gray = np.asarray(image)
    low, high = np.partition(gray, (_TENTH, -_TENTH), axis=None)[[_TENTH, -_TENTH]]
    return gray if int(high) - int(low) >= _MIN_CONTRAST_LEVELS else None
