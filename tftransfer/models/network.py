"""The `Network`: a backbone and its heads as one functional model, spoken of by blocks."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tftransfer.backbones.backbone import Backbone
from tftransfer.backbones.tfhub import TFHubLayer
from tftransfer.checkpoints import weights
from tftransfer.core.problem_types import ProblemType
from tftransfer.core.recipe import Head
from tftransfer.data.length_bucketing import trim_padding
from tftransfer.losses.functional import multilinear_map
from tftransfer.models.heads import Balance, decoder_layers, dense_layers, sample_layer
from tftransfer.models.inference import compiled
from tftransfer.models.lora import adapt, merge, updated
from tftransfer.models.pooling import PatchPooling, SequencePooling
from tftransfer.utils.errors import UserError, unknown_name
from tftransfer.utils.keras_internals import layers_inside, seed_generators

INPUT = "input"
FEATURES = "features"
# Of moving statistics that train. Keras's 0.99 and 0.999 are made for 100,000 steps: over the
# hundreds of steps of a small data set they lag so far that validation stays at chance.
_MOMENTUM = 0.9


class Network:
    """Backbone plus heads.

    Args:
      backbone: cut into stages.
      heads: hung on `features` (the pooled last stage) or on a stage.
      units: outputs of a head whose `units` is 0.
      problem_type: of the labels; for `regression` the head ends in their unit, see `set_units`;
        for `multi_task` it gives the scores of all tasks side by side: a linear head for each.

    Attributes:
      blocks: block name to its Keras layers; the stages in order, then the heads.
      model: the form's arrays to a dictionary of the heads' outputs and `features`.
      boundaries: the points at which the network can be parted, from the input upwards.
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
        self.blocks: dict[str, list[Any]] = {s.name: list(s.layers) for s in backbone.stages}
        self._boundary_tensors: dict[str, list[Any]] = {INPUT: list(backbone.model.inputs)}
        self._boundary_tensors |= {s.name: list(s.outputs) for s in backbone.stages}
        self._boundary_tensors[FEATURES] = [self._features()]
        self.outputs = {FEATURES: self._boundary_tensors[FEATURES][0]}
        for head in self.heads:
            self.outputs[head.output] = self._hang(head, units)
        self.model = keras.Model(backbone.model.inputs, self.outputs, name="network")
        self.boundaries = list(self._boundary_tensors)
        self._forward: Any = None

    def _hang(self, head: Head, units: int) -> Any:
        layer_name = head.layer.removeprefix("~")
        x = self._layer_output(layer_name)
        if len(x.shape) > 2:
            x = self.pooled(layer_name, f"{head.name}_pool")
        if head.kind == "decoder":
            layers = decoder_layers(head.name, self._picture_size(head))
        elif head.kind == "balance":
            layers = [Balance(head.units, name=head.name, dtype="float32")]
        else:
            layers = dense_layers(
                head, units, regression=self._problem_type == ProblemType.REGRESSION
            )
        if head.layer.startswith("~"):
            layers = [sample_layer(head.name), *layers]
        for layer in layers:
            x = layer(x)
        self.blocks[head.name] = layers
        return x

    def _picture_size(self, head: Head) -> int:
        shape = self.backbone.preprocessor.shape
        if len(shape) != 3 or shape[0] != shape[1]:
            raise UserError(
                f"The head {head.name!r} decodes pictures, but the input is "
                f"{self.backbone.preprocessor.modality}.",
                "Take another recipe: auto-encoders are for pictures.",
            )
        return shape[0]

    def _features(self) -> Any:
        last = self.backbone.stages[-1].name
        if not self.backbone.unit_length:
            return self.pooled(last, FEATURES)
        unit = keras.layers.UnitNormalization(name=FEATURES, dtype="float32")
        return unit(self.pooled(last, f"{FEATURES}_pool"))

    def pooled(self, place: str, name: str) -> Any:
        """The tensor at a cut as a vector per example; masks and weights beside it count."""
        tensors = self._boundary_tensors[place]
        if len(tensors[0].shape) == 4 and len(tensors[-1].shape) == 2:
            return PatchPooling(name=name, dtype="float32")(tensors[:2])
        if len(tensors[0].shape) == 4:
            return keras.layers.GlobalAveragePooling2D(name=name, dtype="float32")(tensors[0])
        if len(tensors[0].shape) == 3:
            return SequencePooling(self.backbone.pooling, name=name, dtype="float32")(tensors[:2])
        return tensors[0]

    def _layer_output(self, layer_name: str) -> Any:
        place, times, output = layer_name.partition("*")
        if place not in {*self._boundary_tensors, *self.outputs}:
            raise unknown_name("layer", place, {**self._boundary_tensors, **self.outputs})
        x = self.tensor(place)
        return multilinear_map(x, keras.ops.softmax(self.tensor(output))) if times else x

    def through(self, head: str, tensor: Any, *, frozen: bool = False) -> Any:
        """A head's output of another tensor than its own layer's, in training.

        Args:
          head: its name.
          tensor: that it reads.
          frozen: no gradient reaches the head's weights.
        """
        for layer in self.blocks[head]:
            if frozen:
                held = [keras.ops.stop_gradient(v.value) for v in layer.trainable_variables]
                others = [v.value for v in layer.non_trainable_variables]
                tensor, _ = layer.stateless_call(held, others, tensor)
            else:
                tensor = layer(tensor, training=True)
        return tensor

    def begin_as_source(self) -> None:
        """Lets heads that are like the source's have its weights.

        Raises:
          UserError: the backbone is no run with a linear head.
        """
        for head in self.heads:
            if head.like == "source":
                self.blocks[head.name][-1].set_weights(self.backbone.source_head())

    def set_units(self, labels: np.ndarray) -> None:
        """Lets heads of a regression start at the labels' [n, k] mean, in steps of their spread."""
        for head in self.heads:
            unit = self.blocks[head.name][-1]
            if isinstance(unit, keras.layers.Normalization):
                spread = labels.var(axis=0)
                unit.adapt_mean.assign(labels.mean(axis=0))
                unit.adapt_variance.assign(np.where(spread > 0, spread, 1.0))
                unit.finalize_state()

    def set_trainable(self, rates: Mapping[str, float], *, batch_norm: str, lora: int = 0) -> None:
        """Trains the blocks whose rate is above 0; `batch_norm` and `lora` as in `Phase`."""
        for block, layers in self.blocks.items():
            for number, layer in enumerate(_leaves(layers)):
                norm = isinstance(layer, keras.layers.BatchNormalization)
                layer.trainable = rates[block] > 0 and not (norm and batch_norm == "frozen")
                if norm and layer.trainable:
                    layer.momentum = min(layer.momentum, _MOMENTUM)
                if isinstance(layer, TFHubLayer):
                    layer.batch_norm = batch_norm
                if lora and rates[block] > 0 and block in self.boundaries:
                    adapt(layer, lora, seed=number)

    def merge_lora(self) -> None:
        """Low-rank updates become part of the kernels that they change."""
        for layer in _leaves(layer for layers in self.blocks.values() for layer in layers):
            merge(layer)

    def boundary_for(self, rates: Mapping[str, float], read: Iterable[str] = ()) -> str:
        """The deepest point below which nothing trains: where the frozen prefix ends.

        Args:
          rates: multiplier of every block.
          read: names of tensors that must not be below it, besides what the heads read.
        """
        read_layers = {head.layer.partition("*")[0] for head in self.heads} | set(read) & set(
            self.boundaries
        )
        for position, boundary in enumerate(self.boundaries[1:-1], 1):
            if rates[boundary] > 0 or self.boundaries[position - 1] in read_layers:
                return self.boundaries[position - 1]
        return self.boundaries[-2] if self.boundaries[-2] in read_layers else FEATURES

    def submodel(self, start: str, end: str | Sequence[str]) -> keras.Model:
        """The stretch between two cuts, or from a cut to named outputs; it shares all layers."""
        tensors = self._boundary_tensors[start]
        if isinstance(end, str):
            return keras.Model(tensors, self._boundary_tensors[end], name=f"{start}_to_{end}")
        outputs = {name: self.tensor(name) for name in end}
        for name, tensor in outputs.items():
            if any(tensor is given for given in tensors):
                outputs[name] = keras.layers.Identity(dtype=tensor.dtype)(tensor)
        return keras.Model(tensors, outputs, name=f"from_{start}")

    def shortener(self, boundary: str, outputs: Iterable[str]) -> Callable[..., list[Any]] | None:
        """Takes from a batch at a cut the end that is padding in all its sequences.

        None where no padding is known, where nothing at the cut is a sequence, or where an output
        is one, as others compare it in its full length.
        """
        padding, whole = (
            self.backbone.preprocessor.padding,
            {len(self.tensor(o).shape) for o in outputs},
        )
        if padding is None or boundary == FEATURES or whole != {2}:
            return None
        return functools.partial(trim_padding, padding=padding)

    def predict(self, inputs: Any) -> Any:
        """All outputs in inference, by name, of inputs [n, *form.shape]; compiled once."""
        if self._forward is None:
            self._forward = compiled(self.model)
        return self._forward(inputs)

    def tensor(self, name: str) -> Any:
        """An output or the (first) tensor at a cut, by name."""
        if name in self.outputs:
            return self.outputs[name]
        if name in self._boundary_tensors:
            return self._boundary_tensors[name][0]
        raise unknown_name("tensor", name, [*self.outputs, *self._boundary_tensors])

    def shapes_at(self, boundary: str) -> list[tuple[int, ...]]:
        """Shapes of the tensors at a cut, without the batch axis."""
        return [tuple(tensor.shape[1:]) for tensor in self._boundary_tensors[boundary]]

    def blocks_below(self, boundary: str) -> list[str]:
        """The stages that a prefix up to `boundary` contains."""
        return [
            name
            for name in self.boundaries[1 : self.boundaries.index(boundary) + 1]
            if name != FEATURES
        ]

    def variables(self, block: str, *, trainable: bool = False) -> list[Any]:
        """All weights of a block, or only those that train now."""
        every = weights.variables_of(self.blocks[block])
        return [v for v in every if v.trainable] if trainable else every

    def updated_kernels(self, block: str) -> list[tuple[Any, Any, tuple[Any, Any]]]:
        """Of each low-rank update in a block: the kernel with it, the kernel, and its factors."""
        return [found for found in map(updated, _leaves(self.blocks[block])) if found]

    def digest(self, blocks: Iterable[str]) -> str:
        """sha256 over all weights of the blocks, statistics included."""
        return weights.digest(v for block in blocks for v in self.variables(block))

    def architecture_digest(self) -> str:
        """sha256 of the backbone's layers, their settings and connections, and of what becomes of
        its last stage; "" when unknown.

        What trains is no part of it.
        """
        model = self.backbone.model
        parts = [*layers_inside(model, include_self=False), *model.operations]
        names = {part.name: f"#{number}" for number, part in enumerate(parts)}
        try:
            text = self.backbone.model.to_json()
        except (TypeError, ValueError, NotImplementedError):
            return ""
        text = re.sub(r'"trainable": (true|false)', "", text)
        text = re.sub(r'"([^"]+)"', lambda found: names.get(found[1], found[0]), text)
        pooled = f"{self.backbone.pooling} {self.backbone.unit_length}"
        return hashlib.sha256(f"{text} {pooled}".encode()).hexdigest()

    def parameters(self, block: str) -> int:
        """The number of weights of a block, statistics included."""
        return sum(int(np.prod(v.shape)) for v in self.variables(block))

    def seed_states(self) -> list[Any]:
        """The state variables of every random layer (dropout, stochastic depth)."""
        generators = {
            id(g): g.state
            for layers in self.blocks.values()
            for layer in _leaves(layers)
            for g in seed_generators(layer)
        }
        extra = {
            id(layer.seed_generator): layer.seed_generator.state
            for layers in self.blocks.values()
            for layer in _leaves(layers)
            if getattr(layer, "seed_generator", None) is not None
        }
        return list((generators | extra).values())

    def reset(self, blocks: Sequence[str], seed: int) -> None:
        """Gives the blocks new random weights, decided by `seed`."""
        stages = [block for block in blocks if block in self.boundaries]
        if stages:
            random = self.backbone.random_weights(seed)
            for block in stages:
                for layer in self.blocks[block]:
                    layer.set_weights(random[layer.name])
                weights.settle(self.blocks[block])
        for number, head in enumerate(self.heads):
            if head.name in blocks:
                keras.utils.set_random_seed(seed + number)
                for layer in self.blocks[head.name]:
                    _reinitialize(layer)


def _leaves(layers: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for layer in layers:
        found.extend(layers_inside(layer, include_self=False) or [layer])
    return found


def _reinitialize(layer: Any) -> None:
    for name in ("kernel", "bias"):
        variable = getattr(layer, name, None)
        if variable is not None:
            initializer = keras.initializers.get(getattr(layer, f"{name}_initializer"))
            fresh = type(initializer).from_config(initializer.get_config())
            variable.assign(fresh(variable.shape, variable.dtype))
