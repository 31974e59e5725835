"""Keras optimizers and schedules as objects, from the phase to the resumed run."""

import keras
import pytest
from interruptions import InsideEpoch, outcome, request_stop, train

import tftransfer
from tftransfer.utils import signals

pytestmark = pytest.mark.usefixtures("interruptible", "short_groups")

HALVING = keras.optimizers.schedules.ExponentialDecay(0.01, 9, 0.5)
OPTIONS = {
    "optimizer": {"optimizer": keras.optimizers.SGD(0.05, momentum=0.9)},
    "schedule": {"schedule": keras.optimizers.schedules.CosineDecay(0.01, 40)},
    "optimizer with a schedule": {
        "optimizer": keras.optimizers.Adam(
            keras.optimizers.schedules.ExponentialDecay(0.01, 9, 0.5)
        )
    },
}


@pytest.mark.parametrize("name", OPTIONS)
def test_run_with_a_keras_object_resumes_to_the_same_weights(source_run, digits, tmp_path, name):
    recipe = tftransfer.recipes.fine_tune(unfreeze=1, head_epochs=1, epochs=3, **OPTIONS[name])
    whole = train(source_run, digits, tmp_path / "whole", recipe=recipe)
    with pytest.raises(signals.Stopped):
        stop = InsideEpoch(2, 1, request_stop)
        train(source_run, digits, tmp_path / "run", stop, recipe=recipe)
    resumed = train(source_run, digits, tmp_path / "run", recipe=recipe)
    assert outcome(resumed) == outcome(whole)


def test_learning_rate_that_a_callback_assigned_is_kept_by_a_resumed_run(
    source_run, digits, tmp_path
):
    class Assign(InsideEpoch):
        def __init__(self, then):
            super().__init__(2, 1, then)

        def on_epoch_begin(self, epoch, logs=None):
            super().on_epoch_begin(epoch, logs)
            if epoch == 1:
                self.model.optimizer.learning_rate = 0.005

    recipe = "fine_tune:unfreeze=1,head_epochs=1,epochs=3"
    whole = train(source_run, digits, tmp_path / "whole", Assign(lambda: None), recipe=recipe)
    with pytest.raises(signals.Stopped):
        train(source_run, digits, tmp_path / "run", Assign(request_stop), recipe=recipe)
    resumed = train(source_run, digits, tmp_path / "run", recipe=recipe)
    assert outcome(resumed) == outcome(whole)
    rates = [record["learning_rate"] for record in resumed.metrics()]
    assert rates[1:] == pytest.approx([0.005] * 3)
