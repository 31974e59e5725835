"""The `Backbone`: a functional model, its stages, and where its weights come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np

from tftransfer.backbones.stages import Stage
from tftransfer.preprocessing import Preprocessor
from tftransfer.utils.errors import UserError, unknown_name


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A network without its head, cut into stages.

    Attributes:
      name: as given by the user.
      architecture: the name that builds the same model again; a run's is that of its own backbone.
      model: arrays of the form, cast to its input's dtype, to the last stage's tensors.
      stages: in order from the input.
      preprocessor: what it takes of an example.
      weights: where the weights come from, in words.
      weights_sha256: of the weights file; "" for random weights.
      fresh: builds the same model with new random weights; None where that cannot be.
      pooling: of what comes as sequences: `mean`, `max`, `first` or `last`.
      unit: divide the pooled vector by its length, as sentence encoders do.
      head: kernel [d, k] and bias [k] of the linear head of a run.
      assets: files, such as a vocabulary, that are needed to build the same again.
      wrapped: a backbone that this one was made from, and how: what is cut short is the former.
      uncut: names of the layers that `fresh` builds, in its order, where `model` ends before.
    """

    name: str
    architecture: str
    model: keras.Model
    stages: tuple[Stage, ...]
    preprocessor: Preprocessor
    weights: str
    weights_sha256: str = ""
    fresh: Callable[[], keras.Model] | None = None
    pooling: str = "mean"
    unit: bool = False
    remarks: tuple[str, ...] = field(default=())
    head: tuple[np.ndarray, ...] = ()
    assets: Mapping[str, bytes] = field(default_factory=dict)
    wrapped: tuple[Backbone, Callable[[Backbone], Backbone]] | None = None
    uncut: tuple[str, ...] = ()

    def source_head(self) -> tuple[np.ndarray, ...]:
        """Kernel and bias of the head that the source was trained with.

        Raises:
          UserError: the backbone is no run, or its head is not linear.
        """
        if not self.head:
            raise UserError(
                f"The backbone {self.name} has no linear head of one label per example, whose "
                "scores could be held.",
                "Give the folder of a run by --backbone.",
            )
        return self.head

    def until(self, layer: str) -> Backbone:
        """The backbone up to a stage or a layer, whose output `features` then are.

        Middle layers often transfer better than the last ones (Yosinski et al., 2014).

        Args:
          layer: name of a stage, or of a layer of which nothing beside it is alive.

        Raises:
          UserError: no such stage or layer.
        """
        ending = f"{',' if ':' in self.architecture else ':'}layer={layer}"
        if self.wrapped:
            inside, wrap = self.wrapped
            short = wrap(inside.until(layer))
            return replace(
                self,
                model=short.model,
                stages=short.stages,
                wrapped=short.wrapped,
                architecture=self.architecture + ending,
            )
        model, stages = _cut_short(self.model, self.stages, layer)
        return replace(
            self,
            model=model,
            stages=stages,
            architecture=self.architecture + ending,
            uncut=self.names(),
        )

    def names(self) -> tuple[str, ...]:
        """Of the layers that `fresh` builds, in its order."""
        return self.uncut or tuple(layer.name for layer in self.model.layers)

    @property
    def pretrained(self) -> bool:
        """Whether the weights come from somewhere."""
        return self.weights != "none"

    def random_weights(self, seed: int) -> Mapping[str, list[np.ndarray]]:
        """New random weights of every layer, by layer name, decided by `seed`."""
        if self.fresh is None:
            raise UserError(
                f"The backbone {self.name} has no random weights to start from: its stored "
                "graph holds no initialisers.",
                "Use a Keras Applications backbone for scratch or deep_transfer.",
            )
        keras.utils.set_random_seed(seed)
        fresh = self.fresh()
        return {name: layer.get_weights() for name, layer in zip(self.names(), fresh.layers)}


def _cut_short(
    model: keras.Model, stages: tuple[Stage, ...], layer: str
) -> tuple[keras.Model, tuple[Stage, ...]]:
    names = [stage.name for stage in stages]
    layers = {layer.name: layer for layer in model.layers}
    if layer in names:
        kept = stages[: names.index(layer) + 1]
        outputs = kept[-1].outputs if len(kept[-1].outputs) > 1 else kept[-1].outputs[0]
        return keras.Model(model.inputs, outputs, name=model.name), kept
    if layer not in layers:
        raise unknown_name("stage or layer", layer, [*names, *layers])
    beside = _beside(stages, layers[layer])
    outputs = [layers[layer].output, *beside] if beside else layers[layer].output
    short = keras.Model(model.inputs, outputs, name=model.name)
    return short, _ending(stages, short, layers[layer], beside)


def _beside(stages: tuple[Stage, ...], last: keras.layers.Layer) -> tuple[Any, ...]:
    """The mask, or the weights of patches, [n, T], beside the stage that a layer is in."""
    own = next((stage.outputs for stage in stages if last in stage.layers), ())
    return tuple(tensor for tensor in own[1:] if len(tensor.shape) == 2)


def _ending(
    stages: tuple[Stage, ...], model: keras.Model, last: keras.layers.Layer, beside: tuple[Any, ...]
) -> tuple[Stage, ...]:
    """The stages of a shortened model: those before a layer, and what there is of its own."""
    kept: list[Stage] = []
    there = set(model.layers)
    for stage in stages:
        if last in stage.layers:
            layers = tuple(layer for layer in stage.layers if layer in there)
            return (*kept, replace(stage, layers=layers, outputs=(last.output, *beside)))
        kept.append(stage)
    raise UserError(f"The layer {last.name} is in no stage.", "Tap another layer.")
