"""Too little memory: batches are split into microbatches, whose gradients are summed."""

import numpy as np
import pytest
import tensorflow as tf
from interruptions import train

import tftransfer
from tftransfer.checkpoints import weights
from tftransfer.training.train_step import TrainStep
from tftransfer.training.validation import Validation


def out_of_memory():
    return tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")


@pytest.mark.parametrize(
    "recipe",
    [
        "feature_extraction:epochs=2,augment=none,dropout=0",
        pytest.param("l2_sp:head_epochs=1,epochs=1,views=fresh", marks=pytest.mark.slow),
    ],
)
def test_out_of_memory_in_a_step_splits_the_batch(
    source_run, digits, tmp_path, monkeypatch, recipe, log_lines
):
    real, failures = TrainStep.__call__, [2]

    def call(self, group):
        if failures[0] and self.microbatches < 4:
            failures[0] -= 1
            real(self, group)  # it may have updated some of the weights
            raise out_of_memory()
        return real(self, group)

    plain = train(source_run, digits, tmp_path / "plain", recipe=recipe)
    monkeypatch.setattr(TrainStep, "__call__", call)
    run = train(source_run, digits, tmp_path / "split", recipe=recipe)
    for count in (2, 4):
        message = f"each batch of 16 is split into {count} microbatches"
        assert any(message in line for line in log_lines)
    ours, theirs = (weights.read(r.weights) for r in (run, plain))
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], atol=1e-4, err_msg=name)


def test_out_of_memory_for_one_example_is_an_error(source_run, digits, tmp_path, monkeypatch):
    def call(self, group):
        raise out_of_memory()

    monkeypatch.setattr(TrainStep, "__call__", call)
    with pytest.raises(tftransfer.UserError, match="Out of memory for a single example"):
        train(source_run, digits, tmp_path, batch_size=2)


def test_out_of_memory_in_validation_splits_its_batches(
    source_run, digits, tmp_path, monkeypatch, log_lines
):
    real, sizes = Validation.__init__, []

    def init(self, *arguments):
        real(self, *arguments)
        whole = self.forward

        def forward(*inputs):
            sizes.append(len(inputs[0]))
            if sizes[-1] > 40:
                raise out_of_memory()
            return whole(*inputs)

        self.forward = forward

    changes = {
        "recipe": "feature_extraction:epochs=2,augment=none,dropout=0",
        "validation_fraction": 0.3,
    }
    plain = train(source_run, digits, tmp_path / "plain", **changes)
    monkeypatch.setattr(Validation, "__init__", init)
    run = train(source_run, digits, tmp_path / "split", **changes)
    assert max(sizes) > 40 and sizes[-1] <= 32
    assert sum("out of memory" in line for line in log_lines) == 3
    assert [each["epoch"] for each in run.metrics()] == [1, 2]
    for ours, theirs in zip(run.metrics(), plain.metrics(), strict=True):
        assert ours["val_log_loss"] == pytest.approx(theirs["val_log_loss"], abs=1e-4)
