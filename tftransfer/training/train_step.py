"""Optimiser steps: streams in, losses by path, gradients, an update each; under any strategy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tftransfer.core.loss import STREAMS, Loss
from tftransfer.data.stream_specs import STREAM_FIELDS
from tftransfer.losses.gradient_reversal import ramp
from tftransfer.training.microbatches import at, first, part, shards
from tftransfer.training.reference_weights import Reference
from tftransfer.utils.errors import unknown_name

# What a path names after its stream, where it is no output of the network that trains.
_NO_OUTPUT = ("reference", "teacher", *STREAM_FIELDS)
# Of a step; they are summed outside, as the sum must not depend on how steps are grouped.
_FIGURES = ("loss", "right", "weight")


class StepTensors:
    """What losses read: `STREAM.NAME` tensors, heads, and weights beside their reference."""

    def __init__(
        self,
        values: Mapping[str, Any],
        weights: Callable[[str], list[tuple[Any, Any]]],
        through: Callable[..., Any],
        progress: Any,
    ):
        self._values = values
        self._weights = weights
        self._through = through
        self.progress = progress

    def __getitem__(self, path: str) -> Any:
        if path not in self._values:
            raise unknown_name("tensor", path, self._values)
        return self._values[path]

    def __contains__(self, path: str) -> bool:
        return path in self._values

    def weights(self, pattern: str) -> list[tuple[Any, Any]]:
        """Pairs (weight, reference value) of the trained blocks that match."""
        return self._weights(pattern)

    def apply_head(self, head: str, tensor: Any, *, frozen: bool = False) -> Any:
        """The output of a head for a tensor; no gradient reaches a frozen head."""
        return self._through(head, tensor, frozen=frozen)


class TrainStep:
    """The compiled training step of a phase.

    Args:
      suffix: from the cut's tensors to the outputs.
      variables: that train.
      losses: of the phase.
      optimizer: built.
      reference: for losses that compare with the network as it was.
      strategy: of `tf.distribute`.
      through: a head's name and a tensor to the head's output of it.
      steps: of the phase.
      xla: compile by XLA.
      shorten: takes the suffix's inputs without what need not be computed.
      microbatches: of each batch, whose gradients are added up before the update.
    """

    def __init__(
        self,
        suffix: keras.Model,
        variables: Sequence[Any],
        losses: Sequence[Loss],
        optimizer: Any,
        reference: Reference,
        strategy: Any,
        *,
        through: Callable[..., Any],
        steps: int,
        xla: bool,
        shorten: Callable[[list[Any]], list[Any]] | None = None,
        microbatches: int = 1,
    ):
        self._suffix = suffix
        self._variables = list(variables)
        self._losses = tuple(losses)
        self._terms = terms(losses)
        self._figures = (*_FIGURES, *self._terms)
        paths = [path.split(".") for loss in losses for path in loss.paths()]
        self._compared = {stream for stream, *rest in paths if rest[0] == "reference"}
        self._read = {stream for stream, name, *_ in paths if name not in _NO_OUTPUT}
        self._optimizer = optimizer
        self._reference = reference
        self._strategy = strategy
        self._through, self._steps = through, steps
        self._xla, self._microbatches = xla, microbatches
        self._shorten = shorten or (lambda inputs: inputs)
        # AutoGraph would read all code that is called: a third of the time of tracing.
        self._run = tf.function(self._replicated, jit_compile=xla, autograph=False)
        self._traced: Any = None

    def __call__(self, group: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Updates the weights by one batch after another.

        Args:
          group: stream to fields, each with an axis of steps before that of the batch; under
            several replicas, of one step.

        Returns:
          `loss`, `right` and `weight`, and each of several losses without its factor by its
          `terms` name, each [steps]; sums over replicas.
        """
        if self._strategy.num_replicas_in_sync > 1:
            return self._run(shards(group, self._strategy))
        if self._xla:  # compiles for the number of steps
            return self._run(group)
        if self._traced is None:
            specs = tf.nest.map_structure(_any_steps, dict(group))
            self._traced = self._run.get_concrete_function(specs)
        return self._traced(tf.nest.map_structure(tf.convert_to_tensor, dict(group)))

    def _replicated(self, group: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        if self._strategy.num_replicas_in_sync == 1:
            return self._in_turn(group)
        results = self._strategy.run(lambda each: self._one_replica(at(each, 0)), args=(group,))
        summed = {k: self._strategy.reduce("SUM", v, axis=None) for k, v in results.items()}
        return summed | {"loss": summed["loss"][None]}

    def _in_turn(self, group: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        steps = tf.shape(first(group)["weight"])[0]

        def one(step: Any, rows: Any) -> tuple[Any, Any]:
            figures = self._one_replica(at(group, step))
            return step + 1, rows.write(step, tf.stack([figures[name] for name in self._figures]))

        begin = (tf.constant(0), tf.TensorArray(tf.float32, steps))
        _, rows = tf.while_loop(lambda step, _: step < steps, one, begin)
        return dict(zip(self._figures, tf.unstack(rows.stack(), axis=1)))

    def _one_replica(self, batch: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        figures, gradients = self._gradients(part(batch, 0, self._microbatches))
        for number in range(1, self._microbatches):
            with tf.control_dependencies([x for x in gradients if x is not None]):
                more, others = self._gradients(part(batch, number, self._microbatches))
            gradients = [_sum(a, b) for a, b in zip(gradients, others, strict=True)]
            figures = {name: figures[name] + more[name] for name in figures}
        self._optimizer.apply(self._combine(gradients), self._variables)
        return figures

    def _gradients(
        self, batch: Mapping[str, Mapping[str, Any]]
    ) -> tuple[dict[str, Any], list[Any]]:
        with tf.GradientTape() as tape:
            values = self._forward(batch)
            tensors = StepTensors(values, self._reference.pairs, self._through, self._progress())
            each_loss = [each(tensors) for each in self._losses]
            factors = [_factor(each, tensors) for each in self._losses]
            loss = tf.add_n([factor * value for factor, value in zip(factors, each_loss)])
            loss = loss + tf.add_n([tf.cast(x, tf.float32) for x in self._suffix.losses] or [0.0])
            share = first(batch)["share"][0]
            loss = loss * share
            scaled = self._optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, [v.value for v in self._variables])
        several = {name: value * share for name, value in zip(self._terms, each_loss)}
        return {"loss": loss, **_train_figures(values), **several}, gradients

    def _forward(self, batch: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """All tensors by path.

        The target goes through on its own: with both domains in one batch, BatchNorm's statistics
        would let a network tell them apart in a way that is gone at inference. All others go
        together.
        """
        streams = sorted(batch, key=STREAMS.index)
        values: dict[str, Any] = {}
        for group in ([s for s in streams if s != "target"], [s for s in streams if s == "target"]):
            values |= self._through_suffix(batch, group) if group else {}
        for stream, fields in batch.items():
            values |= {f"{stream}.{name}": fields[name] for name in fields if name != "inputs"}
            values[f"{stream}.inputs"] = fields["inputs"][0]
        return values

    def _through_suffix(self, batch: Mapping[str, Any], streams: Sequence[str]) -> dict[str, Any]:
        """The outputs of streams that go together.

        A stream that is read as it was before alone does not pass the network that trains: its
        statistics would be taken in by BatchNorm, though they are not what the losses see.
        """
        compared = [stream for stream in streams if stream in self._compared]
        passing = [s for s in streams if s not in compared or s in self._read]
        values: dict[str, Any] = {}
        if passing:
            outputs = self._suffix(self._inputs(batch, passing), training=True)
            values |= _parted(outputs, batch, passing)
        if compared:
            outputs = self._reference.outputs(self._suffix, self._inputs(batch, compared))
            values |= _parted(outputs, batch, compared, "reference.")
        return values

    def _inputs(self, batch: Mapping[str, Any], streams: Sequence[str]) -> list[Any]:
        return self._shorten(_together(batch, streams))

    def _progress(self) -> Any:
        """From 0 to 1 over the phase."""
        return tf.cast(self._optimizer.iterations, tf.float32) / self._steps

    def _combine(self, gradients: list[Any]) -> list[Any]:
        gradients = [
            tf.zeros_like(v.value) if g is None else tf.convert_to_tensor(g)
            for g, v in zip(gradients, self._variables)
        ]
        replicas = self._strategy.num_replicas_in_sync
        if replicas > 1:
            context = tf.distribute.get_replica_context()
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        # Keras sums the gradients over the replicas once more.
        return [gradient / replicas for gradient in gradients] if replicas > 1 else gradients


def terms(losses: Sequence[Loss]) -> tuple[str, ...]:
    """The names under which several losses are told apart, such as `CrossEntropy_loss`."""
    if len(losses) < 2:
        return ()
    kinds = [loss.class_name for loss in losses]
    numbers = [kinds[: place + 1].count(kind) for place, kind in enumerate(kinds)]
    return tuple(f"{k}_{n}_loss" if n > 1 else f"{k}_loss" for k, n in zip(kinds, numbers))


def _factor(loss: Loss, tensors: StepTensors) -> Any:
    return loss.weight * ramp(tensors.progress, loss.ramp) if loss.ramp else loss.weight


def _together(batch: Mapping[str, Any], streams: Sequence[str]) -> list[Any]:
    """One batch of several streams' inputs."""
    return [_joined(tensors) for tensors in zip(*(batch[stream]["inputs"] for stream in streams))]


def _joined(tensors: Sequence[Any]) -> Any:
    """One tensor; pictures that augmentation leaves alone are uint8, and others not."""
    if len({part.dtype for part in tensors}) > 1:
        tensors = [tf.cast(part, tf.float32) for part in tensors]
    return tf.concat(tensors, 0) if len(tensors) > 1 else tensors[0]


def _parted(
    outputs: Mapping[str, Any], batch: Mapping[str, Any], streams: Sequence[str], origin: str = ""
) -> dict[str, Any]:
    """The outputs of each stream, by path."""
    if len(streams) == 1:
        return {f"{streams[0]}.{origin}{name}": tensor for name, tensor in outputs.items()}
    sizes = [int(batch[stream]["weight"].shape[0]) for stream in streams]
    return {
        f"{stream}.{origin}{name}": part
        for name, tensor in outputs.items()
        for stream, part in zip(streams, tf.split(tensor, sizes))
    }


def _sum(first: Any, second: Any) -> Any:
    """Of gradients, sparse ones included; None is no gradient."""
    if first is None or second is None:
        return first if second is None else second
    return tf.convert_to_tensor(first) + tf.convert_to_tensor(second)


def _train_figures(values: Mapping[str, Any]) -> dict[str, Any]:
    if "train.weight" not in values:
        return {"weight": tf.zeros(()), "right": tf.zeros(())}
    weight = values["train.weight"]
    label, logits = values["train.label"], values.get("train.logits")
    if logits is None or logits.shape[-1] != label.shape[-1]:
        return {"weight": tf.reduce_sum(weight), "right": tf.zeros(())}
    right = tf.cast(tf.equal(tf.argmax(label, -1), tf.argmax(logits, -1)), tf.float32)
    return {"weight": tf.reduce_sum(weight), "right": tf.reduce_sum(weight * right)}


def _any_steps(array: Any) -> tf.TensorSpec:
    return tf.TensorSpec((None, *array.shape[1:]), array.dtype)
