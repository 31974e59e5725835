"""The `Backbone`: a functional model, its stages, and where its weights come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import keras

from tftransfer.backbones.names import with_layer
from tftransfer.backbones.options import NO_WEIGHTS
from tftransfer.backbones.stages import Stage
from tftransfer.core.typing import Array, KerasLayer, KerasModel, Tensor
from tftransfer.preprocessing import Preprocessor
from tftransfer.utils.errors import UserError, unknown_name


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A network without its head, cut into stages.

    Attributes:
      name: The name as the user gave it.
      architecture: The name that builds the same model again; for a run, that of its backbone.
      model: Functional model from the preprocessor's arrays, cast to the dtype of its input, to
        the outputs of the last stage.
      stages: The stages, from the input to the output.
      preprocessor: Turns encoded examples into the model's input.
      weights: Where the weights come from, in words; `none` for random ones.
      weights_sha256: Hash of the weights file; "" for random weights.
      build: Builds the same model with new random weights; None where that is impossible.
      pooling: How a sequence becomes one vector: `mean`, `max`, `first` or `last`.
      unit_length: Whether the pooled vector is divided by its length, as in sentence encoders.
      remarks: What the plan prints about the backbone.
      head: Kernel [d, k] and bias [k] of the linear head of a run; empty where there is none.
      assets: Files, such as a vocabulary, that are needed to build the same backbone again.
      inner: The backbone that this one wraps, and the function that wraps it; `truncated` acts
        on the inner backbone.
      built_names: Names of the layers that `build` returns, in its order, where `model` is
        shorter.
    """

    name: str
    architecture: str
    model: KerasModel
    stages: tuple[Stage, ...]
    preprocessor: Preprocessor
    weights: str
    weights_sha256: str = ""
    build: Callable[[], KerasModel] | None = None
    pooling: str = "mean"
    unit_length: bool = False
    remarks: tuple[str, ...] = field(default=())
    head: tuple[Array, ...] = ()
    assets: Mapping[str, bytes] = field(default_factory=dict)
    inner: tuple[Backbone, Callable[[Backbone], Backbone]] | None = None
    built_names: tuple[str, ...] = ()

    def source_head(self) -> tuple[Array, ...]:
        """Returns kernel [d, k] and bias [k] of the head that the source was trained with.

        Raises:
          UserError: The backbone is not a run, or its head is not linear.
        """
        if not self.head:
            raise UserError(
                f"The backbone {self.name} has no linear head with one label per example, whose "
                "scores could be preserved.",
                "Give the folder of a run by --backbone.",
            )
        return self.head

    def truncated(self, layer: str) -> Backbone:
        """Returns the backbone up to a stage or a layer, whose output becomes `features`.

        Middle layers often transfer better than the last ones (Yosinski et al., 2014).

        Args:
          layer: Name of a stage, or of a layer whose output alone is needed to continue.

        Raises:
          UserError: There is no such stage or layer.
        """
        architecture = with_layer(self.architecture, layer)
        if self.inner:
            inside, wrap = self.inner
            short = wrap(inside.truncated(layer))
            return replace(
                self,
                model=short.model,
                stages=short.stages,
                inner=short.inner,
                architecture=architecture,
            )
        model, stages = _truncate(self.model, self.stages, layer)
        return replace(
            self,
            model=model,
            stages=stages,
            architecture=architecture,
            built_names=self.layer_names(),
        )

    def layer_names(self) -> tuple[str, ...]:
        """Returns the names of the layers that `build` makes, in its order."""
        return self.built_names or tuple(layer.name for layer in self.model.layers)

    @property
    def pretrained(self) -> bool:
        """Whether the weights are trained ones."""
        return self.weights != NO_WEIGHTS

    def random_weights(self, seed: int) -> Mapping[str, list[Array]]:
        """Returns new random weights of every layer, by layer name.

        Args:
          seed: Decides the weights.

        Raises:
          UserError: The backbone cannot be built with random weights.
        """
        if self.build is None:
            raise UserError(
                f"The backbone {self.name} has no random weights to start from: it cannot be "
                "built without its own.",
                "Use a Keras Applications backbone for scratch or deep_transfer.",
            )
        keras.utils.set_random_seed(seed)
        model = self.build()
        return {name: layer.get_weights() for name, layer in zip(self.layer_names(), model.layers)}


def _truncate(
    model: KerasModel, stages: tuple[Stage, ...], layer: str
) -> tuple[KerasModel, tuple[Stage, ...]]:
    names = [stage.name for stage in stages]
    layers = {layer.name: layer for layer in model.layers}
    if layer in names:
        kept = stages[: names.index(layer) + 1]
        return keras.Model(model.inputs, _single(kept[-1].outputs), name=model.name), kept
    if layer not in layers:
        raise unknown_name("stage or layer", layer, [*names, *layers])
    companions = _companions(stages, layers[layer])
    outputs = (layers[layer].output, *companions)
    short = keras.Model(model.inputs, _single(outputs), name=model.name)
    return short, _stages_until(stages, short, layers[layer], companions)


def _single(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...] | Tensor:
    """Returns the only tensor, or all where there are several."""
    return tensors if len(tensors) > 1 else tensors[0]


def _companions(stages: tuple[Stage, ...], layer: KerasLayer) -> tuple[Tensor, ...]:
    """Returns the mask or the weights of patches, [n, T], that the layer's stage passes on."""
    outputs = next((stage.outputs for stage in stages if layer in stage.layers), ())
    return tuple(tensor for tensor in outputs[1:] if len(tensor.shape) == 2)


def _stages_until(
    stages: tuple[Stage, ...], model: KerasModel, last: KerasLayer, companions: tuple[Tensor, ...]
) -> tuple[Stage, ...]:
    """Returns the stages of a truncated model; the last holds its remaining layers."""
    kept: list[Stage] = []
    present = set(model.layers)
    for stage in stages:
        if last in stage.layers:
            layers = tuple(layer for layer in stage.layers if layer in present)
            return (*kept, replace(stage, layers=layers, outputs=(last.output, *companions)))
        kept.append(stage)
    raise UserError(f"The layer {last.name} is in no stage.", "Name another layer.")
