"""What every kind of input has: an `Modality` for files, a `Preprocessor` for networks."""

from __future__ import annotations

import abc
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

# A reason to leave a file out by its encoded bytes, or None.
FileCheck = Callable[[bytes], str | None]
# What is worth saying of a file, or None.
FileWarning = Callable[[bytes], str | None]

_CALLS, _FEW = 4 * (os.cpu_count() or 1), 8


@dataclass(frozen=True, kw_only=True)
class Modality:
    """Pictures, text or audio: what their files must satisfy, and how they are spoken of.

    Attributes:
      name: `image`, `text` or `audio`.
      one: what an example is called in messages.
      many: several of them.
      rules: what a file must satisfy; the first reason counts.
      notes: what is worth saying of files that are examples.
      decode_error: a reason not to use bytes that satisfy the rules, found by decoding them.
      content: of encoded bytes, what two examples share that are the same.
      measure: seconds of audio or words of text in encoded bytes; None where that is of no use.
      length: from the training data's measures and the most that the network reads by default
        to how much of each example is read, and that choice with its reason in words; None where
        all is read.
      middle_layers_matter: whether middle stages of a network often know more than the last.
      mixable: whether arrays of this kind may be mixed.
      augments: what `Phase.augment` may be, besides `auto`.
      augment: what `auto` stands for.
      argument: of the exported signature, with the examples' encoded bytes.
      refused: what the export says of bytes that are no example.
      advice: what data of this kind look like, for a message.
    """

    name: str
    singular: str
    plural: str
    checks: Sequence[FileCheck]
    warnings: Sequence[FileWarning]
    decode_error: Callable[[bytes], str | None]
    content: Callable[[bytes], bytes] = bytes
    measure: Callable[[bytes], float] | None = None
    auto_length: Callable[[np.ndarray, float], tuple[float, str]] | None = None
    middle_layers_matter: bool = False
    mixable: bool = True
    augmentations: tuple[str, ...]
    default_augmentation: str
    signature_input: str
    invalid_message: str
    expected_data: str


class Augmenter(Protocol):
    """Random changes of a batch of inputs, decided by a seed."""

    random: bool

    def __call__(self, inputs: Any, /, *seed: int) -> Any:
        """A changed batch; the same for the same seed."""

    def per_example(self, inputs: Any, /, seeds: np.ndarray) -> Any:
        """A changed batch, each row decided by its own seed, int64 [n]."""


class Preprocessor(abc.ABC):
    """What a network takes of an example, and how encoded bytes become that.

    Decoding is in TensorFlow operations: the same in training, evaluation and serving.

    A field `image_size` or `length` is the experiment's of that name.

    Attributes:
      modality: name of the `Modality`.
      shape: of one example's array.
      dtype: of it, as decoded; the network's input may be of another, to which it is cast.
      batched: whether `decode` takes a batch, string [n], too, which is faster than one by one.
      padding: the value behind the end of a shorter sequence, where the network gives the same
        without it; None elsewhere.
      clients: what who loads an export needs or must know, in a line; "" for nothing.
    """

    modality: ClassVar[str]
    batched: ClassVar[bool] = False
    padding: int | None = None
    client_notes: str = ""
    shape: tuple[int, ...]
    dtype: str

    @property
    @abc.abstractmethod
    def description(self) -> str:
        """The form in words for a message, such as `160 px`."""

    @property
    @abc.abstractmethod
    def cache_key(self) -> str:
        """Text of all that the decoded array depends on, besides the bytes: a key of caches."""

    @abc.abstractmethod
    def decode(self, data: Any) -> Any:
        """The array of one example from its encoded bytes, a scalar string tensor.

        Raises:
          tf.errors.OpError: when run, for bytes that are no example.
        """

    @abc.abstractmethod
    def augmenter(self, augment: str) -> Augmenter:
        """What changes batches of this form at random."""

    def view_augmentation(self, augment: str, view: int) -> str:
        """What the stored view of a number undergoes; view 0 is often the example itself."""
        return "none" if view == 0 else augment

    def max_views(self, augment: str) -> int:
        """How many stored views of an example differ; 0 for as many as one likes."""
        return 1 if augment == "none" else 0

    def convert(self, item: bytes) -> bytes:
        """Encoded bytes as `decode` takes them; by default they are taken as they are."""
        return item

    def within_limits(self, data: Any) -> Any:
        """The bytes again, failing when run where decoding them would take too much."""
        return data

    @property
    def raw_input(self) -> tuple[str, tuple[int | None, ...]] | None:
        """Numbers that an export takes too, undecoded: their name, and the shape of an example."""
        return None

    def from_raw(self, numbers: Any) -> Any:
        """Arrays [n, *shape] of the numbers that `plain` tells of."""
        raise NotImplementedError

    @property
    def resources(self) -> Sequence[Any]:
        """TensorFlow's objects that `decode` looks things up in, which an export must hold."""
        return ()

    def files(self) -> Mapping[str, bytes]:
        """What a client of an export may want of the form, such as a vocabulary, by file name."""
        return {}

    def warnings(self, items: Sequence[bytes]) -> tuple[str, ...]:
        """What is worth saying of some examples that are to take this form."""
        return ()

    @property
    def nbytes(self) -> int:
        """Bytes of one example's array, at most 4 a number."""
        return 4 * int(np.prod(self.shape))

    def scaled_batch_size(self, most: int) -> int:
        """Examples that go forward at once, where `most` of a usual size do."""
        return most

    def truncation_warning(self, measure: float) -> str:
        """What is worth saying of an example of that `Modality.measure`: that it is cut, or ""."""
        return ""

    def decode_valid(self, items: Any) -> tuple[Any, Any]:
        """Examples of a batch in which some may not be decodable.

        Args:
          items: string [n].

        Returns:
          The arrays, [n, *shape], zeros for what cannot be decoded; and which can, bool [n].
        """
        import tensorflow as tf

        count, shape, dtype = tf.size(items), list(self.shape), tf.as_dtype(self.dtype)

        # Traced once for both branches below, and without AutoGraph, which takes most of the time.
        one = tf.function(lambda data: self.decode(self.within_limits(data)), autograph=False)

        def numbered(number: Any, data: Any) -> tuple[Any, Any]:
            return number, one(data)

        def decoded(calls: int | None) -> tuple[Any, Any]:
            # A dataset can leave out what fails; the blank one at the end is never left out.
            found = tf.data.Dataset.from_tensor_slices((tf.range(count), items))
            found = found.map(numbered, num_parallel_calls=calls).ignore_errors()
            blank = tf.data.Dataset.from_tensors((count, tf.zeros(shape, dtype)))
            found = found.concatenate(blank).batch(tf.cast(count, tf.int64) + 1)
            options = untuned_options()
            # Optimizing the graph takes longer than running it once.
            options.experimental_optimization.apply_default_optimizations = False
            decoded: tuple[Any, Any] = found.with_options(options).get_single_element()
            return decoded

        # Threads take longer to start than a few examples to decode.
        numbers, arrays = tf.cond(count < _FEW, lambda: decoded(None), lambda: decoded(_CALLS))
        places = numbers[:, None]
        whole = tf.scatter_nd(places, arrays, tf.stack([count + 1, *shape]))
        good = tf.scatter_nd(places, tf.ones_like(numbers), tf.stack([count + 1])) > 0
        return tf.ensure_shape(whole[:count], (None, *shape)), good[:count]


def untuned_options() -> tf.data.Options:
    """Returns options for a `tf.data` pipeline without autotuning.

    With autotuning, even of nothing, one of two cores was idle and the rate fell to a third.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return options
