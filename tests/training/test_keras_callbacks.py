"""Keras callbacks with their default arguments in `tftransfer.train`."""

import csv

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import tftransfer

# Epochs 0 to 2 train the head, epochs 3 to 5 also the last stage.
TWO_PHASES = "fine_tune:unfreeze=1,head_epochs=3,epochs=3,patience=0"
HEAD = "feature_extraction:epochs=4,patience=0"


@pytest.fixture
def fit(source_run, digits, tmp_path):
    """`fit(callbacks, recipe=..., **changes)` trains the digits 5 to 9 for a few epochs."""

    def train(*callbacks, recipe=TWO_PHASES, folder="run", **options):
        experiment = tftransfer.Experiment(
            data=str(digits / "target"),
            backbone=str(source_run.workdir),
            recipe=recipe,
            batch_size=16,
            labels_per_class=12,
            test_fraction=0.5,
            validation_fraction=0.25,
        )
        return tftransfer.train(
            experiment, tmp_path / folder, callbacks=callbacks, export=False, **options
        )

    return train


class Watch(keras.callbacks.Callback):
    """Records the calls, the logs of each epoch, and the learning rate at its start."""

    def __init__(self):
        super().__init__()
        self.calls, self.logs, self.rates = [], [], []

    def on_train_begin(self, logs=None):
        self.calls.append("train begin")

    def on_train_end(self, logs=None):
        self.calls.append("train end")

    def on_epoch_begin(self, epoch, logs=None):
        self.calls.append(f"epoch {epoch} begin")
        self.rates.append(float(self.model.optimizer.learning_rate))

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(f"epoch {epoch} end")
        self.logs.append(logs)

    def on_train_batch_end(self, batch, logs=None):
        self.calls.append(f"batch {batch}")


def test_callback_methods_are_called_once_for_the_run_and_epochs_continue(fit):
    watch = Watch()
    fit(watch)
    outer = [call for call in watch.calls if not call.startswith("batch")]
    epochs = [f"epoch {epoch} {what}" for epoch in range(6) for what in ("begin", "end")]
    assert outer == ["train begin", *epochs, "train end"]
    # Once for a group of steps that are one call, as with Keras's steps_per_execution.
    assert watch.calls[2] == "batch 2"
    assert watch.params == {"epochs": 6, "steps": 3, "verbose": 0}
    assert isinstance(watch.model, keras.Model)


def test_callbacks_without_effect_leave_the_weights_unchanged(fit):
    plain, watched = fit(), fit(Watch(), folder="watched")
    assert plain.result["weights_sha256"] == watched.result["weights_sha256"]


