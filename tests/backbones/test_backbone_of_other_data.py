"""A backbone for another modality than that of the data is refused by its modality."""

import pytest

from tftransfer.backbones.load import check_backbone
from tftransfer.utils.errors import UserError


@pytest.mark.parametrize(
    ("name", "modality", "reads"),
    [
        ("yamnet", "image", "sounds"),
        ("whisper:preset=x", "image", "sounds"),
        ("word_vectors", "image", "texts"),
        ("word_vectors", "audio", "texts"),
    ],
)
def test_backbone_for_another_modality_is_named_by_what_it_reads(name, modality, reads):
    with pytest.raises(
        UserError, match=f"reads {reads}, and the modality of the data is"
    ) as caught:
        check_backbone(name, modality)
    assert caught.value.remedy.startswith(f"Give a backbone for {modality}; ")
