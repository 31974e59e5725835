"""What the names of streams mean: split, order and augmentation."""

from __future__ import annotations

from dataclasses import dataclass

from tftransfer.data.examples import Examples


@dataclass(frozen=True)
class StreamSpec:
    """Definition of a stream.

    Attributes:
      split: Split that the stream reads; `unlabelled` is the training split if there is no
        unlabelled data.
      order: Number of the order of examples; streams with the same number have the same order.
      draw: Number of the augmentation; streams with the same order and another draw read other
        views of the same examples.
      augment: Augmentation instead of that of the phase; "" for that of the phase.
    """

    split: str
    order: int = 0
    draw: int = 0
    augment: str = ""


STREAM_SPECS = {
    "train": StreamSpec("train"),
    "target": StreamSpec("target", order=1),
    "unlabelled": StreamSpec("unlabelled", order=2),
    "view_a": StreamSpec("unlabelled", order=2, draw=1),
    "view_b": StreamSpec("unlabelled", order=2, draw=2),
    "weak": StreamSpec("unlabelled", order=3),
    "strong": StreamSpec("unlabelled", order=3, draw=1, augment="strong"),
}


# Names after a stream's that are not outputs of the network.
STREAM_FIELDS = ("label", "weight", "class_weight", "share", "inputs", "original")


def split_of_stream(stream: str, examples: Examples) -> str:
    """Returns the split of the examples that a stream reads."""
    split = STREAM_SPECS[stream].split
    return "train" if split == "unlabelled" and not len(examples.where(split)) else split
