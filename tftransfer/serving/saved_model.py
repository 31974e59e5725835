"""SavedModel export: encoded bytes in, names and calibrated scores out; checked, then published."""

from __future__ import annotations

import functools
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tftransfer.backbones.tfhub import TFHubLayer
from tftransfer.core.problem_types import ProblemType, Task
from tftransfer.data.examples import Examples, read_item
from tftransfer.data.input_pipeline import InputPipeline
from tftransfer.evaluation.evaluate import predict_logits
from tftransfer.models.network import FEATURES, Network
from tftransfer.preprocessing import Preprocessor, get_modality
from tftransfer.utils.errors import UserError
from tftransfer.utils.files import publish
from tftransfer.utils.keras_internals import layers_inside

LOGGER = logging.getLogger(__name__)

_TOLERANCE, _BATCH = 1e-5, 64
_EXTRA = "assets.extra"  # where SavedModels keep what TensorFlow itself does not read
_CLIENTS = "CLIENTS.txt"


class _Served(tf.Module):
    """The network behind its signatures."""

    def __init__(
        self,
        network: Network,
        classes: tuple[str, ...],
        problem_type: ProblemType,
        temperature: float,
        tasks: Sequence[Task],
    ):
        super().__init__(name="tftransfer")
        # A partial is not tracked: the variables are, once, and the optimizer's are not.
        self._forward = functools.partial(network.model, training=False)
        self._form = network.backbone.preprocessor
        self._decoded = functools.partial(tf.function(self._form.decode_valid, autograph=False))
        self._dtype = network.model.inputs[0].dtype
        self._resources = list(self._form.resources)
        self._refused = get_modality(self._form.modality).invalid_message
        self._problem_type, self._tasks = problem_type, list(tasks)
        self._tracked = [v.value for v in network.model.variables]
        self._modules = [
            layer.module for layer in layers_inside(network.model) if isinstance(layer, TFHubLayer)
        ]
        self.classes = tf.constant(list(classes))
        self.temperature = tf.constant(temperature, tf.float32)

    def signatures(self) -> dict[str, Any]:
        """Concrete functions of the encoded bytes [n], under the argument's name of the kind."""
        argument = get_modality(self._form.modality).signature_input
        spec = tf.TensorSpec([None], tf.string, name=argument)
        found = {"serving_default": _traced(self.serve, spec), "embed": _traced(self.embed, spec)}
        if self._form.raw_input:
            name, shape = self._form.raw_input
            spec = tf.TensorSpec([None, *shape], tf.float32, name=name)
            found[name] = _traced(self.serve_plain, spec)
        return found

    def _run(self, data: Any) -> tuple[dict[str, Any], Any]:
        """The network's outputs, NaN for what cannot be decoded; and which can, bool [n]."""
        return self._outputs(*self._decoded(data))

    def _outputs(self, inputs: Any, good: Any) -> tuple[dict[str, Any], Any]:
        outputs = self._forward([tf.cast(inputs, self._dtype)])
        outputs = {name: tf.cast(value, tf.float32) for name, value in outputs.items()}
        return {n: tf.where(good[:, None], v, float("nan")) for n, v in outputs.items()}, good

    def serve(self, data: Any) -> dict[str, Any]:
        """Encoded examples [n] to scores [n, k], the classes [n, k], and the best label [n].

        Of several tasks each has its `label_TASK` [n]; `scores` are side by side, and `classes` are
        `TASK=class`. What cannot be decoded has an error [n] that is not empty, no label, and NaN
        for scores.
        """
        return self._answer(*self._run(data))

    def serve_plain(self, numbers: Any) -> dict[str, Any]:
        """As `serve`, of numbers that need no decoding, such as waveforms [n, samples]."""
        axes = list(range(1, len(numbers.shape)))
        good = tf.reduce_all(tf.math.is_finite(numbers), axis=axes)
        return self._answer(*self._outputs(self._form.from_raw(numbers), good))

    def _answer(self, outputs: dict[str, Any], good: Any) -> dict[str, Any]:
        logits = outputs["logits"]
        names = tf.tile(self.classes[None], [tf.shape(logits)[0], 1])
        error = tf.where(good, "", self._refused)
        if self._problem_type is ProblemType.REGRESSION:
            return {"values": logits, "columns": names, "error": error}
        if self._tasks:
            values, labels = self._of_tasks(logits, good)
            return {"scores": values, "classes": names, **labels, "error": error}
        if self._problem_type is ProblemType.MULTI_LABEL:
            values = tf.sigmoid(logits / self.temperature)
            return {"scores": values, "classes": names, "error": error}
        values = tf.nn.softmax(logits / self.temperature)
        best = tf.where(good, tf.gather(self.classes, tf.argmax(values, axis=-1)), "")
        return {"scores": values, "classes": names, "label": best, "error": error}

    def _of_tasks(self, logits: Any, good: Any) -> tuple[Any, dict[str, Any]]:
        """Scores of all tasks side by side, and the best class of each."""
        parts, labels = [], {}
        for task in self._tasks:
            values = tf.nn.softmax(logits[:, task.columns] / self.temperature)
            names = tf.strings.substr(self.classes[task.columns], len(task.name.encode()) + 1, -1)
            best = tf.gather(names, tf.argmax(values, axis=-1))
            parts.append(values)
            labels[f"label_{task.name}"] = tf.where(good, best, "")
        return tf.concat(parts, axis=-1), labels

    def embed(self, data: Any) -> dict[str, Any]:
        """Encoded examples [n] to pooled features [n, d]; errors as in `serve`."""
        outputs, good = self._run(data)
        return {"embedding": outputs[FEATURES], "error": tf.where(good, "", self._refused)}


