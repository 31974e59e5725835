"""Interfaces of a modality: `Modality` for files, `Preprocessor` for networks, `Augmenter`."""

from __future__ import annotations

import abc
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

import numpy as np

from tftransfer.core.augmentation import Augment, CustomAugmentation
from tftransfer.core.typing import Array, IntArray, Shape, Tensor

if TYPE_CHECKING:
    import tensorflow as tf

# Returns a reason why encoded bytes cannot be used, or None.
FileCheck = Callable[[bytes], str | None]
# Returns an irregularity of usable bytes, or None.
FileWarning = Callable[[bytes], str | None]

_PARALLEL_CALLS = 4 * (os.cpu_count() or 1)
# Starting threads takes longer than decoding fewer examples.
_MIN_PARALLEL_EXAMPLES = 8


class Decoded(NamedTuple):
    """Result of decoding a file.

    Attributes:
      reason: Why the file cannot be decoded, or "".
      warning: Irregularity of what was decoded, or "".
      signature: Computes what near copies have in common: a small array of the same shape for all
        files, or None where the file has too little content to be compared.
    """

    reason: str = ""
    warning: str = ""
    signature: Callable[[], Array | None] = lambda: None


@dataclass(frozen=True, kw_only=True)
class Modality:
    """Images, texts or audio: checks of files, words for messages, default settings.

    Attributes:
      name: `image`, `text` or `audio`.
      singular: Noun for an example in messages.
      plural: Noun for several examples.
      checks: Checks that a file must pass; the first reason is reported.
      warnings: Warnings of usable files.
      decode: Decodes bytes that pass the checks.
      near_copies: Finds near copies. From signatures and the label of each, int [n], it returns
        pairs of indices, int64 [m, 2]; None where near copies are not looked for.
      content: Returns what equal examples have in common, whose hash identifies them.
      measure: Returns the duration in seconds or the number of words; None for images.
      auto_length: Chooses how much of an example the network reads. From the measures of the
        training data and the largest default of the network, it returns the length and the reason;
        None for images.
      length_unit: Unit of that length, such as `s`.
      middle_layers_matter: Whether a middle stage often has better features than the last one.
      mixable: Whether mixup applies to the arrays.
      takes_layers: Whether Keras layers and functions can augment the arrays.
      augmentations: Name of each augmentation to a description in one line.
      default_augmentation: Augmentation that `auto` stands for.
      signature_input: Name of the input of an export that takes encoded bytes.
      invalid_message: Error of an export for bytes that cannot be decoded.
      expected_data: Description of usable data, for messages.
    """

    name: str
    singular: str
    plural: str
    checks: Sequence[FileCheck]
    warnings: Sequence[FileWarning]
    decode: Callable[[bytes], Decoded]
    near_copies: Callable[[Sequence[Array], Array], IntArray] | None = None
    content: Callable[[bytes], bytes] = bytes
    measure: Callable[[bytes], float] | None = None
    auto_length: Callable[[Array, float], tuple[float, str]] | None = None
    length_unit: str = ""
    middle_layers_matter: bool = False
    mixable: bool = True
    takes_layers: bool = True
    augmentations: Mapping[str, str]
    default_augmentation: str
    signature_input: str
    invalid_message: str
    expected_data: str


class Augmenter(Protocol):
    """Random changes of a batch of inputs, decided by a seed."""

    random: bool

    def __call__(self, inputs: Tensor, /, *seed: int) -> Tensor:
        """Augments a batch [n, ...]; the same for the same seed."""

    def per_example(self, inputs: Tensor, /, seeds: Array) -> Tensor:
        """Augments each example by its own seed, int64 [n], regardless of the others."""


