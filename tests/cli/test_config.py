"""`tftransfer.config`, and the flag --config with its overrides."""

import json
import sys
from dataclasses import fields

import pytest
from absl import flags

from tftransfer.cli.config import config, experiment_from
from tftransfer.cli.config_flag import define_config
from tftransfer.core.experiment import Experiment
from tftransfer.core.recipe import Phase, Recipe
from tftransfer.core.serialization import to_jsonable
from tftransfer.losses import L2SP, CrossEntropy
from tftransfer.recipes import RECIPES, make_recipe, recipe_options
from tftransfer.utils.errors import UserError

# ml_collections loads a config file by a method that Python is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


@pytest.fixture(autouse=True)
def fresh_config_module(monkeypatch):
    monkeypatch.delitem(sys.modules, "config_config", raising=False)


def _parsed(*arguments):
    """Returns the config of a command line, and the words that are not flags."""
    values = flags.FlagValues()
    flags.DEFINE_string("recipe", "", "", flag_values=values)
    flags.DEFINE_integer("seed", 0, "", flag_values=values)
    rest = define_config(values, list(arguments))
    free = values(["tftransfer", *rest])[1:]
    return values["config"].value, free


def _experiment(found):
    return experiment_from(
        {k: v.to_dict() if hasattr(v, "to_dict") else v for k, v in found.items()}
    )


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "photos.py"
    path.write_text(
        "import tftransfer\n\n\ndef get_config(data='photos'):\n"
        "    return tftransfer.config(data=data, batch_size=8,\n"
        "        recipe={'name': 'fine_tune', 'unfreeze': 2})\n"
    )
    return str(path)


def test_config_has_every_field_of_an_experiment():
    found = config(data="photos", seed=7)
    assert set(found) == {field.name for field in fields(Experiment)}
    assert found.data == "photos" and found.seed == 7
    assert found.batch_size == Experiment().batch_size


def test_config_fills_in_the_options_of_the_recipe():
    found = config(recipe="fine_tune:unfreeze=2").recipe
    assert found.name == "fine_tune" and found.unfreeze == 2
    for name in ("decay", "epochs", "head_epochs", "learning_rate", "label_smoothing", "dropout"):
        assert found[name] == recipe_options("fine_tune")[name], name
    assert {"batch_norm", "weight_decay", "schedule", "patience", "mixup"} <= set(found)
    assert not {"problem_type", "stages"} & set(found)


@pytest.mark.parametrize("name", sorted(RECIPES))
@pytest.mark.parametrize(("problem_type", "stages"), [("single_label", 5), ("multi_label", 2)])
def test_config_of_a_name_makes_the_same_recipe_as_the_name(name, problem_type, stages):
    experiment = _experiment(config(recipe=name))
    found = make_recipe(experiment.recipe, problem_type=problem_type, stages=stages)
    assert found == make_recipe(name, problem_type=problem_type, stages=stages)
    assert found.name == name


@pytest.mark.parametrize(
    "spec", ["fine_tune:decay=0.5,unfreeze=3", {"name": "fine_tune", "decay": 0.5, "unfreeze": 3}]
)
def test_config_accepts_names_with_options_and_mappings(spec):
    found = make_recipe(_experiment(config(recipe=spec)).recipe)
    rates = {"head": 1.0, "stage-1": 1.0, "stage-2": 0.5, "stage-3": 0.25}
    assert found.phases[1].train == rates


def test_config_accepts_losses_and_stages():
    penalty = L2SP(weight=0.5)
    spec = {"name": "fine_tune", "extra_losses": (penalty,), "stages": 2, "unfreeze": 4}
    found = make_recipe(_experiment(config(recipe=spec)).recipe)
    assert found.phases[1].losses[1] == penalty
    assert list(found.phases[1].train) == ["head", "stage-1", "stage-2"]


def test_config_keeps_a_recipe_object():
    phase = Phase(name="one", train={"head": 1.0}, losses=(CrossEntropy(),))
    recipe = Recipe(name="mine", phases=(phase,))
    assert _experiment(config(recipe=recipe)).recipe == recipe


@pytest.mark.parametrize(
    ("given", "what", "remedy"),
    [
        ({"batchsize": 8}, "no field of Experiment named 'batchsize'", "batch_size"),
        ({"recipe": "fine_tun"}, "no recipe named 'fine_tun'", "fine_tune"),
        ({"recipe": "fine_tune:unfreze=2"}, "no option of recipe fine_tune named", "unfreeze"),
        (
            {"recipe": {"name": "scratch", "unfreeze": 2}},
            "no option of recipe scratch",
            "Available",
        ),
        ({"recipe": {"unfreeze": 2}}, "The recipe has no name", "fine_tune"),
        ({"recipe": "fine_tune:unfreeze"}, "option 'unfreeze' without a value", "option=value"),
    ],
)
def test_config_unknown_name_raises_with_the_nearest(given, what, remedy):
    with pytest.raises(UserError, match=what) as caught:
        config(**given)
    assert remedy in caught.value.remedy


