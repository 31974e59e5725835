"""What the names of streams mean: which examples they take, in which order, how changed."""

from __future__ import annotations

from dataclasses import dataclass

from tftransfer.data.examples import Examples


@dataclass(frozen=True)
class StreamSpec:
    """What a stream's name means.

    Attributes:
      split: of the examples that it takes; `unlabelled` is the training split where there is none.
      order: see `Stream`.
      draw: see `Stream`.
      augment: instead of the phase's.
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


# Of a stream, that are no output of the network.
STREAM_FIELDS = ("label", "weight", "class_weight", "share", "inputs", "original")


def split_of_stream(stream: str, examples: Examples) -> str:
    """The part of the examples that a stream takes."""
    part = STREAM_SPECS[stream].split
    return "train" if part == "unlabelled" and not len(examples.where(part)) else part
