"""The signatures of the SavedModel: encoded bytes in; names, calibrated scores or features out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TypeAlias

import tensorflow as tf

from tftransfer.backbones.tfhub import TFHubLayer
from tftransfer.core.problem_types import ProblemType, Task
from tftransfer.core.typing import Tensor
from tftransfer.models.network import FEATURES, Network
from tftransfer.preprocessing import get_modality
from tftransfer.utils.keras_internals import layers_inside

_Outputs: TypeAlias = dict[str, Tensor]
_NAN = float("nan")


class ServedModel(tf.Module):
    """The network with its preprocessing, as the functions that a SavedModel serves.

    Args:
      network: Backbone and heads with their final weights.
      classes: Class names in the order of the outputs; `TASK=class` for several tasks.
      problem_type: What the outputs are.
      temperature: Divisor of the logits before softmax or sigmoid.
      tasks: The tasks of the outputs; empty unless the problem type is `multi_task`.
    """

    def __init__(
        self,
        network: Network,
        classes: tuple[str, ...],
        problem_type: ProblemType,
        temperature: float,
        tasks: Sequence[Task],
    ):
        super().__init__(name="tftransfer")
        # tf.Module does not track a partial; the variables are tracked once, the optimizer's never.
        self._forward = functools.partial(network.model, training=False)
        self._preprocessor = network.backbone.preprocessor
        self._decoded = functools.partial(
            tf.function(self._preprocessor.decode_valid, autograph=False)
        )
        self._dtype = network.model.inputs[0].dtype
        self._resources = list(self._preprocessor.resources)
        self._invalid = get_modality(self._preprocessor.modality).invalid_message
        self._problem_type, self._tasks = problem_type, list(tasks)
        self._tracked = [v.value for v in network.model.variables]
        self._modules = [
            layer.module for layer in layers_inside(network.model) if isinstance(layer, TFHubLayer)
        ]
        self.classes = tf.constant(list(classes))
        self.temperature = tf.constant(temperature, tf.float32)

    def signatures(self) -> dict[str, Callable[..., _Outputs]]:
        """Returns the concrete functions by the name of their signature.

        `serving_default` and `embed` take encoded bytes [n]; the name of their argument depends on
        the modality. Audio has another one, `waveform`, that takes decoded samples.
        """
        argument = get_modality(self._preprocessor.modality).signature_input
        spec = tf.TensorSpec([None], tf.string, name=argument)
        found = {"serving_default": _traced(self.serve, spec), "embed": _traced(self.embed, spec)}
        if self._preprocessor.raw_input:
            name, shape = self._preprocessor.raw_input
            spec = tf.TensorSpec([None, *shape], tf.float32, name=name)
            found[name] = _traced(self.serve_raw, spec)
        return found

    def serve(self, data: Tensor) -> _Outputs:
        """Returns scores, class names and the best label for encoded examples.

        Args:
          data: Encoded bytes, string [n].

        Returns:
          `scores` float32 [n, k] and `classes` string [n, k]; `label` string [n] for
          `single_label`, `label_TASK` string [n] for each of several tasks; `values` and `columns`
          for `regression`; `error` string [n], which is not empty where an example cannot be
          decoded: its scores are NaN and its label is empty.
        """
        return self._named_scores(*self._run(data))

    def serve_raw(self, values: Tensor) -> _Outputs:
        """Returns the same as `serve` for values without an encoding, float32 [n, ...]."""
        axes = list(range(1, len(values.shape)))
        valid = tf.reduce_all(tf.math.is_finite(values), axis=axes)
        return self._named_scores(*self._outputs(self._preprocessor.from_raw(values), valid))

    def embed(self, data: Tensor) -> _Outputs:
        """Returns the pooled features [n, d] of encoded examples, and errors as in `serve`."""
        outputs, valid = self._run(data)
        return {"embedding": outputs[FEATURES], "error": tf.where(valid, "", self._invalid)}

    def _run(self, data: Tensor) -> tuple[_Outputs, Tensor]:
        """Returns outputs, NaN where an example cannot be decoded, and which can, bool [n]."""
        return self._outputs(*self._decoded(data))

    def _outputs(self, inputs: Tensor, valid: Tensor) -> tuple[_Outputs, Tensor]:
        outputs = self._forward([tf.cast(inputs, self._dtype)])
        outputs = {name: tf.cast(value, tf.float32) for name, value in outputs.items()}
        return {n: tf.where(valid[:, None], v, _NAN) for n, v in outputs.items()}, valid

    def _named_scores(self, outputs: _Outputs, valid: Tensor) -> _Outputs:
        logits = outputs["logits"]
        names = tf.tile(self.classes[None], [tf.shape(logits)[0], 1])
        error = tf.where(valid, "", self._invalid)
        if self._problem_type is ProblemType.REGRESSION:
            return {"values": logits, "columns": names, "error": error}
        if self._tasks:
            scores, labels = self._scores_of_tasks(logits, valid)
            return {"scores": scores, "classes": names, **labels, "error": error}
        if self._problem_type is ProblemType.MULTI_LABEL:
            scores = tf.sigmoid(logits / self.temperature)
            return {"scores": scores, "classes": names, "error": error}
        scores = tf.nn.softmax(logits / self.temperature)
        label = tf.where(valid, tf.gather(self.classes, tf.argmax(scores, axis=-1)), "")
        return {"scores": scores, "classes": names, "label": label, "error": error}

    def _scores_of_tasks(self, logits: Tensor, valid: Tensor) -> tuple[Tensor, _Outputs]:
        """Returns the scores of all tasks side by side, and the best class of each."""
        scores, labels = [], {}
        for task in self._tasks:
            task_scores = tf.nn.softmax(logits[:, task.columns] / self.temperature)
            names = tf.strings.substr(self.classes[task.columns], len(task.name.encode()) + 1, -1)
            best = tf.gather(names, tf.argmax(task_scores, axis=-1))
            scores.append(task_scores)
            labels[f"label_{task.name}"] = tf.where(valid, best, "")
        return tf.concat(scores, axis=-1), labels


def _traced(function: Callable[[Tensor], _Outputs], spec: tf.TensorSpec) -> Callable[..., _Outputs]:
    traced: Callable[..., _Outputs] = tf.function(function, autograph=False)
    return traced.get_concrete_function(spec)  # type: ignore[attr-defined,no-any-return]