def _traced(function: Callable[..., Any], spec: tf.TensorSpec) -> Any:
    return tf.function(function, autograph=False).get_concrete_function(spec)


def export_network(
    network: Network, examples: Examples, folder: Path, *, temperature: float, checks: int = 64
) -> dict[str, Any]:
    """Writes a SavedModel next to `folder`, compares it with the network, then puts it there.

    Args:
      network: with its final weights.
      examples: classes, and real files for the comparison.
      folder: where it is published; an old one is replaced.
      temperature: divides the logits.
      checks: how many examples the two are compared on.

    Returns:
      `max_difference` of the scores, and `examples` compared.

    Raises:
      UserError: the two differ; nothing is published.
    """
    served = _Served(network, examples.classes, examples.problem_type, temperature, examples.tasks)
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    tf.saved_model.save(served, str(part), signatures=served.signatures())
    _write_beside(network.backbone.preprocessor, part / _EXTRA)
    report = _compare(network, examples, part, temperature, checks)
    if not report["max_difference"] <= _TOLERANCE:
        shutil.rmtree(part)
        raise UserError(
            f"The export differs from the network by {report['max_difference']:.2g} in a score.",
            "It was not published; please report this with the backbone's name.",
        )
    publish(part, folder)
    if network.backbone.preprocessor.client_notes:
        LOGGER.info(network.backbone.preprocessor.client_notes)
    return report


def _write_beside(preprocessor: Preprocessor, folder: Path) -> None:
    """The form's files, and what clients need."""
    told = (
        {_CLIENTS: f"{preprocessor.client_notes}\n".encode()} if preprocessor.client_notes else {}
    )
    for name, content in {**preprocessor.files(), **told}.items():
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


def _compare(
    network: Network, examples: Examples, folder: Path, temperature: float, checks: int
) -> dict[str, Any]:
    held = np.concatenate([examples.where(part) for part in ("test", "val", "train")])[:checks]
    preprocessor = network.backbone.preprocessor
    logits = predict_logits(network, InputPipeline(examples, preprocessor, keep=False), held)
    ours = examples.problem_type.probabilities(logits, temperature, examples.tasks)
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    data = [preprocessor.convert(read_item(examples.items[i])) for i in held]
    argument = get_modality(preprocessor.modality).signature_input
    key = "scores" if examples.problem_type.has_classes else "values"
    size = preprocessor.scaled_batch_size(_BATCH)
    theirs = np.concatenate(
        [
            signature(**{argument: tf.constant(data[start : start + size])})[key]
            for start in range(0, len(data), size)
        ]
    )
    difference = np.abs(ours - theirs)
    if key == "values":
        difference = difference / np.maximum(1.0, np.abs(ours))
    return {"max_difference": float(difference.max()), "examples": len(held)}
