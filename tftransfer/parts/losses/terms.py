"""The losses a phase can name. Each fetches its tensors by path from a `Tensors`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from tftransfer.ground.errors import unknown_name
from tftransfer.ground.recipe import Loss
from tftransfer.ground.registry import Registry
from tftransfer.ground.serialise import serialisable


class Tensors(Protocol):
    """What a loss may read in one step."""

    def __getitem__(self, path: str) -> Any:
        """The tensor at a path such as `train.logits`."""

    def weights(self, pattern: str) -> list[tuple[Any, Any]]:
        """Pairs (variable, its value in the reference) of the trained matching blocks."""


@serialisable
@dataclass(frozen=True, kw_only=True)
class CrossEntropy(Loss):
    """Softmax cross-entropy of one label per example; see `functional.cross_entropy`.

    Attributes:
      logits: path of [n, classes] scores before the softmax.
      label: path of [n, classes] probabilities, usually one-hot.
      label_smoothing: share of the label spread over all classes (Szegedy et al., 2016).
      class_weight: `none`, or `balanced`: an example counts n / (classes × n of its class).
    """

    logits: str = "train.logits"
    label: str = "train.label"
    label_smoothing: float = 0.0
    class_weight: str = "none"

    def __call__(self, tensors: Tensors) -> Any:
        """The loss as a scalar."""
        from tftransfer.parts.losses import functional

        per_example = functional.cross_entropy(
            tensors[self.logits], tensors[self.label], self.label_smoothing
        )
        weight = tensors[_sibling(self.label, "weight")]
        if self.class_weight == "balanced":
            weight = weight * functional.example_weights(
                tensors[self.label], tensors[_sibling(self.label, "class_weight")]
            )
        return functional.weighted_mean(per_example, weight)


@serialisable
@dataclass(frozen=True, kw_only=True)
class BinaryCrossEntropy(Loss):
    """Sigmoid cross-entropy of several labels per example, summed over the labels."""

    logits: str = "train.logits"
    label: str = "train.label"

    def __call__(self, tensors: Tensors) -> Any:
        """The loss as a scalar."""
        from tftransfer.parts.losses import functional

        per_example = functional.binary_cross_entropy(tensors[self.logits], tensors[self.label])
        return functional.weighted_mean(per_example, tensors[_sibling(self.label, "weight")])


@serialisable
@dataclass(frozen=True, kw_only=True)
class SquaredError(Loss):
    """Mean squared difference of two tensors of one shape."""

    prediction: str = "train.logits"
    label: str = "train.label"

    def __call__(self, tensors: Tensors) -> Any:
        """The loss as a scalar."""
        from tftransfer.parts.losses import functional

        per_example = functional.squared_error(tensors[self.prediction], tensors[self.label])
        stream = self.prediction.split(".", 1)[0]
        return functional.weighted_mean(per_example, tensors[f"{stream}.weight"])


@serialisable
@dataclass(frozen=True, kw_only=True)
class L2SP(Loss):
    """Distance of the trained weights from where they started (Li et al., 2018).

    `weight / 2 * sum over matching blocks of |w - w0|^2`, where w0 are the
    weights at the start of the run. Heads have no source, so they are left to
    ordinary weight decay, the paper's beta term.

    Attributes:
      blocks: pattern of the blocks that are held.
    """

    blocks: str = "stage*"
    weight: float = 0.01

    def __call__(self, tensors: Tensors) -> Any:
        """The penalty as a scalar, without `weight`, which the trainer applies."""
        from tftransfer.parts.losses import functional

        return functional.l2_sp(tensors.weights(self.blocks))


_SUPERVISED: Registry[Callable[..., Loss]] = Registry("target")
_SUPERVISED.register("single_label")(CrossEntropy)
_SUPERVISED.register("multi_label")(BinaryCrossEntropy)
_SUPERVISED.register("regression")(SquaredError)


def supervised(target: str, *, label_smoothing: float = 0.0, class_weight: str = "none") -> Loss:
    """The loss that goes with a kind of target: `single_label`, `multi_label`, `regression`."""
    if class_weight not in ("none", "balanced"):
        raise unknown_name("class_weight", class_weight, ("none", "balanced"))
    if target == "single_label":
        return CrossEntropy(label_smoothing=label_smoothing, class_weight=class_weight)
    return _SUPERVISED[target]()


def _sibling(path: str, name: str) -> str:
    return f"{path.rsplit('.', 1)[0]}.{name}"
