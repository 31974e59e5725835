"""The Keras model of a run: calibrated, saved and loaded by Keras alone."""

import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest

from tftransfer.backbones.load import load_backbone
from tftransfer.core.problem_types import ProblemType
from tftransfer.core.recipe import Head
from tftransfer.models.network import Network
from tftransfer.runs.keras_model import calibrated_model
from tftransfer.workdir.run_folder import RunFolder
from tftransfer.workdir.trained_model import TrainedModel

TEMPERATURE = 1.7
CLASSES = {
    ProblemType.SINGLE_LABEL: ("a", "b", "c"),
    ProblemType.MULTI_LABEL: ("a", "b"),
    ProblemType.REGRESSION: ("x", "y"),
    ProblemType.MULTI_TASK: ("is even=no", "is even=yes", "u/2=x", "u/2=y", "u/2=z"),
}
PLAIN_KERAS = textwrap.dedent(
    """
    import sys
    import keras
    import numpy as np
    for file in sys.argv[1:]:
        model = keras.models.load_model(file, safe_mode=True)
        stored = dict(np.load(file + ".npz"))
        outputs = model.predict(stored["inputs"], verbose=0)
        outputs = outputs if isinstance(outputs, dict) else {"scores": outputs}
        for number, value in enumerate(outputs.values()):
            np.testing.assert_allclose(value, stored[f"output{number}"], atol=1e-6)
    assert not any(name.startswith("tftransfer") for name in sys.modules)
    """
)


def trained(problem_type, backbone="small_cnn", size=32):
    classes = CLASSES[problem_type]
    network = Network(
        load_backbone(backbone, weights="none", image_size=size),
        (Head(),),
        units=len(classes),
        problem_type=problem_type,
    )
    rng = np.random.default_rng(0)
    if problem_type is ProblemType.REGRESSION:
        network.set_label_scale(rng.normal(50, 9, (20, 2)).astype(np.float32))
    kernel = network.blocks["head"][0].kernel
    kernel.assign(rng.normal(0, 9, kernel.shape))
    return TrainedModel(
        folder=RunFolder("unused"),
        network=network,
        classes=classes,
        problem_type=problem_type,
        temperature=TEMPERATURE,
    )


def pixels(size=32):
    return np.random.default_rng(1).uniform(0, 255, (3, size, size, 3)).astype(np.float32)


def scores_by_hand(problem_type, scaled, logits):
    if problem_type is ProblemType.REGRESSION:
        return logits
    if problem_type is ProblemType.MULTI_LABEL:
        return 1 / (1 + np.exp(-scaled))
    columns = [slice(0, 2), slice(2, 5)] if problem_type is ProblemType.MULTI_TASK else [slice(3)]
    parts = [np.exp(scaled[:, each]) for each in columns]
    return np.concatenate([part / part.sum(axis=1, keepdims=True) for part in parts], axis=1)


@pytest.mark.parametrize("problem_type", CLASSES)
def test_calibrated_model_scores_equal_those_of_the_run(problem_type):
    run = trained(problem_type)
    logits = run.network.predict(pixels())["logits"].numpy()
    expected = scores_by_hand(problem_type, logits / TEMPERATURE, logits)
    outputs = calibrated_model(run).predict(pixels(), verbose=0)
    if problem_type is ProblemType.MULTI_TASK:
        assert list(outputs) == ["is even", "u/2"]
        outputs = np.concatenate(list(outputs.values()), axis=1)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)


def test_calibrated_model_shares_its_layers_with_the_network():
    run = trained(ProblemType.SINGLE_LABEL)
    model = calibrated_model(run)
    assert model.get_layer("head") is run.network.blocks["head"][0]
    assert isinstance(model.get_layer("conv1a"), keras.layers.Conv2D)


@pytest.mark.slow
def test_calibrated_model_file_loads_in_keras_alone(tmp_path):
    files = []
    for number, problem_type in enumerate(CLASSES):
        name, size = (("mobilenet_v2:alpha=0.35", 64), ("small_cnn", 32))[number % 2]
        model, inputs = calibrated_model(trained(problem_type, name, size)), pixels(size)
        outputs = model.predict(inputs, verbose=0)
        values = outputs.values() if isinstance(outputs, dict) else [outputs]
        files.append(str(tmp_path / f"{problem_type}.keras"))
        model.save(files[-1])
        arrays = {f"output{k}": value for k, value in enumerate(values)}
        np.savez(f"{files[-1]}.npz", inputs=inputs, **arrays)
    done = subprocess.run(
        [sys.executable, "-c", PLAIN_KERAS, *files],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
