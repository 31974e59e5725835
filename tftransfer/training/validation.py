"""Metrics of the validation split at the end of an epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tftransfer.core.loss import Loss
from tftransfer.core.problem_types import ProblemType
from tftransfer.core.recipe import Phase
from tftransfer.core.typing import Array, Tensor
from tftransfer.models.inference import predict_batches
from tftransfer.planning.phase_plan import PhasePlan
from tftransfer.training.context import TrainingContext
from tftransfer.training.network_logits import VALIDATION_BATCH, batches, forward_to_logits
from tftransfer.training.phase_inputs import validation_inputs
from tftransfer.training.reference_weights import Reference
from tftransfer.training.streams import column_weights
from tftransfer.training.train_step import StepTensors

# What the best epoch is selected by, and `val_loss` where no loss can be computed.
_SELECTION = ("val_log_loss", "val_standardized_error", "val_mean_absolute_error")
_LOGITS, _LABEL = "train.logits", "train.label"


class Validation:
    """Evaluates the network on the validation split, without augmentation.

    Args:
      context: What the training reads.
      planned: The phase.
      reference: The network as it was, for losses that compare with it.

    Attributes:
      forward: Function from the inputs of the trainable layers to the logits.
      indices: Indices of the examples; none where the phase does not train on labels.
    """

    def __init__(self, context: TrainingContext, planned: PhasePlan, reference: Reference):
        self._context, self._reference = context, reference
        self._losses = comparable_losses(planned.phase)
        phase = planned.phase
        supervised = phase.is_supervised and "logits" in phase.tensors()
        self.indices = context.examples.where("val") if supervised else np.zeros(0, np.int64)
        self._inputs = validation_inputs(context, planned)
        train = context.targets[context.examples.where("train")]
        self._class_weight = column_weights(train, context.examples.problem_type)
        self.forward = forward_to_logits(context.network, planned.boundary)

    def batch_size(self, microbatches: int) -> int:
        """Returns how many examples go forward together; fewer where memory is short.

        Args:
          microbatches: Number of parts that training batches are split into.
        """
        preprocessor = self._context.network.backbone.preprocessor
        return max(1, preprocessor.scaled_batch_size(VALIDATION_BATCH) // microbatches)

    def __call__(self, batch_size: int) -> dict[str, float]:
        """Returns `val_loss` and the metrics of the problem type as `val_...`; {} without examples.

        `val_loss` is the weighted sum of the phase's losses that compare logits and labels, over
        all validation examples. Where a phase has none, it is the log loss, or the mean absolute
        error of a regression; that of several columns is in standard deviations of each.

        Args:
          batch_size: Number of examples that go forward together.
        """
        if not len(self.indices):
            return {}
        some = batches(self.indices, batch_size)
        logits = predict_batches(self.forward, map(self._inputs, some))
        examples, labels = self._context.examples, self._context.targets[self.indices]
        problem_type, tasks = examples.problem_type, examples.tasks
        scores = problem_type.probabilities(logits, tasks=tasks)
        values = problem_type.metrics(scores, labels, tasks)
        metrics = {f"val_{name}": value for name, value in values.items()}
        if problem_type is ProblemType.REGRESSION and labels.shape[1] > 1:
            errors = np.abs(scores - labels) * np.sqrt(self._class_weight, dtype=np.float64)
            metrics["val_standardized_error"] = float(errors.mean())
        return {"val_loss": self._loss(logits, labels, metrics), **metrics}

    def _loss(self, logits: Array, labels: Array, metrics: dict[str, float]) -> float:
        if not self._losses:
            return -(selection_value(metrics) or 0.0)
        values = {
            _LOGITS: tf.convert_to_tensor(logits),
            _LABEL: tf.convert_to_tensor(labels),
            "train.weight": tf.ones(len(logits)),
            "train.class_weight": tf.convert_to_tensor(self._class_weight),
        }
        return weighted_loss(self._losses, self._tensors(values))

    def _tensors(self, values: dict[str, Tensor]) -> StepTensors:
        network = self._context.network
        return StepTensors(values, self._reference.pairs, network.apply_head, tf.ones(()))


def comparable_losses(phase: Phase) -> tuple[Loss, ...]:
    """Returns the losses of a phase that read nothing but logits and labels."""
    return tuple(loss for loss in phase.supervised_losses if set(loss.paths()) <= {_LOGITS, _LABEL})


def weighted_loss(losses: Sequence[Loss], tensors: StepTensors) -> float:
    """Returns the sum of losses with their weights."""
    return float(sum(loss.weight * float(np.asarray(loss(tensors))) for loss in losses))


def selection_value(logs: dict[str, float]) -> float | None:
    """Returns what the best epoch is selected by: minus the log loss or the error of numbers."""
    return next((-logs[name] for name in _SELECTION if name in logs), None)
