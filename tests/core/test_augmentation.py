"""Keras layers and functions as `Phase.augment`: compared, stored as JSON, refused early."""

import functools
import json
import sys
import types

import keras
import pytest

from tftransfer.core.augmentation import CustomAugmentation
from tftransfer.core.recipe import Phase, Recipe
from tftransfer.core.serialization import from_jsonable, to_jsonable
from tftransfer.utils.errors import UserError


@keras.saving.register_keras_serializable("augmentation_tests")
def darken(images):
    return images * 0.5


@keras.saving.register_keras_serializable("augmentation_tests")
class Shifted(keras.layers.Layer):
    def call(self, images):
        return images + 1.0


class Unregistered(keras.layers.Layer):
    def call(self, images):
        return images


def phase(augment):
    return Phase(name="tune", train={"head": 1.0}, losses=(), augment=augment)


def test_phase_of_equal_layers_is_equal_whatever_their_names_and_seeds():
    first = phase(keras.layers.RandomFlip("horizontal", seed=3, name="mine"))
    second = phase(keras.layers.RandomFlip("horizontal"))
    other = phase(keras.layers.RandomFlip("vertical"))
    assert first == second and first.augment == second.augment and first != other
    assert hash(first.augment) == hash(second.augment)
    assert str(first.augment) == "RandomFlip"
    assert "augment RandomFlip" in str(Recipe(name="mine", phases=(first,)))


def test_phase_takes_sequential_lists_and_functions():
    flip, turn = keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.1)
    nested = phase([keras.Sequential([flip, keras.Sequential([turn])]), darken])
    assert nested == phase((flip, turn, darken))
    assert str(nested.augment) == "RandomFlip + RandomRotation + augmentation_tests>darken"
    assert not nested.augment.has_only_keras_layers
    assert phase(flip).augment.has_only_keras_layers
    assert not phase(Shifted()).augment.has_only_keras_layers


@pytest.mark.parametrize(
    "augment",
    [
        keras.layers.RandomFlip("horizontal"),
        keras.layers.RandAugment(num_ops=1),
        [keras.layers.RandomBrightness(0.2), darken, Shifted()],
        "flip",
    ],
    ids=["layer", "nested layers", "several", "name"],
)
def test_json_round_trip_of_augment_is_equal(augment):
    given = phase(augment)
    restored = from_jsonable(json.loads(json.dumps(to_jsonable(given))))
    assert restored == given
    if not isinstance(augment, str):
        built = restored.augment.build()
        assert [type(a) for a in built] == [type(a) for a in given.augment.build()]


def test_json_of_a_layer_is_the_config_of_keras():
    (step,) = to_jsonable(phase(keras.layers.RandomFlip("horizontal")).augment)["steps"]
    assert step["class_name"] == "RandomFlip" and step["config"]["mode"] == "horizontal"
    assert "name" not in step["config"] and step["config"]["seed"] is None


def foreign(module, name="Compose"):
    return type(name, (), {"__module__": module, "__call__": lambda self, image: image})()


REFUSED = {
    "torchvision": (foreign("torchvision.transforms"), "Compose of torchvision", "Keras 3"),
    "tf_keras": (foreign("tf_keras.src.layers", "RandomFlip"), "RandomFlip of tf_keras", "Keras 3"),
    "lambda": (lambda images: images, "function <lambda>, which is not registered", "Decorate"),
    "partial": (functools.partial(darken), "function partial, which is not registered", "def"),
    "number": (3, "3, which is neither a Keras layer nor a function", "Keras 3"),
    "empty": ([], "is empty", "none"),
    "name in a list": (["flip"], "'flip', which is neither", "must be the only one"),
    "CutMix": (keras.layers.CutMix(), "CutMix, which must mix labels", "mixup=0.2"),
    "unregistered layer": (Unregistered(), "Unregistered cannot be built", "Decorate its class"),
    "unknown name": ("flop", "augment='flop' is not an option", "flip"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_phase_refuses_other_augmentations_in_two_lines(case):
    augment, message, remedy = REFUSED[case]
    with pytest.raises(UserError, match="Phase 'tune'") as caught:
        phase(augment)
    assert message in caught.value.what and remedy in caught.value.remedy
    assert len(str(caught.value).splitlines()) == 2


def test_phase_refuses_a_layer_with_weights():
    layer = keras.layers.Conv2D(3, 1)
    layer.build((None, 8, 8, 3))
    with pytest.raises(UserError, match="Conv2D, a layer with weights"):
        phase(layer)


def test_build_of_a_function_that_is_not_registered_in_this_process_is_an_error():
    stored = CustomAugmentation(('{"function": "elsewhere>darken"}',))
    with pytest.raises(UserError, match="elsewhere>darken is not registered") as caught:
        stored.build()
    assert "--register" in caught.value.remedy


def test_phase_of_a_name_does_not_import_keras(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", types.ModuleType("keras"))
    assert phase("flip").augment == "flip"
