"""The list of named augmentations, over all modalities."""

from __future__ import annotations

from dataclasses import dataclass

from tftransfer.preprocessing import MODALITIES, get_modality


@dataclass(frozen=True, kw_only=True)
class AugmentationInfo:
    """A named augmentation.

    Attributes:
      name: Value of `Phase.augment` and of the recipe option `augment`.
      description: What it does, in one line.
      modalities: Modalities in which the name has this description.

    Example:
      >>> import tftransfer
      >>> infos = {info.name: info for info in tftransfer.list_augmentations()}
      >>> infos["flip"].modalities
      ('image',)
    """

    name: str
    description: str
    modalities: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.modalities)}): {self.description}"


def list_augmentations() -> tuple[AugmentationInfo, ...]:
    """Returns the named augmentations; those of several modalities with the same effect are one.

    Example:

    >>> import tftransfer
    >>> print(next(each for each in tftransfer.list_augmentations() if each.name == "flip"))
    flip (image): mirrors left and right at random
    """
    found: dict[tuple[str, str], list[str]] = {}
    for modality in MODALITIES:
        for name, description in get_modality(modality).augmentations.items():
            found.setdefault((name, description), []).append(modality)
    return tuple(
        AugmentationInfo(name=name, description=description, modalities=tuple(modalities))
        for (name, description), modalities in found.items()
    )