def test_experiment_from_checks_names_and_values():
    assert experiment_from({"seed": 3}) == Experiment(seed=3)
    with pytest.raises(UserError, match="no field of Experiment named 'sed'"):
        experiment_from({"sed": 3})
    with pytest.raises(UserError, match="batch_size is 0"):
        experiment_from({"batch_size": 0})


def test_config_flag_overrides_reach_the_file(config_file):
    found, free = _parsed(
        f"--config={config_file}",
        "--config.seed=5",
        "--config.recipe.decay=0.25",
        "--config.recipe.batch_norm=train",
        "--config.recipe.weight_decay=0.5",
        "--config.recipe.patience=2",
        "--config.test_fraction=0.5",
        "extra",
        "--seed=3",
    )
    assert free == ["extra"]
    assert (found.data, found.batch_size, found.seed) == ("photos", 8, 5)
    assert found.test_fraction == 0.5
    phase = make_recipe(_experiment(found).recipe).phases[1]
    assert phase.train == {"head": 1.0, "stage-1": 1.0, "stage-2": 0.25}
    assert (phase.batch_norm, phase.weight_decay, phase.patience) == ("train", 0.5, 2)


@pytest.mark.parametrize("form", [["--config={}"], ["--config", "{}"], ["-config={}"]])
def test_config_flag_can_be_written_in_several_ways(config_file, form):
    found, free = _parsed(*(word.format(config_file) for word in form), "word")
    assert found.batch_size == 8 and free == ["word"]


def test_config_flag_passes_an_argument_to_the_file(config_file):
    found, _ = _parsed(f"--config={config_file}:birds", "--config.batch_size=4")
    assert (found.data, found.batch_size) == ("birds", 4)


def test_config_flag_without_a_file_overrides_the_defaults_of_the_recipe():
    found, free = _parsed("--recipe=l2_sp", "--config.recipe.strength=0.5", "--config.seed=2")
    assert free == [] and found.seed == 2
    recipe = make_recipe(_experiment(found).recipe)
    assert recipe.name == "l2_sp" and recipe.phases[1].losses[1] == L2SP(weight=0.5)


@pytest.mark.parametrize(
    ("override", "name", "remedy"),
    [
        ("--config.batchsize=4", "batchsize", "Did you mean batch_size"),
        ("--config.recipe.unfreze=1", "unfreze", "Did you mean unfreeze"),
        ("--config.recip.unfreeze=1", "recip", "Did you mean recipe"),
        ("--config.recipe.decay.rate=1", "rate", "None is available"),
    ],
)
def test_config_flag_unknown_field_raises_with_the_nearest(config_file, override, name, remedy):
    with pytest.raises(
        UserError, match=f"no field of the config for --config.* named '{name}'"
    ) as caught:
        _parsed(f"--config={config_file}", override)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("def get_config(:\n", "fails on line 1: SyntaxError"),
        ("x = 1\n", "fails: .*get_config"),
        (
            "def get_config():\n    return 1 / 0\n",
            "fails on line 2: ZeroDivisionError: division by zero",
        ),
        (
            "import tftransfer\ndef get_config():\n    return tftransfer.config(sed=1)\n",
            "no field of Experiment named 'sed'",
        ),
    ],
)
def test_config_flag_broken_file_raises_with_its_name_and_line(tmp_path, text, what):
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(UserError, match=what):
        _parsed(f"--config={path}")


def test_config_flag_absent_file_raises_with_its_name(tmp_path):
    with pytest.raises(UserError, match=r"absent\.py does not exist"):
        _parsed(f"--config={tmp_path / 'absent.py'}")


@pytest.fixture
def stored():
    phase = Phase(name="one", train={"head": 1.0, "stage-1": 0.5}, losses=(CrossEntropy(),))
    recipe = Recipe(name="mine", phases=(phase,))
    return Experiment(data="photos", seed=9, image_size=64, recipe=recipe)


@pytest.mark.parametrize("wrapped", [True, False])
def test_config_flag_accepts_the_json_of_a_run(tmp_path, stored, wrapped):
    path = tmp_path / "config.json"
    jsonable = to_jsonable(stored)
    path.write_text(json.dumps({"experiment": jsonable, "more": 1} if wrapped else jsonable))
    found, _ = _parsed(f"--config={path}")
    assert _experiment(found) == stored
    found, _ = _parsed(f"--config={path}", "--config.seed=10", "--config.data=birds")
    changed = _experiment(found)
    assert (changed.seed, changed.data, changed.recipe) == (10, "birds", stored.recipe)


def test_config_flag_json_with_an_unknown_field_raises(tmp_path, stored):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"experiment": to_jsonable(stored)}))
    with pytest.raises(UserError, match="named 'image_sizes'") as caught:
        _parsed(f"--config={path}", "--config.image_sizes=32")
    assert "image_size" in caught.value.remedy


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"sed": 1}, "no field of Experiment named 'sed'"),
        ({"type": "Experimentt"}, "no type named 'Experimentt'"),
        ({"problem_type": "multi"}, r"Experiment: problem_type='multi' is not an option"),
    ],
)
def test_config_flag_changed_json_is_checked(tmp_path, stored, change, what):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"experiment": to_jsonable(stored) | change}))
    with pytest.raises(UserError, match=what):
        _parsed(f"--config={path}")
