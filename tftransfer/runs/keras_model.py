"""The Keras model of a finished run: preprocessed arrays in, calibrated probabilities out."""

from __future__ import annotations

import keras

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import KerasModel, Tensor
from tftransfer.workdir.trained_model import TrainedModel

SCORES = "scores"


def calibrated_model(trained: TrainedModel) -> KerasModel:
    """Returns a functional model that shares all layers with the trained network.

    Probabilities are `softmax(logits / T)`, or `sigmoid(logits / T)` for `multi_label`, with the
    temperature T that was fitted on the validation split (Guo et al., 2017). Only layers of Keras
    are added, so that a file of the model can be loaded without this package wherever the backbone
    consists of layers of Keras.

    Args:
      trained: The network, its problem type and its temperature.

    Returns:
      A model from arrays as its preprocessor makes them to probabilities [n, classes]; to values
      [n, columns] for `regression`; to a dictionary of task name to probabilities
      [n, classes of the task] for `multi_task`.
    """
    model = trained.network.model
    logits = trained.network.tensor("logits")
    name = f"{trained.network.backbone.model.name}_calibrated"
    return keras.Model(model.inputs, _calibrated(trained, logits), name=name)


def _calibrated(trained: TrainedModel, logits: Tensor) -> Tensor | dict[str, Tensor]:
    if not trained.problem_type.has_classes:
        return logits
    scaled = keras.layers.Rescaling(1 / trained.temperature, name="temperature", dtype="float32")
    logits = scaled(logits)
    if trained.tasks:
        return {
            task.name: _activation("softmax", f"{SCORES}_{number}", logits[:, task.columns])
            for number, task in enumerate(trained.tasks)
        }
    several = trained.problem_type is ProblemType.MULTI_LABEL
    return _activation("sigmoid" if several else "softmax", SCORES, logits)


def _activation(function: str, name: str, logits: Tensor) -> Tensor:
    scores: Tensor = keras.layers.Activation(function, name=name, dtype="float32")(logits)
    return scores
