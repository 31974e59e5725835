"""Keras callbacks in `tftransfer.train`."""

import keras
import numpy as np
import pytest

import tftransfer


@pytest.fixture
def fit(source_run, digits, tmp_path):
    """`fit(callbacks, recipe=..., **changes)` trains the digits 5 to 9 for a few epochs."""

    def train(*callbacks, recipe, **options):
        experiment = tftransfer.Experiment(
            data=str(digits / "target"),
            backbone=str(source_run.workdir),
            recipe=recipe,
            batch_size=16,
            labels_per_class=12,
            test_fraction=0.5,
            validation_fraction=0.25,
        )
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        return tftransfer.train(experiment, folder, callbacks=callbacks, export=False, **options)

    return train


def test_callback_methods_are_called_in_the_order_of_keras(fit):
    calls = []

    class Watch(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            calls.append("begin")

        def on_train_batch_end(self, batch, logs=None):
            calls.append(("batch", batch))

        def on_epoch_end(self, epoch, logs=None):
            calls.append(("epoch", epoch, sorted(logs)))
            self.model.stop_training = True

    run = fit(Watch(), recipe="feature_extraction:epochs=9")
    assert calls[0] == "begin"
    # Once for a group of steps that are one call, as with Keras's steps_per_execution.
    assert calls[1] == ("batch", 2)
    epoch = next(entry for entry in calls if entry[0] == "epoch")
    assert epoch[2][:2] == ["accuracy", "loss"]
    assert run.result["phases"][0]["epochs"] == 1
    assert "callback" in run.result["phases"][0]["stopped"]


def test_profile_is_written_on_request(fit):
    run = fit(recipe="feature_extraction:epochs=3", profile=True)
    assert list((run.workdir / "tensorboard").rglob("*.xplane.pb"))


def test_learning_rate_set_by_a_callback_is_used(fit):
    rates = []

    class Halve(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate))
            self.model.optimizer.learning_rate = rates[-1] / 2

    fit(Halve(), recipe="feature_extraction:epochs=3,schedule=constant,warmup=0")
    np.testing.assert_allclose(rates, [rates[0], rates[0] / 2, rates[0] / 4], rtol=1e-6)
