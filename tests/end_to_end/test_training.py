"""Training from end to end on handwritten digits: what trains, what stays frozen, what is kept."""

import keras
import numpy as np
import pytest
from digits_experiment import tune

import tftransfer
from tftransfer.checkpoints import weights
from tftransfer.planning import phase_plan
from tftransfer.training import phase_loop
from tftransfer.workdir.run_folder import RunFolder


def test_frozen_blocks_equal_the_source_bit_by_bit(tuned_run, source_run):
    before, after = weights.read(source_run.weights), weights.read(tuned_run.weights)
    for key, value in before.items():
        block = key.split("/")[0]
        if block == "stage1":
            np.testing.assert_array_equal(after[key], value)
    assert all("stage1" in phase["frozen_verified"] for phase in tuned_run.result["phases"])


def test_batch_norm_of_trained_stages_is_frozen_by_default(tuned_run, source_run, digits, tmp_path):
    before, after = weights.read(source_run.weights), weights.read(tuned_run.weights)
    norms = [key for key in before if "_bn/" in key and key.startswith("stage3")]
    assert norms
    for key in norms:
        np.testing.assert_array_equal(after[key], before[key])
    experiment = tune(
        source_run, digits, recipe="fine_tune:unfreeze=1,head_epochs=1,epochs=1,batch_norm=train"
    )
    asked = weights.read(tftransfer.train(experiment, tmp_path, export=False).weights)
    assert all(not np.array_equal(asked[key], before[key]) for key in norms)


def test_trained_blocks_change(tuned_run, source_run):
    before, after = weights.read(source_run.weights), weights.read(tuned_run.weights)
    kernels = [k for k in before if k.startswith("stage3") and k.endswith("kernel")]
    assert kernels
    assert all(not np.array_equal(after[key], before[key]) for key in kernels)


class Interrupt(keras.callbacks.Callback):
    """Raises at the start of an epoch, after a number of epochs of the run."""

    def __init__(self, countdown):
        super().__init__()
        self.countdown = countdown

    def on_epoch_begin(self, epoch, logs=None):
        self.countdown -= 1
        if self.countdown < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("epochs_before", [0, 2, 3, 5])
def test_resume_after_any_epoch_gives_the_same_weights(
    source_run, digits, tuned_run, tmp_path, epochs_before
):
    experiment = tune(source_run, digits)
    with pytest.raises(KeyboardInterrupt):
        tftransfer.train(experiment, tmp_path, callbacks=[Interrupt(epochs_before)], export=False)
    assert not RunFolder(tmp_path).finished
    resumed = tftransfer.train(experiment, tmp_path, resume=True, export=False)
    assert resumed.result["weights_sha256"] == tuned_run.result["weights_sha256"]
    assert [p["name"] for p in resumed.result["phases"]] == ["head", "tune"]


def test_frozen_block_that_changes_is_an_error(source_run, digits, tmp_path, monkeypatch):
    epoch = phase_loop.PhaseLoop._epoch

    def change(self, number):
        epoch(self, number)
        self.network.variables("stage1")[0].assign_add(
            np.full(self.network.variables("stage1")[0].shape, 1e-6, np.float32)
        )

    monkeypatch.setattr(phase_loop.PhaseLoop, "_epoch", change)
    with pytest.raises(RuntimeError, match=r"frozen blocks changed in phase head: \['stage1'\]"):
        tftransfer.train(tune(source_run, digits), tmp_path)


def test_patience_stops_a_phase_that_ends_with_its_best_weights(
    source_run, digits, tmp_path, monkeypatch
):
    values = iter([0.9, 0.5, 0.7, *[0.6] * 60])
    monkeypatch.setattr(
        phase_loop.PhaseLoop, "_validate", lambda self: {"val_log_loss": next(values)}
    )
    weights = []
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: weights.append(keep.model.get_weights())
    )
    experiment = tune(source_run, digits, recipe="feature_extraction:epochs=60,patience=2")
    run = tftransfer.train(experiment, tmp_path, export=False, callbacks=[keep])
    phase = run.result["phases"][0]
    wait = -(-100 // 3)  # 100 steps at least, and an epoch has three
    assert phase["best_epoch"] == 2
    assert phase["epochs"] == len(weights) == 2 + wait < 60
    assert f"no better validation value for {wait} epochs" in phase["stopped"]
    kernel = tftransfer.load(tmp_path).trained_model.network.blocks["head"][-1].get_weights()[0]
    assert any(np.array_equal(kernel, w) for w in weights[1] if w.shape == kernel.shape)
    assert not any(np.array_equal(kernel, w) for w in weights[-1] if w.shape == kernel.shape)


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "mixed_bfloat16"},
        {"xla": "on"},
        {"recipe": "fine_tune:unfreeze=3,head_epochs=1,epochs=1,mixup=0.4"},
        {"recipe": "fine_tune:unfreeze=1,head_epochs=1,epochs=1,class_weight=balanced,dropout=0.3"},
        {"recipe": "fine_tune:unfreeze=1,head_epochs=1,epochs=1,views=fresh,optimizer=sgd"},
        {"recipe": "feature_extraction:epochs=2,hidden=(16)"},
        {"validation_fraction": 0.0},
    ],
    ids=lambda changes: ",".join(f"{k}={v}" for k, v in changes.items())[:60],
)
def test_options_run_to_a_finite_result(source_run, digits, tmp_path, changes):
    changes = {"recipe": "fine_tune:unfreeze=1,head_epochs=1,epochs=1", **changes}
    if "hidden" in str(changes["recipe"]):
        changes["recipe"] = {"name": "feature_extraction", "epochs": 2, "hidden": (16,)}
    run = tftransfer.train(tune(source_run, digits, **changes), tmp_path)
    assert np.isfinite(run.result["test"]["log_loss"])
    assert run.result["export"]["max_difference"] <= 1e-5


def test_mixed_float16_trains_with_a_scaled_loss(source_run, digits, tmp_path, log_lines):
    experiment = tune(
        source_run,
        digits,
        precision="mixed_float16",
        recipe="fine_tune:unfreeze=1,head_epochs=1,epochs=1",
    )
    run = tftransfer.train(experiment, tmp_path, export=False)
    assert any("mixed_float16 is slow and less exact without a GPU" in line for line in log_lines)
    assert np.isfinite(run.result["test"]["log_loss"])


@pytest.mark.parametrize("recipe", ["feature_extraction", "fine_tune:unfreeze=1,head_epochs=2"])
def test_streamed_features_equal_stored_ones(source_run, digits, tmp_path, recipe):
    text = f"{recipe}{',' if ':' in recipe else ':'}epochs=3,augment=none"
    runs = []
    for name, budget in (("stored", 10**9), ("streamed", 0)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(phase_plan, "memory_budget", lambda: budget)  # noqa: B023
            runs.append(
                tftransfer.train(
                    tune(source_run, digits, recipe=text),
                    tmp_path / name,
                    export=False,
                    cache_bytes=0,
                )
            )
    stored, streamed = (run.result["phases"] for run in runs)
    assert all(phase["views"] == 1 for phase in stored)
    assert all(phase["views"] == "fresh" for phase in streamed)
    assert [phase["boundary"] for phase in stored] == [phase["boundary"] for phase in streamed]
    first, second = (weights.read(run.weights) for run in runs)
    for key, value in first.items():
        np.testing.assert_allclose(value, second[key], atol=2e-3)
