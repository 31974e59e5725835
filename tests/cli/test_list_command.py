"""`tftransfer list`, `init` and `version`, and shipped configs by name."""

import pytest

import tftransfer
from tftransfer.cli import shipped_configs
from tftransfer.cli.listing import TOPICS
from tftransfer.utils.errors import UserError


def test_list_without_a_topic_prints_the_topics(run_main):
    code, lines, _ = run_main("list")
    assert code == 0
    for topic in TOPICS:
        assert any(line.startswith(f"  {topic} ") for line in lines)


def test_list_losses_has_names_summaries_and_options(run_main):
    code, lines, _ = run_main("list", "losses")
    assert code == 0
    at = next(k for k, line in enumerate(lines) if line.startswith("  CrossEntropy "))
    assert "label_smoothing=0.0" in " ".join(lines[at : at + 4])


def test_list_recipes_and_methods_have_options_with_descriptions(run_main):
    code, lines, _ = run_main("list", "recipes", "scratch")
    assert code == 0 and lines[0].startswith("--recipe=scratch:")
    assert any(line.startswith("  epochs=30 ") and "Number of epochs" in line for line in lines)
    assert any(line.startswith("  batch_norm=train ") for line in lines)
    code, lines, _ = run_main("list", "methods")
    assert code == 0 and any(line.startswith("  l2_sp ") for line in lines)


@pytest.mark.parametrize("name", ["fine_tune", "l2_sp", "scratch+dann"])
def test_recipe_help_prints_the_options_of_recipes_and_methods(run_main, name):
    code, lines, _ = run_main("train", f"--recipe=help:{name}")
    assert code == 0 and "\n".join(lines) == tftransfer.recipe_help(name).replace("`", "")


def test_list_one_name_prints_its_options_with_descriptions(run_main):
    code, lines, _ = run_main("list", "losses", "L2SP")
    assert code == 0 and lines[0] == "L2SP"
    assert any(line.startswith("  blocks=stage* ") for line in lines)


def test_list_recipes_has_the_options_of_each_and_all_options_of_one(run_main):
    text = " ".join(" ".join(run_main("list", "recipes")[1]).split())
    assert "unfreeze=2, decay=0.3" in text and "weight_decay=" not in text
    lines = run_main("list", "recipes", "fine_tune")[1]
    assert any(line.startswith("  weight_decay=0.0001 ") for line in lines)
    assert lines == run_main("train", "--recipe=help:fine_tune")[1]


def test_list_pattern_prints_the_names_that_match(run_main):
    code, lines, _ = run_main("list", "losses", "Cosine*")
    assert code == 0 and lines[0].startswith("  CosinePairs ")
    assert not any(line.startswith("  CrossEntropy ") for line in lines)


def test_list_unknown_name_gets_the_nearest(run_main):
    code, _, lines = run_main("list", "losses", "CrossEntrop")
    assert code == 2
    assert lines[0] == "tftransfer: There is no loss named 'CrossEntrop'."
    assert "CrossEntropy" in lines[1]


@pytest.mark.slow
def test_list_backbones_has_parameters_input_and_options(run_main):
    code, lines, _ = run_main("list", "backbones", "mobilenet_v2")
    text = " ".join(" ".join(lines).split())
    assert code == 0 and lines[0] == "mobilenet_v2"
    assert "2.3 M parameters" in text and "224 px" in text and "alpha=1.0" in text
    code, lines, _ = run_main("list", "backbones", "small_*")
    assert code == 0 and sum(line.startswith("  small_cnn ") for line in lines) == 2


@pytest.mark.slow
def test_list_augmentations_has_the_modalities_of_each(run_main):
    code, lines, _ = run_main("list", "augmentations", "flip")
    assert code == 0 and lines[:3] == ["flip", "  mirrors left and right at random", "  for image"]


def test_list_configs_has_the_first_line_of_each(run_main):
    _, lines, _ = run_main("list", "configs")
    for name in shipped_configs.shipped_configs():
        assert any(line.startswith(f"  {name}") for line in lines)


def test_version_prints_the_versions_of_the_packages(run_main):
    code, lines, _ = run_main("version")
    assert code == 0 and lines[0] == f"tftransfer {tftransfer.__version__}"
    assert any(line.startswith("tensorflow 2.") for line in lines)
    assert run_main("--version")[1] == lines


def test_init_copies_the_configs_and_keeps_existing_files(run_main, tmp_path):
    folder = tmp_path / "mine"
    code, lines, _ = run_main("init", str(folder))
    copied = {file.name for file in folder.iterdir()}
    assert code == 0 and f"wrote {len(copied)} configs to {folder}" in lines
    assert {"flowers.py", "text.py", "audio.py"} <= copied
    (folder / "flowers.py").write_text("changed")
    code, _, lines = run_main("init", str(folder))
    assert code == 2 and "already has" in lines[0] and "--overwrite" in lines[1]
    assert (folder / "flowers.py").read_text() == "changed"
    assert run_main("init", str(folder), "--overwrite")[0] == 0
    assert "get_config" in (folder / "flowers.py").read_text()


def test_find_config_takes_files_and_names(tmp_path):
    mine = tmp_path / "flowers.py"
    mine.write_text("")
    assert shipped_configs.find_config(str(mine)) == mine
    assert shipped_configs.find_config("flowers").read_text().startswith('"""')
    with pytest.raises(UserError, match="no config named 'flower'"):
        shipped_configs.find_config("flower")
    with pytest.raises(UserError, match=r"flower\.py does not exist"):
        shipped_configs.find_config("flower.py")
