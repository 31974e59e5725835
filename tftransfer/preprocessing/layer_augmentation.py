"""Augmentation by Keras layers and functions, decided by a seed and not by earlier calls."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tftransfer.core.augmentation import BatchFunction, CustomAugmentation, takes_seed
from tftransfer.core.typing import Array, Tensor
from tftransfer.utils.errors import UserError
from tftransfer.utils.keras_internals import layers_inside, seed_generators

# Examples of the batch to which an augmentation is applied before anything trains.
_CHECKED_EXAMPLES = 2
# Between two results of one seed, since GPUs do not add in a fixed order.
_TOLERANCE = 1e-3


class SeededLayers:
    """Keras layers whose random numbers depend on the given seed only.

    A layer draws from the state of its seed generators, which advances with each call. Setting the
    state before each call makes a batch a function of (seed, epoch, step), so that a resumed run
    continues exactly.

    Args:
      layers: Layers without weights, applied one after another in training mode.
      value_range: Range to which the result is clipped; None does not clip.
    """

    def __init__(
        self, layers: Sequence[keras.Layer], value_range: tuple[float, float] | None = None
    ):
        self._layers, self._range = list(layers), value_range
        inner = [each for layer in layers for each in layers_inside(layer)]
        generators = {id(g): g for layer in inner for g in seed_generators(layer)}
        self._states = [generator.state for generator in generators.values()]
        self._apply: tf.types.experimental.ConcreteFunction | None = None
        self._apply_per_example: tf.types.experimental.ConcreteFunction | None = None

    def __call__(self, inputs: Tensor, *seed: int) -> Tensor:
        """Augments a batch, float32 [n, ...]; the same for the same seed."""
        for number, state in enumerate(self._states):
            state.assign(mix_seed(*seed, number))
        if self._apply is None:
            spec = tf.TensorSpec((None, *np.shape(inputs)[1:]), tf.float32)
            self._apply = tf.function(self._run, autograph=False).get_concrete_function(spec)
        return self._apply(tf.cast(inputs, tf.float32))

    def per_example(self, inputs: Tensor, seeds: Array) -> Tensor:
        """Augments each example by its own seed, int64 [n], regardless of the others."""
        numbers = range(len(self._states))
        mixed = [[mix_seed(seed, number) for number in numbers] for seed in seeds.tolist()]
        mixed_seeds = np.array(mixed, np.int64).reshape(len(seeds), len(self._states), 2)
        if self._apply_per_example is None:
            specs = (
                tf.TensorSpec((None, *np.shape(inputs)[1:]), tf.float32),
                tf.TensorSpec((None, len(self._states), 2), tf.int64),
            )
            run = tf.function(self._run_per_example, autograph=False)
            self._apply_per_example = run.get_concrete_function(*specs)
        return self._apply_per_example(tf.cast(inputs, tf.float32), tf.constant(mixed_seeds))

    def _run(self, inputs: Tensor) -> Tensor:
        x = inputs
        for layer in self._layers:
            x = layer(x, training=True)
        return x if self._range is None else tf.clip_by_value(x, *self._range)

    def _run_per_example(self, inputs: Tensor, seeds: Tensor) -> Tensor:
        def run_one(example_and_seed: tuple[Tensor, Tensor]) -> Tensor:
            example, mixed = example_and_seed
            for number, state in enumerate(self._states):
                state.assign(tf.cast(mixed[number], state.dtype))
            return self._run(example[None])[0]

        spec = tf.TensorSpec(inputs.shape[1:], tf.float32)
        # The examples share the states, so they cannot run at the same time.
        return tf.map_fn(run_one, (inputs, seeds), parallel_iterations=1, fn_output_signature=spec)


class CustomAugmenter:
    """Augments batches with the layers and functions of a `CustomAugmentation`.

    Args:
      augmentation: Layers and functions.
      value_range: Range to which the result is clipped; None does not clip.
    """

    random = True

    def __init__(
        self,
        augmentation: CustomAugmentation,
        value_range: tuple[float, float] | None = None,
    ):
        self._augmentation, self._range = augmentation, value_range
        self._steps = _as_steps(augmentation.build())

    def __call__(self, inputs: Tensor, *seed: int) -> Tensor:
        """Augments a batch, float32 of the shape of `inputs`; the same for the same seed.

        Functions without a parameter `seed` must be deterministic for this.
        """
        x = inputs
        for number, step in enumerate(self._steps):
            x = step(x, *seed, number)
        return self._clipped(x)

    def per_example(self, inputs: Tensor, seeds: Array) -> Tensor:
        """Augments each example by its own seed, int64 [n], regardless of the others."""
        first = self._steps[0]
        if len(self._steps) == 1 and isinstance(first, SeededLayers):
            return self._clipped(first.per_example(inputs, seeds))
        rows = zip(np.asarray(inputs), seeds.tolist())
        return tf.concat([self(row[None], seed) for row, seed in rows], axis=0)

    def _clipped(self, x: Tensor) -> Tensor:
        floats: Tensor = tf.cast(x, tf.float32)
        return floats if self._range is None else tf.clip_by_value(floats, *self._range)

    def check(self, shape: Sequence[int], dtype: str) -> tuple[str, ...]:
        """Applies the augmentation to a small batch, before anything trains.

        Args:
          shape: Shape of one example.
          dtype: Dtype of a batch.

        Returns:
          Warnings.

        Raises:
          UserError: The augmentation fails, or changes the shape.
        """
        batch = np.random.default_rng(0).integers(0, 256, (_CHECKED_EXAMPLES, *shape))
        batch = batch.astype(dtype)
        first, second = self._checked(batch), CustomAugmenter(self._augmentation)._checked(batch)
        if np.allclose(first, second, rtol=_TOLERANCE, atol=_TOLERANCE):
            return ()
        return (
            f"the augmentation {self._augmentation} is not a function of its seed, so a resumed "
            "run may end with other weights; a function may take a parameter seed",
        )

    def _checked(self, batch: Array) -> Array:
        try:
            result = np.asarray(self(batch, 0))
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"The augmentation {self._augmentation} fails for a batch {batch.dtype} "
                f"{list(batch.shape)}: {type(error).__name__}: {reason}",
                "It takes a batch and returns one of the same shape.",
            ) from error
        if result.shape != batch.shape:
            raise UserError(
                f"The augmentation {self._augmentation} returns {list(result.shape)} for a batch "
                f"{list(batch.shape)}.",
                "Return the shape of the batch; --image_size sets the size of the images.",
            )
        return result


def _as_steps(
    built: Sequence[BatchFunction],
) -> list[SeededLayers | BatchFunction]:
    """Returns functions of a batch and the numbers of a seed; layers in a row are one of them."""
    steps: list[SeededLayers | BatchFunction] = []
    for are_layers, group in itertools.groupby(built, lambda each: isinstance(each, keras.Layer)):
        members = list(group)
        steps += [SeededLayers(members)] if are_layers else map(_with_seed, members)
    return steps


def _with_seed(function: BatchFunction) -> BatchFunction:
    if takes_seed(function):
        return lambda batch, *seed: function(batch, seed=mix_seed(*seed)[0])
    return lambda batch, *seed: function(batch)


def mix_seed(*seed: int) -> list[int]:
    """Returns the state of a seed generator, two numbers below 2^31, that several numbers give."""
    state = 0
    for number in seed:
        state = (state * 1_000_003 + int(number) + 1) % 2**61
    return [state % 2**31, state // 2**31]
