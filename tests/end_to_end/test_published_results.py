"""The published accuracies, on photographs with pretrained weights."""

import csv
import shutil

import numpy as np
import pytest
import tensorflow as tf

import tftransfer

pytestmark = pytest.mark.slow

V2 = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
V2_SMALL = V2.replace("1.0", "0.35")
V1_SMALL = "mobilenet_2_5_224_tf_no_top.h5"


@pytest.fixture(scope="module")
def photographs(shared_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    for name in ("flowers", "cifar10"):
        shutil.unpack_archive(shared_data / name / f"{name}.zip", folder / name)
    return folder


@pytest.fixture(scope="module")
def trained(photographs, shared_data, tmp_path_factory):
    """Trains on the flowers, each setting once; weights are named by their file."""
    runs = {}

    def train(recipe, *, weights=V2, data="flowers", seed=0, export=False, **fields):
        settings = {
            "data": str(photographs / data),
            "backbone": "mobilenet_v2",
            "image_size": 160,
            "weights": str(shared_data / "weights" / weights) if weights else "none",
            "recipe": recipe,
            "seed": seed,
            **fields,
        }
        key = tuple(sorted(settings.items()))
        if key not in runs:
            folder = tmp_path_factory.mktemp("run")
            experiment = tftransfer.Experiment(**settings)
            runs[key] = tftransfer.train(experiment, folder, export=export)
        return runs[key]

    return train


def accuracy(*runs):
    return float(np.mean([run.result["test"]["accuracy"] for run in runs]))


def tuned(trained):
    return [trained("fine_tune", seed=seed, export=not seed) for seed in (0, 1, 2)]


def test_fine_tuning_on_flowers_reaches_the_published_accuracy(trained):
    assert accuracy(*tuned(trained)) >= 0.92


def test_feature_extraction_on_flowers_reaches_the_published_accuracy(trained):
    runs = [trained("feature_extraction", seed=seed) for seed in (0, 1, 2)]
    assert 0.86 <= accuracy(*runs) < accuracy(*tuned(trained))


def test_scratch_on_flowers_is_far_below_fine_tuning(trained):
    """It takes at least as long as fine-tuning; benchmarks compare equal numbers of epochs."""
    run = trained("scratch", weights="", epochs=3)
    assert run.result["seconds"]["training"] > tuned(trained)[0].result["seconds"]["training"]
    assert accuracy(run) <= accuracy(*tuned(trained)) - 0.2


def test_feature_extraction_with_a_quarter_wide_mobilenet_reaches_the_published_accuracy(trained):
    runs = [
        trained("feature_extraction", backbone="mobilenet:alpha=0.25", weights=V1_SMALL, seed=seed)
        for seed in (0, 1, 2)
    ]
    assert accuracy(*runs) >= 0.81


def test_fine_tuning_on_cifar10_reaches_the_published_accuracy(trained):
    config = {"data": "cifar10", "image_size": 96}
    assert accuracy(trained("fine_tune:unfreeze=3", **config)) >= 0.85


def test_hub_module_equals_the_same_keras_network(trained, shared_data):
    module = shared_data / "hub_modules" / "mobilenet_v2_035_feature_vector"
    hub = trained(
        "feature_extraction", backbone=str(module), weights="", image_size=224, trust_code=True
    )
    keras = trained(
        "feature_extraction", backbone="mobilenet_v2:alpha=0.35", weights=V2_SMALL, image_size=224
    )
    assert accuracy(hub) == pytest.approx(accuracy(keras), abs=0.01)


def test_export_predicts_every_test_file_as_evaluate_does(trained, photographs):
    run = trained("fine_tune", export=True)
    again = tftransfer.evaluate(run.workdir)
    assert again.metrics["accuracy"] == run.result["test"]["accuracy"]
    with run.folder.predictions.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == run.result["examples"] > 500
    serve = tf.saved_model.load(str(run.export_dir)).signatures["serving_default"]
    for start in range(0, len(rows), 64):
        some = rows[start : start + 64]
        files = [(photographs / "flowers" / row["name"]).read_bytes() for row in some]
        answer = serve(image_bytes=tf.constant(files))
        labels = [label.decode() for label in answer["label"].numpy()]
        assert labels == [row["predicted"] for row in some]
        scores = [[float(row[name]) for name in run.result["classes"]] for row in some]
        np.testing.assert_allclose(answer["scores"].numpy(), scores, atol=1e-5)
