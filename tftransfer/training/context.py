"""What every part of a training reads: one frozen object that the trainer builds."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from tftransfer.checkpoints.async_saver import AsyncSaver
from tftransfer.core.typing import Array
from tftransfer.data.examples import Examples
from tftransfer.features.extractor import FeatureExtractor
from tftransfer.models.network import Network
from tftransfer.training.callbacks import RunCallbacks
from tftransfer.training.teacher_outputs import TeacherOutputs
from tftransfer.utils.timing import Clock
from tftransfer.workdir.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class TrainingContext:
    """The objects and settings that do not change during a training.

    Attributes:
      network: The network that trains.
      examples: The examples of all splits.
      targets: Labels of all examples, float32 [n, k].
      extractor: Computes and caches the features of the frozen layers.
      teacher_outputs: Computes the outputs of the teachers.
      strategy: The strategy in whose scope the network was made.
      run: The run that the training writes to.
      saver: Writes the checkpoints of the run.
      callbacks: The Keras callbacks.
      clock: Counts the seconds by kind of work.
      batch_size: Number of examples in a batch, of all devices together.
      seed: Seed of the order of examples, of augmentation and of new weights.
      precision: Name of the dtype policy, such as `float32`.
      xla: Whether the training step is compiled by XLA.
    """

    network: Network
    examples: Examples
    targets: Array
    extractor: FeatureExtractor
    teacher_outputs: TeacherOutputs
    strategy: tf.distribute.Strategy
    run: RunFolder
    saver: AsyncSaver
    callbacks: RunCallbacks
    clock: Clock
    batch_size: int
    seed: int
    precision: str
    xla: bool
