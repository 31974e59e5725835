"""Square images of pixels, the input of image networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tftransfer.core.augmentation import Augment, CustomAugmentation
from tftransfer.core.typing import Tensor
from tftransfer.preprocessing.base import Augmenter, Preprocessor
from tftransfer.preprocessing.image.augmentation import PIXEL_RANGE, ImageAugmenter
from tftransfer.preprocessing.image.decode import decode_resized, within_cap
from tftransfer.preprocessing.layer_augmentation import CustomAugmenter

_MIRRORING = ("flip", "crop", "full")
# Losses compare these views with each other or with the image, so no view is the image itself.
_ALWAYS_RANDOM = ("strong", "noise")
# Part of the key of caches, which have features of images that were not turned.
_ORIENTED_FORMATS = "jpeg png webp"


@dataclass(frozen=True)
class ImagePreprocessor(Preprocessor):
    """Decodes images to uint8 [size, size, 3].

    Attributes:
      image_size: Side of the square in pixels.
    """

    image_size: int

    modality: ClassVar[str] = "image"
    dtype: ClassVar[str] = "uint8"  # type: ignore[misc]

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Shape of one image."""
        return (self.image_size, self.image_size, 3)

    @property
    def description(self) -> str:
        """Side of the square, such as `160 px`."""
        return f"{self.image_size} px"

    @property
    def cache_key(self) -> str:
        """The size; caches add TensorFlow's version, which decides the decoder."""
        return f"{self.image_size} {_ORIENTED_FORMATS}"

    def decode(self, data: Tensor) -> Tensor:
        """Decodes, turns upright and resizes an image, a scalar string tensor."""
        return decode_resized(data, self.image_size)

    def within_limits(self, data: Tensor) -> Tensor:
        """Returns the bytes, and fails when run for an image with too many pixels."""
        return within_cap(data)

    def augmenter(self, augment: Augment) -> Augmenter:
        """Returns the augmenter of a name, or of Keras layers and functions."""
        if isinstance(augment, CustomAugmentation):
            return CustomAugmenter(augment, PIXEL_RANGE)
        return ImageAugmenter(str(augment))

    def view_augmentation(self, augment: Augment, view: int) -> Augment:
        """Returns the augmentation of a view: view 0 is the image, view 1 may be its mirror."""
        if augment in _ALWAYS_RANDOM:
            return augment
        if view == 0 or augment == "none":
            return "none"
        return "mirror" if view == 1 and augment in _MIRRORING else augment

    def max_views(self, augment: Augment) -> int:
        """Returns how many views differ: `flip` has the image and its mirror."""
        return {"none": 1, "flip": 2}.get(augment, 0) if isinstance(augment, str) else 0
