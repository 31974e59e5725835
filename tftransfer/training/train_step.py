"""Optimizer steps: streams in, losses by path, gradients, one update each; under any strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import keras
import tensorflow as tf

from tftransfer.core.loss import STREAMS, Loss
from tftransfer.core.typing import Tensor, Variable
from tftransfer.data.stream_specs import STREAM_FIELDS
from tftransfer.losses.gradient_reversal import ramp
from tftransfer.training.microbatches import (
    Batch,
    first_stream,
    microbatch,
    replica_batches,
    select_step,
)
from tftransfer.training.reference_weights import Reference
from tftransfer.utils.errors import unknown_name

Gradient: TypeAlias = Tensor | tf.IndexedSlices | None

# Names after a stream in a path that are no outputs of the network that trains.
_NOT_OUTPUTS = ("reference", "teacher", *STREAM_FIELDS)
# Values of a step. They are summed outside, as sums must not depend on how steps are grouped.
_STEP_VALUES = ("loss", "correct", "weight")


class StepTensors:
    """What losses read: tensors by path, heads, and weights with their reference.

    Args:
      values: Tensors by path, such as `train.logits`.
      weights: A function from a block pattern to pairs (weight, reference value).
      apply_head: A function from a head's name and a tensor to the head's output.
      progress: Progress of the phase, from 0 to 1, a scalar.
    """

    def __init__(
        self,
        values: Mapping[str, Tensor],
        weights: Callable[[str], list[tuple[Tensor, Tensor]]],
        apply_head: Callable[..., Tensor],
        progress: Tensor,
    ):
        self._values = values
        self._weights = weights
        self._apply_head = apply_head
        self.progress = progress

    def __getitem__(self, path: str) -> Tensor:
        if path not in self._values:
            raise unknown_name("tensor", path, self._values)
        return self._values[path]

    def __contains__(self, path: str) -> bool:
        return path in self._values

    def weights(self, pattern: str) -> list[tuple[Tensor, Tensor]]:
        """Returns pairs (weight, reference value) of the trained blocks that match a pattern."""
        return self._weights(pattern)

    def apply_head(self, head: str, tensor: Tensor, *, frozen: bool = False) -> Tensor:
        """Returns a head's output of a tensor.

        Args:
          head: Name of the head.
          tensor: The tensor that the head reads.
          frozen: Whether the head's weights get no gradient.
        """
        return self._apply_head(head, tensor, frozen=frozen)


class TrainStep:
    """The compiled training step of a phase.

    Args:
      trainable_layers: The network from the boundary's tensors to the outputs.
      variables: The variables that train.
      losses: The losses of the phase.
      optimizer: A built optimizer.
      reference: The network as it was, for losses that compare with it.
      strategy: The strategy in whose scope the network was made.
      apply_head: A function from a head's name and a tensor to the head's output.
      steps: Number of steps of the phase.
      xla: Whether to compile by XLA.
      trim_padding: Removes the end of the inputs that is padding in all sequences; None keeps it.
      microbatches: Number of parts of each batch, whose gradients are summed before the update.
    """

    def __init__(
        self,
        trainable_layers: keras.Model,
        variables: Sequence[Variable],
        losses: Sequence[Loss],
        optimizer: keras.optimizers.Optimizer,
        reference: Reference,
        strategy: tf.distribute.Strategy,
        *,
        apply_head: Callable[..., Tensor],
        steps: int,
        xla: bool,
        trim_padding: Callable[[list[Tensor]], list[Tensor]] | None = None,
        microbatches: int = 1,
    ):
        self._trainable_layers = trainable_layers
        self._variables = list(variables)
        self._losses = tuple(losses)
        self._terms = terms(losses)
        self._value_names = (*_STEP_VALUES, *self._terms)
        paths = [path.split(".") for loss in losses for path in loss.paths()]
        self._compared = {stream for stream, *rest in paths if rest[0] == "reference"}
        self._read = {stream for stream, name, *_ in paths if name not in _NOT_OUTPUTS}
        self._optimizer = optimizer
        self._reference = reference
        self._strategy = strategy
        self._apply_head, self._steps = apply_head, steps
        self._xla, self.microbatches = xla, microbatches
        self._trim_padding = trim_padding or (lambda inputs: inputs)
        # AutoGraph would convert all code that is called: a third of the time of tracing.
        self._run = tf.function(self._replicated, jit_compile=xla, autograph=False)
        self._traced: tf.types.experimental.ConcreteFunction | None = None

    def __call__(self, group: Batch) -> dict[str, Tensor]:
        """Updates the weights by one batch after another.

        Args:
          group: Fields of each stream, with an axis of steps before that of the batch; of one step
            where there are several replicas.

        Returns:
          `loss`, `correct` and `weight`, and each of several losses without its factor by its
          name of `terms`, each [steps]; sums over replicas.
        """
        if self._strategy.num_replicas_in_sync > 1:
            return self._run(replica_batches(group, self._strategy))
        if self._xla:  # compiles for the number of steps
            return self._run(group)
        if self._traced is None:
            specs = tf.nest.map_structure(_spec_of_any_length, dict(group))
            self._traced = self._run.get_concrete_function(specs)
        return self._traced(tf.nest.map_structure(tf.convert_to_tensor, dict(group)))

    def _replicated(self, group: Batch) -> dict[str, Tensor]:
        if self._strategy.num_replicas_in_sync == 1:
            return self._one_after_another(group)
        results = self._strategy.run(lambda each: self._update(select_step(each, 0)), args=(group,))
        summed = {k: self._strategy.reduce("SUM", v, axis=None) for k, v in results.items()}
        return summed | {"loss": summed["loss"][None]}

    def _one_after_another(self, group: Batch) -> dict[str, Tensor]:
        steps = tf.shape(first_stream(group)["weight"])[0]

        def one(step: Tensor, rows: tf.TensorArray) -> tuple[Tensor, tf.TensorArray]:
            values = self._update(select_step(group, step))
            row = tf.stack([values[name] for name in self._value_names])
            return step + 1, rows.write(step, row)

        begin = (tf.constant(0), tf.TensorArray(tf.float32, steps))
        _, rows = tf.while_loop(lambda step, _: step < steps, one, begin)
        return dict(zip(self._value_names, tf.unstack(rows.stack(), axis=1)))

    def _update(self, batch: Batch) -> dict[str, Tensor]:
        """Updates the weights by one replica's batch; returns the values of the step."""
        values, gradients = self._gradients(microbatch(batch, 0, self.microbatches))
        for number in range(1, self.microbatches):
            # The activations of two microbatches must not be in memory at once.
            with tf.control_dependencies([x for x in gradients if x is not None]):
                more, others = self._gradients(microbatch(batch, number, self.microbatches))
            gradients = [_sum(a, b) for a, b in zip(gradients, others, strict=True)]
            values = {name: values[name] + more[name] for name in values}
        self._optimizer.apply(self._reduce(gradients), self._variables)
        return values

    def _gradients(self, batch: Batch) -> tuple[dict[str, Tensor], list[Gradient]]:
        with tf.GradientTape() as tape:
            values = self._forward(batch)
            tensors = StepTensors(values, self._reference.pairs, self._apply_head, self._progress())
            each_loss = [each(tensors) for each in self._losses]
            factors = [_factor(each, tensors) for each in self._losses]
            loss = tf.add_n([factor * value for factor, value in zip(factors, each_loss)])
            penalties = [tf.cast(x, tf.float32) for x in self._trainable_layers.losses]
            loss = loss + tf.add_n(penalties or [0.0])
            share = first_stream(batch)["share"][0]
            loss = loss * share
            scaled = self._optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, [v.value for v in self._variables])
        several = {name: value * share for name, value in zip(self._terms, each_loss)}
        return {"loss": loss, **_train_values(values), **several}, gradients

    def _forward(self, batch: Batch) -> dict[str, Tensor]:
        """Computes all tensors by path.

        The target domain goes forward by itself: with both domains in one batch, BatchNorm's
        statistics would let a network separate them in a way that inference does not have. All
        other streams go forward together.
        """
        streams = sorted(batch, key=STREAMS.index)
        values: dict[str, Tensor] = {}
        for group in ([s for s in streams if s != "target"], [s for s in streams if s == "target"]):
            values |= self._outputs_of(batch, group) if group else {}
        for stream, fields in batch.items():
            values |= {f"{stream}.{name}": fields[name] for name in fields if name != "inputs"}
            values[f"{stream}.inputs"] = fields["inputs"][0]
        return values

    def _outputs_of(self, batch: Batch, streams: Sequence[str]) -> dict[str, Tensor]:
        """Returns the outputs of streams that go forward together.

        A stream of which only the reference's outputs are read does not pass the network that
        trains: BatchNorm would count its statistics, although the losses do not see them.
        """
        compared = [stream for stream in streams if stream in self._compared]
        passing = [s for s in streams if s not in compared or s in self._read]
        values: dict[str, Tensor] = {}
        if passing:
            outputs = self._trainable_layers(self._inputs(batch, passing), training=True)
            values |= _split_by_stream(outputs, batch, passing)
        if compared:
            outputs = self._reference.outputs(self._trainable_layers, self._inputs(batch, compared))
            values |= _split_by_stream(outputs, batch, compared, "reference.")
        return values

    def _inputs(self, batch: Batch, streams: Sequence[str]) -> list[Tensor]:
        return self._trim_padding(_joined_inputs(batch, streams))

    def _progress(self) -> Tensor:
        """Returns the progress of the phase, from 0 to 1."""
        return tf.cast(self._optimizer.iterations, tf.float32) / self._steps

    def _reduce(self, gradients: Iterable[Gradient]) -> list[Tensor]:
        """Returns dense gradients, summed over the replicas."""
        dense = [
            tf.zeros_like(v.value) if g is None else tf.convert_to_tensor(g)
            for g, v in zip(gradients, self._variables)
        ]
        replicas = self._strategy.num_replicas_in_sync
        if replicas == 1:
            return dense
        context = tf.distribute.get_replica_context()
        dense = context.all_reduce(tf.distribute.ReduceOp.SUM, dense)
        # Keras sums the gradients over the replicas once more.
        return [gradient / replicas for gradient in dense]


