"""Compares an export, called with raw strings or bytes of files, with `tftransfer.evaluate`."""

import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import tftransfer
from tftransfer.data.examples import read_item
from tftransfer.readers.load import read_all

_BATCH = 32


def compare_with_evaluate(fields, seed):
    """Trains and exports, then calls the export with every test example.

    Args:
      fields: Fields of an experiment that has `test_data`.
      seed: Seed of the experiment.

    Returns:
      A dictionary: `accuracy` by `evaluate`, `served` by the export, `same` the fraction of
      examples with the same best class, `max_difference` of two scores, and the number of
      `examples`.
    """
    with tempfile.TemporaryDirectory() as folder:
        experiment = tftransfer.Experiment(**fields, seed=seed)
        run = tftransfer.train(experiment, Path(folder, "run"))
        evaluated = tftransfer.evaluate(run.workdir, fields["test_data"]).metrics
        test = tftransfer.Experiment(**{**fields, "data": fields["test_data"], "test_data": ""})
        examples = read_all(test)
        items = [read_item(item) for item in examples.items]
        predictions = tftransfer.predict(run.workdir, items)
        classes = run.classes
        expected = np.array([[row["scores"][name] for name in classes] for row in predictions])
        served_scores = _served(run.export_dir, items)
        keras.backend.clear_session()
    labels = [classes.index(examples.classes[label]) for label in examples.labels]
    return {
        "accuracy": evaluated["accuracy"],
        "served": float(np.mean(served_scores.argmax(1) == labels)),
        "same": float(np.mean(expected.argmax(1) == served_scores.argmax(1))),
        "max_difference": float(np.abs(expected - served_scores).max()),
        "examples": len(items),
    }


def _served(folder, items):
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    (name,) = signature.structured_input_signature[1]
    batches = (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))
    return np.concatenate([signature(**{name: tf.constant(b)})["scores"].numpy() for b in batches])


def describe(runs):
    """The worst run, as text."""
    worst = max(run["max_difference"] for run in runs)
    return (
        f"same best class for {min(run['same'] for run in runs):.1%}, scores within {worst:.0e}; "
        f"accuracy {runs[0]['accuracy']:.3f} evaluated, {runs[0]['served']:.3f} served"
    )