class Preprocessor(abc.ABC):
    """Converts encoded bytes to the input of a network, in TensorFlow operations.

    Training, evaluation and serving therefore decode in the same way.

    Attributes:
      modality: Name of the `Modality`.
      shape: Shape of one example.
      dtype: Dtype of a decoded example; the network may cast it.
      batched: Whether `decode` also takes a batch, string [n], which is faster.
      padding: Value after the end of a shorter sequence, if the network ignores it; else None.
      client_notes: What clients of an export must install or know, in one line; "" for nothing.
      image_size: Optional; the setting of that name that gives the same preprocessor again.
      length: Optional; the setting of that name that gives the same preprocessor again.
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
        """Size of an example for messages, such as `160 px`."""

    @property
    @abc.abstractmethod
    def cache_key(self) -> str:
        """Text with everything that a decoded example depends on, except its bytes."""

    @abc.abstractmethod
    def decode(self, data: Tensor) -> Tensor:
        """Decodes one example from its encoded bytes, a scalar string tensor.

        Raises:
          tf.errors.OpError: When run, for bytes that cannot be decoded.
        """

    @abc.abstractmethod
    def augmenter(self, augment: Augment) -> Augmenter:
        """Returns the augmenter of a name, or of Keras layers and functions."""

    def check_augmentation(self, augment: Augment) -> tuple[str, ...]:
        """Applies Keras layers and functions to a small batch, before anything trains.

        Args:
          augment: Augmentation of a phase.

        Returns:
          Warnings.

        Raises:
          UserError: The augmentation fails, or changes the shape of the batch.
        """
        if not isinstance(augment, CustomAugmentation):
            return ()
        from tftransfer.preprocessing.layer_augmentation import CustomAugmenter

        return CustomAugmenter(augment).check(self.shape, self.dtype)

    def can_store_views(self, augment: Augment) -> bool:
        """Returns whether augmented features can be stored and used again in later runs.

        Not those of functions and one's own layers, whose code may change between runs.
        """
        if not isinstance(augment, CustomAugmentation):
            return True
        return augment.has_only_keras_layers and not self.check_augmentation(augment)

    def view_augmentation(self, augment: Augment, view: int) -> Augment:
        """Returns the augmentation of a stored view; view 0 is usually the example itself."""
        return "none" if view == 0 else augment

    def max_views(self, augment: Augment) -> int:
        """Returns how many stored views of an example differ; 0 for no limit."""
        return 1 if augment == "none" else 0

    def convert(self, item: bytes) -> bytes:
        """Converts encoded bytes to a format that `decode` takes; by default they are one."""
        return item

    def within_limits(self, data: Tensor) -> Tensor:
        """Returns the bytes, and fails when run if decoding them takes too much memory."""
        return data

    @property
    def raw_input(self) -> tuple[str, Shape] | None:
        """Name and shape of an undecoded input that an export takes too, or None."""
        return None

    def from_raw(self, inputs: Tensor) -> Tensor:
        """Converts a batch of the inputs that `raw_input` describes, [n, ...] to [n, *shape]."""
        raise NotImplementedError

    @property
    def resources(self) -> Sequence[tf.saved_model.experimental.TrackableResource]:
        """TensorFlow resources, such as lookup tables, that an export must track."""
        return ()

    def files(self) -> Mapping[str, bytes]:
        """Returns files for clients of an export, such as a vocabulary, by name."""
        return {}

    def warnings(self, items: Sequence[bytes]) -> tuple[str, ...]:
        """Returns warnings of training examples, given as encoded bytes."""
        return ()

    @property
    def nbytes(self) -> int:
        """Size of one example in bytes, with at most 4 bytes per number."""
        return 4 * int(np.prod(self.shape))

    def scaled_batch_size(self, batch_size: int) -> int:
        """Returns how many examples take the memory of `batch_size` examples of a usual size."""
        return batch_size

    def truncation_warning(self, measure: float) -> str:
        """Returns that an example of that `Modality.measure` is truncated, or ""."""
        return ""

    def decode_valid(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Decodes a batch in which some examples may be invalid.

        Args:
          items: Encoded bytes, string [n].

        Returns:
          The arrays, [n, *shape], with zeros for invalid examples; and which are valid, bool [n].
        """
        import tensorflow as tf

        count, shape, dtype = tf.size(items), list(self.shape), tf.as_dtype(self.dtype)

        # Both branches of `tf.cond` share one traced function. AutoGraph would take most of the
        # time of tracing.
        decode = tf.function(lambda data: self.decode(self.within_limits(data)), autograph=False)

        def decode_numbered(number: Tensor, data: Tensor) -> tuple[Tensor, Tensor]:
            return number, decode(data)

        def decode_all(calls: int | None) -> tuple[Tensor, Tensor]:
            # In a graph only a dataset can skip examples that fail. The zeros at its end ensure
            # that there is an element if all fail.
            dataset = tf.data.Dataset.from_tensor_slices((tf.range(count), items))
            dataset = dataset.map(decode_numbered, num_parallel_calls=calls).ignore_errors()
            zeros = tf.data.Dataset.from_tensors((count, tf.zeros(shape, dtype)))
            dataset = dataset.concatenate(zeros).batch(tf.cast(count, tf.int64) + 1)
            options = untuned_options()
            # Optimizing the graph takes longer than running it once.
            options.experimental_optimization.apply_default_optimizations = False
            return dataset.with_options(options).get_single_element()

        numbers, arrays = tf.cond(
            count < _MIN_PARALLEL_EXAMPLES,
            lambda: decode_all(None),
            lambda: decode_all(_PARALLEL_CALLS),
        )
        places = numbers[:, None]
        rows = tf.scatter_nd(places, arrays, tf.stack([count + 1, *shape]))
        valid = tf.scatter_nd(places, tf.ones_like(numbers), tf.stack([count + 1])) > 0
        return tf.ensure_shape(rows[:count], (None, *shape)), valid[:count]


def untuned_options() -> tf.data.Options:
    """Returns options for a `tf.data` pipeline without autotuning.

    With autotuning, even of nothing, one of two cores was idle and the rate fell to a third.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return options
