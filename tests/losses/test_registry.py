"""Losses by name: registration, text, listing, and the check before training."""

import dataclasses
import json

import numpy as np
import pytest

import tftransfer
from tftransfer.core.loss import UnavailableLoss
from tftransfer.core.serialization import from_jsonable, to_jsonable
from tftransfer.losses import check_losses
from tftransfer.utils.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogitNorm(tftransfer.Loss):
    """Mean square of the logits."""

    logits: str = "train.logits"
    sizes: tuple[int, ...] = ()

    def __call__(self, tensors):
        from keras import ops

        return ops.mean(ops.square(tensors[self.logits]))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unregistered(LogitNorm):
    """Not registered."""


@pytest.fixture(autouse=True)
def registered(own_registrations):
    tftransfer.register_loss(LogitNorm)


def recipe_with(*losses):
    phase = tftransfer.Phase(name="only", train={"head": 1.0}, losses=losses)
    return tftransfer.Recipe(name="mine", phases=(phase,))


def test_registered_loss_survives_json():
    recipe = recipe_with(LogitNorm(weight=0.5, sizes=(2, 3)))
    assert from_jsonable(json.loads(json.dumps(to_jsonable(recipe)))) == recipe


def test_get_makes_a_loss_from_its_name_and_fields():
    assert tftransfer.losses.get("LogitNorm:weight=0.5") == LogitNorm(weight=0.5)
    loss = LogitNorm()
    assert tftransfer.losses.get(loss) is loss


@pytest.mark.parametrize(
    ("spec", "message"),
    [("CrossEntropi", "CrossEntropy"), ("CrossEntropy:smoothing=1", "label_smoothing")],
)
def test_get_of_an_unknown_name_or_field_names_the_nearest(spec, message):
    with pytest.raises(UserError, match=message):
        tftransfer.losses.get(spec)


def test_list_losses_contains_own_and_built_in_ones_with_defaults():
    listed = {info.name: info for info in tftransfer.list_losses()}
    assert listed["LogitNorm"].summary == "Mean square of the logits."
    assert listed["LogitNorm"].fields["logits"] == "train.logits"
    assert "label_smoothing=0.0" in str(listed["CrossEntropy"])
    assert list(listed) == sorted(listed, key=str.lower)


def test_register_loss_of_a_taken_name_is_an_error():
    other = dataclasses.make_dataclass(
        "CrossEntropy", [], bases=(tftransfer.Loss,), frozen=True, kw_only=True
    )
    with pytest.raises(ValueError, match="CrossEntropy"):
        tftransfer.register_loss(other)


class NotDecorated(LogitNorm):
    pass


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (int, "int is not a loss"),
        (NotDecorated, "not a frozen dataclass"),
        (
            dataclasses.make_dataclass(
                "Required", [("x", int)], bases=(tftransfer.Loss,), frozen=True, kw_only=True
            ),
            "no default for x",
        ),
    ],
)
def test_register_loss_of_another_class_is_an_error(cls, message):
    with pytest.raises(UserError, match=message):
        tftransfer.register_loss(cls)


def test_check_losses_of_an_unregistered_loss_is_an_error():
    with pytest.raises(UserError, match="Unregistered of phase 'only' is not registered"):
        check_losses(recipe_with(Unregistered()))


def test_check_losses_of_a_field_that_json_changes_is_an_error():
    with pytest.raises(UserError, match="The field sizes of the loss LogitNorm"):
        check_losses(recipe_with(LogitNorm(sizes=np.zeros)))


def test_unknown_loss_in_json_can_be_read_and_written_but_not_trained():
    stored = to_jsonable(recipe_with(LogitNorm(logits="target.logits")))
    stored["phases"][0]["losses"][0]["type"] = "Elsewhere"
    recipe = from_jsonable(stored)
    (loss,) = recipe.phases[0].losses
    assert isinstance(loss, UnavailableLoss) and loss.paths() == ("target.logits",)
    assert "Elsewhere" in str(recipe) and to_jsonable(recipe) == stored
    with pytest.raises(UserError, match="The loss Elsewhere is not registered") as error:
        check_losses(recipe)
    assert "register_loss" in error.value.remedy
    with pytest.raises(UserError, match="Elsewhere"):
        loss({})


def test_run_with_own_loss_predicts_and_exports_without_it_but_does_not_train(
    image_folder, tmp_path
):
    recipe = tftransfer.recipes.make_recipe("feature_extraction:epochs=1")
    phases = [
        dataclasses.replace(phase, losses=(*phase.losses, LogitNorm(weight=0.1)))
        for phase in recipe.phases
    ]
    experiment = tftransfer.Experiment(
        data=str(image_folder),
        backbone="small_cnn",
        weights="none",
        image_size=32,
        recipe=dataclasses.replace(recipe, phases=tuple(phases)),
    )
    run = tftransfer.train(experiment, tmp_path / "run")
    config = tmp_path / "run" / "config.json"
    config.write_text(config.read_text().replace('"LogitNorm"', '"Elsewhere"'))
    some = sorted(image_folder.rglob("*.png"))[:2]
    assert len(tftransfer.predict(tmp_path / "run", [str(path) for path in some])) == 2
    tftransfer.export(tmp_path / "run")
    with pytest.raises(UserError, match="The loss Elsewhere is not registered"):
        tftransfer.train(tftransfer.load(tmp_path / "run").experiment, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    assert run.result["test"]["accuracy"] >= 0
