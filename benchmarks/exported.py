"""Whether an export, given raw strings or files' bytes, answers as `evaluate` does."""

import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import tftransfer
from tftransfer.data.examples import read_item
from tftransfer.data.load import read_all
from tftransfer.runs.load import load

_AT_ONCE = 32


def as_evaluated(fields, seed):
    """Trains and exports, then asks the export for every test example.

    Args:
      fields: of an experiment with `test_data`.
      seed: of the experiment.

    Returns:
      `accuracy` of `evaluate`, `served` the export's, `same` the share of examples of which both
      have the same best class, and `difference`, the greatest of two scores.
    """
    with tempfile.TemporaryDirectory() as folder:
        experiment = tftransfer.Experiment(**fields, seed=seed)
        run = tftransfer.train(experiment, Path(folder, "run"))
        said = tftransfer.evaluate(run.workdir, fields["test_data"])["test"]
        test = tftransfer.Experiment(**{**fields, "data": fields["test_data"], "test_data": ""})
        examples = read_all(test)
        items = [read_item(item) for item in examples.items]
        named = tftransfer.predict(run.workdir, items)
        classes = load(run.workdir).classes
        ours = np.array([[row["scores"][name] for name in classes] for row in named])
        theirs = _served(run.export, items)
        keras.backend.clear_session()
    labels = [classes.index(examples.classes[label]) for label in examples.labels]
    return {
        "accuracy": said["accuracy"],
        "served": float(np.mean(theirs.argmax(1) == labels)),
        "same": float(np.mean(ours.argmax(1) == theirs.argmax(1))),
        "difference": float(np.abs(ours - theirs).max()),
        "examples": len(items),
    }


def _served(folder, items):
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    (name,) = signature.structured_input_signature[1]
    blocks = (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))
    return np.concatenate([signature(**{name: tf.constant(b)})["scores"].numpy() for b in blocks])


def said(done):
    """The worst of the runs in words."""
    worst = max(run["difference"] for run in done)
    return (
        f"same best class for {min(run['same'] for run in done):.1%}, scores within {worst:.0e}; "
        f"accuracy {done[0]['accuracy']:.3f} evaluated, {done[0]['served']:.3f} served"
    )
