"""The base class of losses, and the streams that they read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

from tftransfer.core.typing import JSON, Tensor, Tensors
from tftransfer.utils.errors import UserError

# Streams of training batches that losses can read; `tftransfer.training.streams` makes them.
STREAMS = ("train", "target", "unlabelled", "view_a", "view_b", "weak", "strong")
_PATH = re.compile(rf"({'|'.join(STREAMS)})(\.\w+)+")


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Base class of the losses in `tftransfer.losses`.

    A loss is a frozen dataclass. Its fields hold the paths of the tensors that it reads, such as
    `train.logits`, and its call computes one scalar from them.

    Attributes:
      weight: Factor of the loss in the sum that is minimized.
      ramp: If above 0, the factor rises from 0 to `weight` during the phase, as
        `2 / (1 + exp(-ramp * p)) - 1` with `p` from 0 to 1 (Ganin & Lempitsky, 2015, use 10).

    Example:
      >>> import tftransfer
      >>> tftransfer.losses.CrossEntropy(weight=0.5).paths()
      ('train.logits', 'train.label')
    """

    weight: float = 1.0
    ramp: float = 0.0

    def paths(self) -> tuple[str, ...]:
        """Returns the paths of the tensors that the loss reads."""
        values = (getattr(self, field.name) for field in fields(self))
        return tuple(v for v in values if isinstance(v, str) and _PATH.fullmatch(v))

    def softmaxed(self) -> tuple[str, ...]:
        """Returns the paths of the logits to which the loss applies a softmax."""
        return ()

    @property
    def class_name(self) -> str:
        """The name of the class, by which JSON and metrics refer to the loss."""
        return type(self).__name__

    def __call__(self, tensors: Tensors) -> Tensor:
        """Computes the loss of one step.

        Args:
          tensors: Tensors of the step by path.

        Returns:
          A scalar, without the factors `weight` and `ramp`, which the trainer applies.
        """
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class UnavailableLoss(Loss):
    """A loss in a stored recipe whose class is not registered in this process.

    The run can be loaded, used and exported, but not trained.

    Attributes:
      name: Name of the class.
      stored: Fields of the loss as they are in the JSON.
      what: What is wrong, for the error.
      remedy: What to do, for the error.
    """

    name: str
    stored: Mapping[str, JSON]
    what: str
    remedy: str

    def paths(self) -> tuple[str, ...]:
        """Returns the paths of the tensors that the loss reads."""
        return tuple(v for v in self.stored.values() if isinstance(v, str) and _PATH.fullmatch(v))

    @property
    def class_name(self) -> str:
        """The name of the class that is not registered."""
        return self.name

    def error(self) -> UserError:
        """Returns the error to raise where the loss is needed."""
        return UserError(self.what, self.remedy)

    def __call__(self, tensors: Tensors) -> Tensor:
        """Raises the error of the loss.

        Raises:
          UserError: Always.
        """
        raise self.error()