def test_logs_have_the_loss_of_the_phase_on_the_validation_split(fit):
    watch = Watch()
    run = fit(watch, recipe="feature_extraction:epochs=2,patience=0,label_smoothing=0.3")
    for logs, record in zip(watch.logs, run.metrics(), strict=True):
        assert {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"} <= set(logs)
        # Smoothing moves 0.3 of the label to all classes, so that the loss is above the log loss.
        assert logs["val_loss"] > logs["val_log_loss"] > 0
        assert record["val_loss"] == logs["val_loss"]
        assert record["learning_rate"] == logs["learning_rate"]


def test_val_loss_without_smoothing_is_the_log_loss(fit):
    watch = Watch()
    fit(watch, recipe="feature_extraction:epochs=2,patience=0,label_smoothing=0")
    for logs in watch.logs:
        assert logs["val_loss"] == pytest.approx(logs["val_log_loss"], rel=1e-5)


def test_learning_rate_follows_the_schedule_and_the_assigned_value(fit):
    class Assign(Watch):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            if epoch == 1:
                self.model.optimizer.learning_rate = 0.125

    watch = Assign()
    fit(watch, recipe=f"{HEAD},learning_rate=0.001,schedule=linear,warmup=0")
    # Of 12 steps, the first has the peak rate, and the rate falls to 0 over the others.
    after_3, after_6 = 1e-3 * (1 - 2 / 11), 1e-3 * (1 - 5 / 11)
    np.testing.assert_allclose(watch.rates, [1e-3, after_3, 0.125, 0.125], rtol=1e-5)
    logged = [logs["learning_rate"] for logs in watch.logs]
    np.testing.assert_allclose(logged, [after_3, after_6, 0.125, 0.125], rtol=1e-5)


def test_learning_rate_assigned_is_used_in_the_update(fit):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.optimizer.learning_rate = 0.0
            if epoch == 0:
                self.before = self.model.get_weights()

        def on_epoch_end(self, epoch, logs=None):
            for before, after in zip(self.before, self.model.get_weights(), strict=True):
                np.testing.assert_array_equal(after, before)

    fit(Stop(), recipe="feature_extraction:epochs=2,patience=0,optimizer=sgd,dropout=0")


def test_stop_training_ends_the_phase(fit):
    class Stop(Watch):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 0

    run = fit(Stop())
    assert [phase["epochs"] for phase in run.result["phases"]] == [1, 3]
    assert run.result["phases"][0]["stopped"] == "a callback requested the stop"


def test_early_stopping_ends_each_phase_on_its_own(fit, monkeypatch):
    # Better in epochs 0, 1 and 3, where the second phase begins.
    values = iter([0.9, 0.8, 0.85, 0.95, 0.97])
    monkeypatch.setattr("tftransfer.training.validation.Validation._loss", lambda *_: next(values))
    callback = keras.callbacks.EarlyStopping()
    run = fit(callback)
    assert [phase["epochs"] for phase in run.result["phases"]] == [3, 2]
    assert callback.best == 0.95 and callback.stopped_epoch == 4


def test_early_stopping_that_restores_weights_keeps_frozen_blocks_unchanged(fit):
    run = fit(keras.callbacks.EarlyStopping(restore_best_weights=True))
    assert all(phase["frozen_verified"] for phase in run.result["phases"])


def test_reduce_lr_on_plateau_lowers_the_rate_of_the_schedule(fit, monkeypatch):
    monkeypatch.setattr("tftransfer.training.validation.Validation._loss", lambda *_: 1.0)
    watch = Watch()
    callback = keras.callbacks.ReduceLROnPlateau()
    constant = "learning_rate=0.001,schedule=constant,warmup=0"
    fit(callback, watch, recipe=f"feature_extraction:epochs=12,patience=0,{constant}")
    np.testing.assert_allclose(watch.rates, [1e-3] * 11 + [1e-4], rtol=1e-5)


def test_reduce_lr_on_plateau_begins_again_in_each_phase(fit, monkeypatch):
    monkeypatch.setattr("tftransfer.training.validation.Validation._loss", lambda *_: 1.0)
    watch = Watch()
    recipe = f"{TWO_PHASES},schedule=constant,warmup=0"
    fit(keras.callbacks.ReduceLROnPlateau(patience=2, factor=0.5), watch, recipe=recipe)
    second = np.array(watch.rates[3:])
    np.testing.assert_allclose(second / second[0], [1, 1, 1], rtol=1e-5)


def test_learning_rate_scheduler_sets_the_rate_by_the_epoch_of_the_run(fit):
    seen = []

    def schedule(epoch, rate):
        seen.append(rate)
        return 0.01 / (epoch + 1)

    watch = Watch()
    fit(keras.callbacks.LearningRateScheduler(schedule), watch)
    np.testing.assert_allclose(watch.rates, [0.01 / (k + 1) for k in range(6)], rtol=1e-5)
    logged = [logs["learning_rate"] for logs in watch.logs]
    np.testing.assert_allclose(logged, watch.rates, rtol=1e-5)
    assert all(rate > 0 for rate in seen)


def test_model_checkpoint_saves_models_that_keras_loads(fit, tmp_path):
    run = fit(keras.callbacks.ModelCheckpoint(tmp_path / "{epoch:02d}-{val_loss:.2f}.keras"))
    files = sorted(tmp_path.glob("*.keras"))
    assert [file.name[:2] for file in files] == ["01", "02", "03", "04", "05", "06"]
    loaded = keras.models.load_model(files[-1])
    images = np.random.default_rng(0).uniform(0, 255, (2, *loaded.inputs[0].shape[1:]))
    assert loaded.predict(images, verbose=0)["logits"].shape == (2, len(run.classes))
    assert loaded.optimizer.__class__ is keras.optimizers.AdamW


def test_model_checkpoint_of_the_best_keeps_the_best_over_phases(fit, tmp_path, monkeypatch):
    values = iter([0.9, 0.8, 0.85, 0.95, 0.7, 0.75])
    monkeypatch.setattr("tftransfer.training.validation.Validation._loss", lambda *_: next(values))
    fit(keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras", save_best_only=True))
    assert sorted(file.name for file in tmp_path.glob("*.keras")) == [
        "1.keras",
        "2.keras",
        "5.keras",
    ]


def test_csv_logger_has_a_row_per_epoch_of_all_phases(fit, tmp_path):
    run = fit(keras.callbacks.CSVLogger(tmp_path / "log.csv"))
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(6))
    for row, record in zip(rows, run.metrics(), strict=True):
        for name in ("loss", "val_loss", "learning_rate"):
            assert float(row[name]) == pytest.approx(record[name])


def test_tensorboard_has_every_epoch_of_all_phases(fit, tmp_path):
    run = fit(keras.callbacks.TensorBoard(tmp_path / "board"))
    for folder in (tmp_path / "board", run.workdir / "tensorboard"):
        for split, tag in (("train", "epoch_learning_rate"), ("validation", "epoch_loss")):
            events = EventAccumulator(str(folder / split))
            events.Reload()
            assert [event.step for event in events.Tensors(tag)] == list(range(6))


def test_profile_is_written_on_request(fit):
    run = fit(recipe=HEAD, profile=True)
    assert list((run.workdir / "tensorboard").rglob("*.xplane.pb"))


def test_callback_of_another_library_is_an_error(fit):
    other = type("EarlyStopping", (), {"__module__": "tf_keras.src.callbacks"})
    message = r"has a EarlyStopping of tf_keras, not a callback of Keras 3\.\nGive instances of"
    with pytest.raises(tftransfer.UserError, match=message):
        fit(other(), recipe=HEAD)
