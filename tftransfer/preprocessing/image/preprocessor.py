"""Squares of pixels, which image networks take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from tftransfer.preprocessing.base import Preprocessor
from tftransfer.preprocessing.image.augmentation import Augmenter
from tftransfer.preprocessing.image.decode import decode_resized, within_cap

_MIRRORING = ("flip", "crop", "full")
# For what compares a changed picture with something: no view of theirs is the picture itself.
_ALWAYS = ("strong", "noise")


@dataclass(frozen=True)
class ImagePreprocessor(Preprocessor):
    """Pictures as uint8 [size, size, 3].

    Attributes:
      image_size: side of the square, in pixels.
    """

    image_size: int

    modality: ClassVar[str] = "image"
    dtype: ClassVar[str] = "uint8"  # type: ignore[misc]

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Of one picture."""
        return (self.image_size, self.image_size, 3)

    @property
    def description(self) -> str:
        """Side of the square."""
        return f"{self.image_size} px"

    @property
    def cache_key(self) -> str:
        """The size: the decoder goes with TensorFlow's version, which caches name on their own."""
        return str(self.image_size)

    def decode(self, data: Any) -> Any:
        """Decoded, turned upright and scaled."""
        return decode_resized(data, self.image_size)

    def within_limits(self, data: Any) -> Any:
        """Fails for more pixels than the cap."""
        return within_cap(data)

    def augmenter(self, augment: str) -> Augmenter:
        """By Keras's layers."""
        return Augmenter(augment)

    def view_augmentation(self, augment: str, view: int) -> str:
        """View 0 is the picture, view 1 its mirror image where `augment` mirrors."""
        if augment in _ALWAYS:
            return augment
        if view == 0 or augment == "none":
            return "none"
        return "mirror" if view == 1 and augment in _MIRRORING else augment

    def max_views(self, augment: str) -> int:
        """A picture has one mirror image."""
        return {"none": 1, "flip": 2}.get(augment, 0)
