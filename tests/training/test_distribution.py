"""Two devices give what one gives; in a separate process, since devices are set up once."""

import json
import subprocess
import sys
import textwrap

import pytest

PROGRAM = textwrap.dedent(
    """
    import json, sys
    import numpy as np
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    import dataclasses
    import tftransfer

    data, folder, batch_size = sys.argv[1:]
    recipe = tftransfer.recipes.fine_tune(unfreeze=3, head_epochs=1, epochs=2)
    sgd = lambda phase: dataclasses.replace(phase, optimizer="sgd", learning_rate=0.1)
    recipe = dataclasses.replace(recipe, phases=tuple(map(sgd, recipe.phases)))
    experiment = tftransfer.Experiment(
        data=data, backbone="small_cnn", weights="none", batch_size=int(batch_size),
        recipe=recipe,
    )
    two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    try:
        b = tftransfer.train(experiment, folder + "/two", export=False, strategy=two)
    except tftransfer.UserError as error:
        print(json.dumps({"error": str(error)}))
        sys.exit()
    a = tftransfer.train(experiment, folder + "/one", export=False)
    first, second = np.load(a.weights), np.load(b.weights)
    print(json.dumps({
        "weights": max(float(np.abs(first[k] - second[k]).max()) for k in first.files),
        "losses": [[r["loss"] for r in run.metrics()] for run in (a, b)],
        "accuracies": [[r["accuracy"] for r in run.metrics()] for run in (a, b)],
    }))
    """
)


def run(data, folder, batch_size):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(data), str(folder), str(batch_size)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_two_replicas_equal_one(digits, tmp_path):
    """The last batch of an epoch leaves one replica without examples.

    By SGD: Adam divides by the gradient's size, so it makes rounding errors large.
    """
    told = run(digits / "source", tmp_path, 30)
    assert told["weights"] < 1e-6
    assert told["losses"][0] == pytest.approx(told["losses"][1], rel=1e-5)
    assert told["accuracies"][0] == told["accuracies"][1]


def test_batch_not_divisible_by_replicas_is_an_error(digits, tmp_path):
    told = run(digits / "source", tmp_path, 31)
    assert "--batch_size=31 is not divisible by the number of devices (2)" in told["error"]
