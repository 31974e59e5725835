"""Unknown names and settings that do not suit the machine or the data, on the command line."""

import pytest
from bad_input_tools import assert_stops_before_training, run_command

import tftransfer
from tftransfer.readers import load


def own_config(place):
    """Writes a config whose recipe names an unknown block."""
    path = place.outside / "mine.py"
    path.write_text(
        "import tftransfer\n\n\ndef get_config():\n"
        "    losses = (tftransfer.losses.CrossEntropy(),)\n"
        "    phase = tftransfer.Phase(name='p', train={'staje1': 1.0}, losses=losses)\n"
        "    return tftransfer.config(recipe=tftransfer.Recipe(name='r', phases=(phase,)))\n"
    )
    return f"--config={path}"


UNKNOWN = {
    "drop_remainder": (lambda p: "--drop_remainder", "no flag of tftransfer train named"),
    "too many steps": (lambda p: "--steps=99999", "no flag of tftransfer train named '--steps'"),
    "unknown flag": (lambda p: "--bakbone=x", "named '--bakbone'"),
    "unknown config key": (lambda p: "--config.recipe.epocs=2", "named 'epocs'"),
    "unknown backbone": (lambda p: "--backbone=mobilenet_v9", "backbone named 'mobilenet_v9'"),
    "unknown recipe": (lambda p: "--recipe=fine_tun", "recipe named 'fine_tun'"),
    "unknown block": (own_config, "There is no block named 'staje1'"),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_unknown_name_stops_before_training(place, capsys, case):
    assert_stops_before_training(place, capsys, UNKNOWN[case])


@pytest.mark.parametrize(
    ("fields", "near"),
    [
        ({"recipe": "scratch:epoch=1"}, "epochs"),
        ({"recipe": "scratch+fixmach"}, "fixmatch"),
        ({"backbone": "mobilenet_v4"}, "mobilenet_v"),
        ({"backbone": "small_cnn:widht=8"}, "width"),
    ],
)
def test_wrong_name_is_reported_before_any_file_is_read(place, fields, near):
    place.patch.setattr(load, "scan", lambda *some, **more: pytest.fail("the files were read"))
    given = {"data": str(place.root), "backbone": "small_cnn", "weights": "none", **fields}
    experiment, folder = tftransfer.Experiment(**given), place.outside / "run"
    recipes = ["scratch", experiment.recipe]
    for name, more in (("train", {}), ("compare", {"recipes": recipes}), ("plan", {})):
        where = () if name == "plan" else (folder,)
        with pytest.raises(tftransfer.UserError) as error:
            getattr(tftransfer, name)(experiment, *where, **more)
        assert near in error.value.remedy


def test_batch_larger_than_the_data_is_reported(place, capsys):
    assert run_command(place, "--dry_run", "--batch_size=64") == 0
    output = capsys.readouterr().out
    assert "64 is more than the 27 training examples" in output
    assert "batch_size 32: " in output


def test_mixed_float16_without_a_gpu_gets_a_warning(place, capsys):
    assert run_command(place, "--dry_run", "--precision=mixed_float16") == 0
    assert "mixed_float16 is slow and less exact without a GPU" in capsys.readouterr().out
