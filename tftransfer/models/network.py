"""The `Network`: a backbone and its heads as one functional model, addressed by blocks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from tftransfer.backbones.backbone import Backbone
from tftransfer.backbones.tfhub import TFHubLayer
from tftransfer.checkpoints import weights
from tftransfer.core.problem_types import ProblemType
from tftransfer.core.recipe import Head
from tftransfer.core.typing import Array, KerasLayer, KerasModel, Tensor, TensorLike, Variable
from tftransfer.data.length_bucketing import trim_padding
from tftransfer.losses.functional import multilinear_map
from tftransfer.models.architecture_digest import architecture_digest
from tftransfer.models.heads import Balance, decoder_layers, dense_layers, sample_layer
from tftransfer.models.inference import compiled
from tftransfer.models.lora import LoraKernel, add_lora, lora_kernel, merge_lora
from tftransfer.models.pooling import PatchPooling, SequencePooling
from tftransfer.utils.errors import UserError, unknown_name
from tftransfer.utils.keras_internals import layers_inside, seed_generators

INPUT = "input"
FEATURES = "features"
# Of BatchNorm layers that train. Keras's 0.99 and 0.999 suit 100,000 steps: over the hundreds of
# steps of a small data set the statistics lag so far that validation stays at chance.
_MAX_MOMENTUM = 0.9


class Network:
    """A backbone with heads.

    Args:
      backbone: The backbone, cut into stages.
      heads: The heads; each reads `features` (the pooled last stage), a stage, or another head.
      units: Width of a head whose `units` is 0.
      problem_type: Type of the labels. For `regression` the head ends with the labels' mean and
        spread (see `set_label_scale`); for `multi_task` it returns the scores of all tasks.

    Attributes:
      blocks: Keras layers by the name of the block: the stages in order, then the heads.
      model: Functional model from the preprocessor's arrays to a dictionary of `features` and the
        heads' outputs.
      boundaries: Names of the points between which the network can be cut, from the input upwards.
      outputs: Keras tensors of `features` and the heads' outputs, by name.
    """

    def __init__(
        self,
        backbone: Backbone,
        heads: Sequence[Head],
        *,
        units: int,
        problem_type: ProblemType = ProblemType.SINGLE_LABEL,
    ):
        self.backbone = backbone
        self.heads = tuple(heads)
        self._problem_type = ProblemType(problem_type)
        self.blocks: dict[str, list[KerasLayer]] = {s.name: list(s.layers) for s in backbone.stages}
        self._boundary_tensors: dict[str, list[Tensor]] = {INPUT: list(backbone.model.inputs)}
        self._boundary_tensors |= {s.name: list(s.outputs) for s in backbone.stages}
        self._boundary_tensors[FEATURES] = [self._features()]
        self.outputs = {FEATURES: self._boundary_tensors[FEATURES][0]}
        for head in self.heads:
            self.outputs[head.output] = self._add_head(head, units)
        self.model = keras.Model(backbone.model.inputs, self.outputs, name="network")
        self.boundaries = list(self._boundary_tensors)
        self._forward: Callable[..., Mapping[str, tf.Tensor]] | None = None

    def _add_head(self, head: Head, units: int) -> Tensor:
        layer_name = head.layer.removeprefix("~")
        x = self._layer_output(layer_name)
        if len(x.shape) > 2:
            x = self.pooled(layer_name, f"{head.name}_pool")
        layers = self._head_layers(head, units)
        for layer in layers:
            x = layer(x)
        self.blocks[head.name] = layers
        return x

    def _head_layers(self, head: Head, units: int) -> list[KerasLayer]:
        if head.kind == "decoder":
            layers = decoder_layers(head.name, self._decoded_size(head))
        elif head.kind == "balance":
            layers = [Balance(head.units, name=head.name, dtype="float32")]
        else:
            is_regression = self._problem_type == ProblemType.REGRESSION
            layers = dense_layers(head, units, regression=is_regression)
        return [sample_layer(head.name), *layers] if head.layer.startswith("~") else layers

    def _decoded_size(self, head: Head) -> int:
        shape = self.backbone.preprocessor.shape
        if len(shape) != 3 or shape[0] != shape[1]:
            raise UserError(
                f"The head {head.name!r} decodes images, but the input is "
                f"{self.backbone.preprocessor.modality}.",
                "Use another recipe: auto-encoders are for images.",
            )
        return shape[0]

    def _features(self) -> Tensor:
        last = self.backbone.stages[-1].name
        if not self.backbone.unit_length:
            return self.pooled(last, FEATURES)
        unit_length = keras.layers.UnitNormalization(name=FEATURES, dtype="float32")
        return unit_length(self.pooled(last, f"{FEATURES}_pool"))

    def pooled(self, boundary: str, name: str) -> Tensor:
        """Returns the tensor at a boundary as one vector per example, [n, d].

        Masks and weights that the stage passes on are used in the pooling.

        Args:
          boundary: Name of the boundary.
          name: Name of the pooling layer.
        """
        tensors = self._boundary_tensors[boundary]
        if len(tensors[0].shape) == 4 and len(tensors[-1].shape) == 2:
            return PatchPooling(name=name, dtype="float32")(tensors[:2])
        if len(tensors[0].shape) == 4:
            return keras.layers.GlobalAveragePooling2D(name=name, dtype="float32")(tensors[0])
        if len(tensors[0].shape) == 3:
            return SequencePooling(self.backbone.pooling, name=name, dtype="float32")(tensors[:2])
        return tensors[0]

    def _layer_output(self, layer_name: str) -> Tensor:
        name, product, output = layer_name.partition("*")
        if name not in {*self._boundary_tensors, *self.outputs}:
            raise unknown_name("layer", name, {**self._boundary_tensors, **self.outputs})
        x = self.tensor(name)
        return multilinear_map(x, keras.ops.softmax(self.tensor(output))) if product else x

    def apply_head(self, head: str, inputs: Tensor, *, frozen: bool = False) -> Tensor:
        """Returns a head's output for another tensor than its own input, in training mode.

        Args:
          head: Name of the head.
          inputs: The tensor that the head reads.
          frozen: Whether gradients stop before the head's weights.
        """
        for layer in self.blocks[head]:
            if frozen:
                fixed = [keras.ops.stop_gradient(v.value) for v in layer.trainable_variables]
                others = [v.value for v in layer.non_trainable_variables]
                inputs, _ = layer.stateless_call(fixed, others, inputs)
            else:
                inputs = layer(inputs, training=True)
        return inputs

    def copy_source_head(self) -> None:
        """Assigns the weights of the source's head to the heads with `like="source"`.

        Raises:
          UserError: The backbone is not a run with a linear head.
        """
        for head in self.heads:
            if head.like == "source":
                self.blocks[head.name][-1].set_weights(self.backbone.source_head())

    def set_label_scale(self, labels: Array) -> None:
        """Sets the mean and spread that the heads of a regression output at the start.

        Args:
          labels: Labels of the training examples, float32 [n, k].
        """
        for head in self.heads:
            scale = self.blocks[head.name][-1]
            if isinstance(scale, keras.layers.Normalization):
                variance = labels.var(axis=0)
                scale.adapt_mean.assign(labels.mean(axis=0))
                scale.adapt_variance.assign(np.where(variance > 0, variance, 1.0))
                scale.finalize_state()

    def set_trainable(self, rates: Mapping[str, float], *, batch_norm: str, lora: int = 0) -> None:
        """Makes the blocks with a rate above 0 trainable and freezes the others.

        Args:
          rates: Learning-rate multiplier of each block.
          batch_norm: As in `Phase`.
          lora: As in `Phase`.
        """
        for block, layers in self.blocks.items():
            for number, layer in enumerate(_leaf_layers(layers)):
                is_norm = isinstance(layer, keras.layers.BatchNormalization)
                layer.trainable = rates[block] > 0 and not (is_norm and batch_norm == "frozen")
                if is_norm and layer.trainable:
                    layer.momentum = min(layer.momentum, _MAX_MOMENTUM)
                if isinstance(layer, TFHubLayer):
                    layer.batch_norm = batch_norm
                if lora and rates[block] > 0 and block in self.boundaries:
                    add_lora(layer, lora, seed=number)

    def merge_lora(self) -> None:
        """Adds low-rank updates to the kernels that they change, and removes them."""
        for layer in _leaf_layers(layer for layers in self.blocks.values() for layer in layers):
            merge_lora(layer)

    def boundary_for(self, rates: Mapping[str, float], read: Iterable[str] = ()) -> str:
        """Returns the highest boundary below which nothing trains: where the frozen layers end.

        The network can be cut there, since all that trains or is read by a head or a loss is above.

        Args:
          rates: Learning-rate multiplier of each block.
          read: Names of tensors that must not be below it, besides those that the heads read.
        """
        read_layers = {head.layer.partition("*")[0] for head in self.heads} | set(read) & set(
            self.boundaries
        )
        for position, boundary in enumerate(self.boundaries[1:-1], 1):
            if rates[boundary] > 0 or self.boundaries[position - 1] in read_layers:
                return self.boundaries[position - 1]
        return self.boundaries[-2] if self.boundaries[-2] in read_layers else FEATURES

    def submodel(self, start: str, end: str | Sequence[str]) -> KerasModel:
        """Returns the model between two boundaries, or from a boundary to outputs.

        It shares all layers with the network.

        Args:
          start: Name of the first boundary.
          end: Name of the last boundary, or names of outputs and boundaries.
        """
        tensors = self._boundary_tensors[start]
        if isinstance(end, str):
            return keras.Model(tensors, self._boundary_tensors[end], name=f"{start}_to_{end}")
        outputs = {name: self.tensor(name) for name in end}
        for name, tensor in outputs.items():
            if any(tensor is given for given in tensors):
                outputs[name] = keras.layers.Identity(dtype=tensor.dtype)(tensor)
        return keras.Model(tensors, outputs, name=f"from_{start}")

    def padding_trimmer(
        self, boundary: str, outputs: Iterable[str]
    ) -> Callable[..., list[Tensor]] | None:
        """Returns a function that removes the padding that ends all sequences of a batch.

        None where the padding is unknown, where the tensors at the boundary are not sequences, or
        where an output is one, since losses compare it in its full length.

        Args:
          boundary: Name of the boundary that the batch is at.
          outputs: Names of the outputs that are computed of it.
        """
        padding = self.backbone.preprocessor.padding
        ranks = {len(self.tensor(output).shape) for output in outputs}
        if padding is None or boundary == FEATURES or ranks != {2}:
            return None
        return functools.partial(trim_padding, padding=padding)

    def predict(self, inputs: TensorLike) -> Mapping[str, tf.Tensor]:
        """Returns all outputs in inference, by name.

        Args:
          inputs: Arrays of the preprocessor, [n, *shape].
        """
        if self._forward is None:
            self._forward = compiled(self.model)
        return self._forward(inputs)

    def tensor(self, name: str) -> Tensor:
        """Returns the Keras tensor of an output, or the first one at a boundary."""
        if name in self.outputs:
            return self.outputs[name]
        if name in self._boundary_tensors:
            return self._boundary_tensors[name][0]
        raise unknown_name("tensor", name, [*self.outputs, *self._boundary_tensors])

    def shapes_at(self, boundary: str) -> list[tuple[int, ...]]:
        """Returns the shapes of the tensors at a boundary, without the batch axis."""
        return [tuple(tensor.shape[1:]) for tensor in self._boundary_tensors[boundary]]

    def blocks_below(self, boundary: str) -> list[str]:
        """Returns the names of the stages below a boundary."""
        below = self.boundaries[1 : self.boundaries.index(boundary) + 1]
        return [name for name in below if name != FEATURES]

    def variables(self, block: str, *, trainable: bool = False) -> list[Variable]:
        """Returns the weights of a block: all, or those that are trainable now."""
        found = weights.variables_of(self.blocks[block])
        return [variable for variable in found if variable.trainable] if trainable else found

    def lora_kernels(self, block: str) -> list[LoraKernel]:
        """Returns the kernels of a block that have a low-rank update."""
        return [found for found in map(lora_kernel, _leaf_layers(self.blocks[block])) if found]

    def digest(self, blocks: Iterable[str]) -> str:
        """Returns the sha256 of all weights of the blocks, statistics included."""
        return weights.digest(v for block in blocks for v in self.variables(block))

    def architecture_digest(self) -> str:
        """Returns the sha256 of the backbone's architecture and pooling; "" if it is unknown."""
        return architecture_digest(self.backbone)

    def parameters(self, block: str) -> int:
        """Returns the number of weights of a block, statistics included."""
        return sum(int(np.prod(variable.shape)) for variable in self.variables(block))

    def seed_states(self) -> list[Variable]:
        """Returns the state variables of every random layer (dropout, stochastic depth)."""
        layers = _leaf_layers(layer for layers in self.blocks.values() for layer in layers)
        generators = [each for layer in layers for each in seed_generators(layer)]
        generators += [layer.seed_generator for layer in layers if _has_seed_generator(layer)]
        return list({id(generator): generator.state for generator in generators}.values())

    def reset(self, blocks: Sequence[str], seed: int) -> None:
        """Assigns new random weights.

        Args:
          blocks: Names of the blocks.
          seed: Decides the weights.
        """
        stages = [block for block in blocks if block in self.boundaries]
        if stages:
            random = self.backbone.random_weights(seed)
            for block in stages:
                for layer in self.blocks[block]:
                    layer.set_weights(random[layer.name])
                weights.update_derived_values(self.blocks[block])
        for number, head in enumerate(self.heads):
            if head.name in blocks:
                keras.utils.set_random_seed(seed + number)
                for layer in self.blocks[head.name]:
                    _initialize(layer)


def _leaf_layers(layers: Iterable[KerasLayer]) -> list[KerasLayer]:
    """Returns the layers inside of layers, and the layers that hold none."""
    found: list[KerasLayer] = []
    for layer in layers:
        found.extend(layers_inside(layer, include_self=False) or [layer])
    return found


def _has_seed_generator(layer: KerasLayer) -> bool:
    return getattr(layer, "seed_generator", None) is not None


def _initialize(layer: KerasLayer) -> None:
    for name in ("kernel", "bias"):
        variable = getattr(layer, name, None)
        if variable is not None:
            initializer = keras.initializers.get(getattr(layer, f"{name}_initializer"))
            # An initializer that was used before would repeat its values.
            copy = type(initializer).from_config(initializer.get_config())
            variable.assign(copy(variable.shape, variable.dtype))
