"""Parts of a group of batches: one step, one replica's share, one microbatch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import tensorflow as tf

from tftransfer.core.loss import STREAMS
from tftransfer.core.typing import Tensor
from tftransfer.utils.errors import UserError

# Names of streams to their fields: tensors, and the tuple of tensors `inputs`.
Fields: TypeAlias = Mapping[str, Any]
Batch: TypeAlias = Mapping[str, Fields]

# Fields of a stream that have no entry for each example.
_NOT_BY_EXAMPLE = ("share", "class_weight")


def microbatch(batch: Batch, number: int, count: int) -> Batch:
    """Returns one of `count` parts of a batch, with its share of the weight.

    Args:
      batch: Fields of each stream.
      number: Index of the part, from 0.
      count: Number of parts.
    """
    if count == 1:
        return batch
    whole = first_stream(batch)["weight"]
    size = int(whole.shape[0])
    rows = slice(number * size // count, (number + 1) * size // count)
    found = {
        stream: {
            name: value if name in _NOT_BY_EXAMPLE else tf.nest.map_structure(_rows(rows), value)
            for name, value in fields.items()
        }
        for stream, fields in batch.items()
    }
    share = tf.math.divide_no_nan(tf.reduce_sum(whole[rows]), tf.reduce_sum(whole))
    first = min(found, key=STREAMS.index)
    found[first]["share"] = batch[first]["share"] * share
    return found


def _rows(rows: slice) -> Callable[[Tensor], Tensor]:
    return lambda tensor: tensor[rows]


def first_stream(batch: Batch) -> Fields:
    """Returns the stream that determines the length of an epoch."""
    return batch[min(batch, key=STREAMS.index)]


def select_step(group: Batch, step: Tensor | int) -> Batch:
    """Returns one step of a group of steps."""
    return tf.nest.map_structure(lambda x: x[step], dict(group))


def replica_batches(group: Batch, strategy: tf.distribute.Strategy) -> Batch:
    """Splits every tensor of a group into one part per replica, along the axis of the batch.

    Args:
      group: Fields of each stream, [steps, batch, ...].
      strategy: The strategy with the replicas.

    Returns:
      The same structure, its tensors distributed.
    """
    replicas = strategy.num_replicas_in_sync
    total = tf.reduce_sum(first_stream(group)["weight"])
    first = min(group, key=STREAMS.index)

    def of_replica(context: tf.distribute.ReplicaContext) -> Batch:
        index = context.replica_id_in_sync_group
        copied = {stream: dict(fields) for stream, fields in group.items()}
        own = tf.nest.map_structure(lambda x: _replica_rows(x, index, replicas), copied)
        for stream, fields in own.items():
            fields["class_weight"] = tf.convert_to_tensor(group[stream]["class_weight"])
            fields["share"] = tf.convert_to_tensor(group[stream]["share"])
        share = tf.reduce_sum(own[first]["weight"]) / total
        own[first]["share"] = tf.fill([1, 1], share)
        return own

    return strategy.experimental_distribute_values_from_function(of_replica)


def _replica_rows(tensor: Tensor, replica: int, replicas: int) -> Tensor:
    length = tensor.shape[1] // replicas
    return tf.convert_to_tensor(tensor[:, replica * length : (replica + 1) * length])


def check_batch_size(batch_size: int, strategy: tf.distribute.Strategy) -> None:
    """Checks that a batch can be split evenly over the devices.

    Args:
      batch_size: Number of examples in a batch.
      strategy: The strategy with the devices.

    Raises:
      UserError: It cannot.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise UserError(
            f"--batch_size={batch_size} is not divisible by the number of devices ({replicas}).",
            f"Give a multiple of {replicas}.",
        )