def terms(losses: Sequence[Loss]) -> tuple[str, ...]:
    """Returns the names by which several losses are logged, such as `CrossEntropy_loss`."""
    if len(losses) < 2:
        return ()
    classes = [loss.class_name for loss in losses]
    numbers = [classes[: place + 1].count(name) for place, name in enumerate(classes)]
    return tuple(f"{c}_{n}_loss" if n > 1 else f"{c}_loss" for c, n in zip(classes, numbers))


def _factor(loss: Loss, tensors: StepTensors) -> Tensor | float:
    return loss.weight * ramp(tensors.progress, loss.ramp) if loss.ramp else loss.weight


def _joined_inputs(batch: Batch, streams: Sequence[str]) -> list[Tensor]:
    """Returns the inputs of several streams as one batch."""
    return [_joined(tensors) for tensors in zip(*(batch[stream]["inputs"] for stream in streams))]


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    """Joins tensors; images are uint8 where augmentation does not change them, else float."""
    if len({tensor.dtype for tensor in tensors}) > 1:
        tensors = [tf.cast(tensor, tf.float32) for tensor in tensors]
    return tf.concat(tensors, 0) if len(tensors) > 1 else tensors[0]


def _split_by_stream(
    outputs: Mapping[str, Tensor], batch: Batch, streams: Sequence[str], origin: str = ""
) -> dict[str, Tensor]:
    """Returns the outputs of each stream, by path."""
    if len(streams) == 1:
        return {f"{streams[0]}.{origin}{name}": tensor for name, tensor in outputs.items()}
    sizes = [int(batch[stream]["weight"].shape[0]) for stream in streams]
    return {
        f"{stream}.{origin}{name}": rows
        for name, tensor in outputs.items()
        for stream, rows in zip(streams, tf.split(tensor, sizes))
    }


def _sum(first: Gradient, second: Gradient) -> Gradient:
    """Adds gradients, sparse ones included; None is no gradient."""
    if first is None or second is None:
        return first if second is None else second
    return tf.convert_to_tensor(first) + tf.convert_to_tensor(second)


def _train_values(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the sum of the examples' weights, and of those that are classified correctly."""
    if "train.weight" not in values:
        return {"weight": tf.zeros(()), "correct": tf.zeros(())}
    weight = values["train.weight"]
    label, logits = values["train.label"], values.get("train.logits")
    if logits is None or logits.shape[-1] != label.shape[-1]:
        return {"weight": tf.reduce_sum(weight), "correct": tf.zeros(())}
    correct = tf.cast(tf.equal(tf.argmax(label, -1), tf.argmax(logits, -1)), tf.float32)
    return {"weight": tf.reduce_sum(weight), "correct": tf.reduce_sum(weight * correct)}


def _spec_of_any_length(array: Tensor) -> tf.TensorSpec:
    return tf.TensorSpec((None, *array.shape[1:]), array.dtype)
