"""Parts of a group of batches: a step, a replica's share, a piece that fits into memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from tftransfer.core.loss import STREAMS
from tftransfer.utils.errors import UserError

# Fields of a stream with no entry for each example.
_NOT_BY_EXAMPLE = ("share", "class_weight")


def part(batch: Mapping[str, Mapping[str, Any]], number: int, parts: int) -> Any:
    """One of as many parts of the batch, with its share of the weight."""
    if parts == 1:
        return batch
    whole = first(batch)["weight"]
    size = int(whole.shape[0])
    some = slice(number * size // parts, (number + 1) * size // parts)
    found = {
        stream: {
            name: value if name in _NOT_BY_EXAMPLE else tf.nest.map_structure(_rows(some), value)
            for name, value in fields.items()
        }
        for stream, fields in batch.items()
    }
    share = tf.math.divide_no_nan(tf.reduce_sum(whole[some]), tf.reduce_sum(whole))
    first(found)["share"] = first(batch)["share"] * share
    return found


def _rows(some: slice) -> Callable[[Any], Any]:
    return lambda tensor: tensor[some]


def first(batch: Mapping[str, Any]) -> Any:
    """The stream that gives the length of an epoch."""
    return batch[min(batch, key=STREAMS.index)]


def at(group: Mapping[str, Mapping[str, Any]], step: Any) -> Any:
    """One step of a group of them."""
    return tf.nest.map_structure(lambda x: x[step], dict(group))


def shards(group: Mapping[str, Mapping[str, Any]], strategy: Any) -> Any:
    """Splits every tensor of the group into one part per replica, along the axis of the batch."""
    replicas = strategy.num_replicas_in_sync
    total = tf.reduce_sum(first(group)["weight"])

    def of_replica(context: Any) -> Any:
        me = context.replica_id_in_sync_group
        cut = tf.nest.map_structure(lambda x: _slice(x, me, replicas), _copied(group))
        for stream, fields in cut.items():
            fields["class_weight"] = tf.convert_to_tensor(group[stream]["class_weight"])
            fields["share"] = tf.convert_to_tensor(group[stream]["share"])
        share = tf.reduce_sum(first(cut)["weight"]) / total
        first(cut)["share"] = tf.fill([1, 1], share)
        return cut

    return strategy.experimental_distribute_values_from_function(of_replica)


def _copied(group: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {stream: dict(fields) for stream, fields in group.items()}


def _slice(tensor: Any, replica: int, replicas: int) -> Any:
    length = tensor.shape[1] // replicas
    return tf.convert_to_tensor(tensor[:, replica * length : (replica + 1) * length])


def check_batch_size(batch_size: int, strategy: Any) -> None:
    """The batch must part evenly over the replicas.

    Raises:
      UserError: it does not.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise UserError(
            f"--batch_size={batch_size} cannot be parted over {replicas} devices.",
            f"Give a multiple of {replicas}.",
        )
