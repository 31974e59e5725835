"""Optimizers and schedules of Keras in a phase: normalized, compared, stored as JSON."""

import json

import keras
import numpy as np
import pytest

from tftransfer.core.keras_config import KerasConfig
from tftransfer.core.recipe import Phase, Recipe
from tftransfer.core.serialization import from_jsonable, to_jsonable
from tftransfer.utils.errors import UserError

SCHEDULE = keras.optimizers.schedules.CosineDecay(0.1, 100, warmup_target=0.2, warmup_steps=10)


def phase(**fields):
    return Phase(name="p", train={"head": 1.0}, losses=(), **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"optimizer": keras.optimizers.SGD(0.1, momentum=0.9)},
        {"optimizer": keras.optimizers.AdamW(SCHEDULE, weight_decay=0.3)},
        {"schedule": SCHEDULE},
        {"schedule": keras.optimizers.schedules.PiecewiseConstantDecay([1, 2], (0.1, 0.2, 0.3))},
        {"optimizer": keras.optimizers.Lion(0.1), "schedule": SCHEDULE},
    ],
    ids=lambda fields: "+".join(type(value).__name__ for value in fields.values()),
)
def test_phase_with_keras_objects_round_trips_through_json(fields):
    recipe = Recipe(name="r", phases=(phase(**fields),))
    text = json.dumps(to_jsonable(recipe))
    assert from_jsonable(json.loads(text)) == recipe
    (restored,) = from_jsonable(json.loads(text)).phases
    for name, given in fields.items():
        built = getattr(restored, name).build()
        assert type(built) is type(given)
        for key, value in given.get_config().items():
            if key not in ("name", "learning_rate"):
                restored_value = built.get_config()[key]
                assert np.array_equal(restored_value, value), key


def test_phase_with_equal_objects_is_equal():
    one, two, other = (phase(optimizer=keras.optimizers.SGD(r)) for r in (0.1, 0.1, 0.2))
    assert one == two != other


def test_phase_takes_rate_decay_and_clipping_of_an_optimizer_object():
    given = keras.optimizers.AdamW(0.5, weight_decay=0.25, global_clipnorm=2.0)
    found = phase(optimizer=given, learning_rate=0.1, warmup=0.2)
    assert (found.learning_rate, found.schedule, found.warmup) == (0.5, "constant", 0.0)
    assert (found.weight_decay, found.clip_norm) == (0.25, 2.0)


def test_phase_keeps_the_schedule_plateau_with_an_optimizer_object():
    assert phase(optimizer=keras.optimizers.SGD(0.5), schedule="plateau").schedule == "plateau"


def test_recipe_prints_the_optimizer_and_the_schedule():
    first = Recipe(name="r", phases=(phase(optimizer=keras.optimizers.SGD(0.5)),))
    second = Recipe(name="r", phases=(phase(schedule=SCHEDULE),))
    assert "SGD(learning_rate=0.5), constant, up to 10 epochs" in str(first)
    assert "adamw, CosineDecay(initial_learning_rate=0.1), up to 10 epochs" in str(second)


def of_library(module, name):
    return type(name, (), {"__module__": module})()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"optimizer": of_library("tf_keras.src.optimizers", "SGD")}, "is SGD of tf_keras, not"),
        ({"optimizer": of_library("torch.optim.sgd", "SGD")}, "is SGD of torch, not one of Keras"),
        ({"optimizer": keras.optimizers.SGD}, "is the class SGD of keras, not one of Keras 3"),
        ({"optimizer": 0.1}, "optimizer is float, not one of Keras 3"),
        ({"schedule": of_library("torch.optim.lr_scheduler", "StepLR")}, "is StepLR of torch"),
        ({"schedule": lambda step: 0.1}, "schedule is function, not one of Keras 3"),
        ({"optimizer": keras.optimizers.SGD(lambda: 0.1)}, "is a function, which cannot be stored"),
        (
            {"optimizer": keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))},
            "LossScaleOptimizer, which wraps",
        ),
        ({"optimizer": keras.optimizers.SGD(0.1, use_ema=True)}, "never uses the averages"),
    ],
)
def test_phase_with_another_object_is_an_error_of_two_lines(fields, message):
    with pytest.raises(UserError, match=message) as caught:
        phase(**fields)
    assert str(caught.value).startswith("Phase 'p': ")
    assert len(str(caught.value).splitlines()) == 2


def test_build_of_a_config_with_another_module_runs_no_code():
    config = KerasConfig.from_json({"config": to_jsonable(phase(schedule=SCHEDULE))["schedule"]})
    hostile = {"module": "os", "class_name": "system", "config": {}, "registered_name": "system"}
    with pytest.raises(UserError, match="system of os is not registered with Keras"):
        KerasConfig(json.dumps(hostile)).build()
    assert config.text
