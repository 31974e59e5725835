"""Each recipe's effect on real data: from the handwritten digits 0 to 4 to the digits 5 to 9."""

from dataclasses import replace

import numpy as np
import pytest

import tftransfer
from tftransfer.checkpoints import weights

WHOLE = (
    "augment=shift,unfreeze=3,decay=1,learning_rate=1e-3,head_learning_rate=1e-2,batch_norm=train"
)
GRADUAL = "gradual_unfreezing:augment=shift,head_learning_rate=1e-2"


@pytest.fixture(scope="module")
def recipe_run(source_run, digits, tmp_path_factory):
    """`recipe_run(recipe)` trains 30 epochs on ten labels per class, each recipe once."""
    runs = {}

    def train(recipe):
        if recipe not in runs:
            experiment = tftransfer.Experiment(
                data=str(digits / "target"),
                backbone=str(source_run.workdir),
                batch_size=16,
                labels_per_class=10,
                validation_fraction=0.3,
                test_fraction=0.6,
                epochs=30,
                recipe=recipe,
                seed=1,
            )
            folder = tmp_path_factory.mktemp("effect")
            runs[recipe] = tftransfer.train(experiment, folder, export=False)
        return runs[recipe]

    return train


def accuracy(run):
    return run.result["test"]["accuracy"]


@pytest.mark.slow
def test_fine_tune_with_few_labels_is_better_than_scratch(recipe_run):
    scratch = accuracy(recipe_run("scratch:augment=shift"))
    assert accuracy(recipe_run(f"fine_tune:{WHOLE}")) > scratch + 0.1


def test_feature_extraction_is_as_accurate_as_the_linear_probe(recipe_run):
    result = recipe_run("feature_extraction:augment=none,learning_rate=1e-2").result
    assert result["test"]["accuracy"] > result["baselines"]["majority"]["accuracy"] + 0.3
    gap = result["test"]["accuracy"] - result["baselines"]["linear_probe"]["accuracy"]
    assert abs(gap) < 0.1


@pytest.mark.parametrize("recipe", [GRADUAL, "deep_transfer:keep=1"])
def test_gradual_unfreezing_and_deep_transfer_learn(recipe_run, recipe):
    assert accuracy(recipe_run(recipe)) > 0.4


def distance(run, source):
    before, after = weights.read(source.weights), weights.read(run.weights)
    return sum(
        float(((after[key] - value) ** 2).sum())
        for key, value in before.items()
        if key.startswith("stage") and key.endswith("kernel")
    )


def test_l2_sp_keeps_weights_near_the_source(recipe_run, source_run):
    free = distance(recipe_run(f"fine_tune:{WHOLE}"), source_run)
    held = distance(recipe_run(f"l2_sp:{WHOLE},strength=1.0"), source_run)
    assert held < 0.5 * free


def test_l2_sp_of_strength_zero_equals_fine_tune(recipe_run):
    free = recipe_run(f"fine_tune:{WHOLE}").result["weights_sha256"]
    assert recipe_run(f"l2_sp:{WHOLE},strength=0.0").result["weights_sha256"] == free


def test_deep_transfer_keeps_its_first_stages_and_resets_the_others(recipe_run, source_run):
    before = weights.read(source_run.weights)
    after = weights.read(recipe_run("deep_transfer:keep=1,frozen=1,epochs=20").weights)
    for key, value in before.items():
        same = np.array_equal(after[key], value)
        if key.startswith("stage1"):
            assert same, key
        elif key.endswith("kernel"):
            assert not same, key
            correlation = np.corrcoef(after[key].ravel(), value.ravel())[0, 1]
            assert abs(correlation) < 0.2 or key.startswith("head"), key


def test_gradual_unfreezing_trains_one_more_stage_in_each_phase(recipe_run):
    phases = recipe_run(GRADUAL).result["phases"]
    trained = [sorted(b for b, rate in phase["rates"].items() if rate) for phase in phases]
    assert trained == [
        ["head"],
        ["head", "stage3"],
        ["head", "stage2", "stage3"],
        ["head", "stage1", "stage2", "stage3"],
    ]


def test_scratch_weights_do_not_correlate_with_the_source(recipe_run, source_run):
    after = weights.read(recipe_run("scratch:augment=shift").weights)
    before = weights.read(source_run.weights)
    key = next(k for k in before if k.startswith("stage3") and k.endswith("kernel"))
    assert abs(np.corrcoef(after[key].ravel(), before[key].ravel())[0, 1]) < 0.2


def test_train_with_a_recipe_object(source_run, digits, tmp_path):
    both = tftransfer.Phase(
        name="both",
        train={"head": 1.0, "stage-1": 0.1},
        epochs=2,
        losses=(tftransfer.losses.CrossEntropy(),),
    )
    recipe = tftransfer.Recipe(name="mine", phases=(both,))
    experiment = tftransfer.Experiment(
        data=str(digits / "target"), backbone=str(source_run.workdir), recipe=recipe
    )
    run = tftransfer.train(experiment, tmp_path, export=False)
    resolved = replace(recipe, phases=(replace(both, augment="crop"),))
    assert run.experiment.recipe == resolved
    assert run.result["phases"][0]["rates"] == {
        "stage1": 0.0,
        "stage2": 0.0,
        "stage3": 0.1,
        "head": 1.0,
    }
