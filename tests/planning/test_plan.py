"""A plan of a small experiment: its phases, views, settings, printed form, cost and disk space."""

from dataclasses import replace

import numpy as np
import pytest

import tftransfer
from tftransfer.planning import phase_plan
from tftransfer.planning.cost import estimate
from tftransfer.planning.preflight import check_disk_space, run_bytes
from tftransfer.utils.errors import UserError

COUNT = 80
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (COUNT, 16, 16, 3), np.uint8)
LABELS = np.array(["a", "b"] * (COUNT // 2))


def plan(recipe, **changes):
    settings = {
        "data": (IMAGES, LABELS),
        "backbone": "small_cnn:width=4",
        "weights": "none",
        "image_size": 16,
        "batch_size": 16,
        "recipe": recipe,
    }
    return tftransfer.plan(tftransfer.Experiment(**settings | changes), cache_bytes=0)


@pytest.mark.parametrize(
    ("options", "views", "reason"),
    [
        ("augment=crop,epochs=20", 8, "features of 8 views are cached in memory"),
        ("augment=crop,epochs=3", 3, "features of 3 views are cached in memory"),
        ("augment=crop,epochs=20,views=12", 12, "features of 12 views are cached"),
        ("augment=none,epochs=20", 1, "features of 1 view are cached"),
        ("augment=flip,epochs=20", 2, "features of 2 views are cached"),
        ("augment=flip,epochs=20,views=5", 2, "features of 2 views are cached"),
        ("augment=crop,epochs=20,views=auto", 8, "features of 8 views are cached"),
        ("augment=crop,epochs=20,views=fresh", None, "views=fresh augments again in every epoch"),
    ],
)
def test_plan_caches_views_by_option_augmentation_and_epochs(options, views, reason):
    (planned,) = plan(f"feature_extraction:{options}").phases
    assert planned.views.cached == views and planned.reason.startswith(reason)
    assert planned.boundary == "features" and planned.features.views == planned.views


def test_plan_with_features_beyond_the_budget_caches_none(monkeypatch):
    monkeypatch.setattr(phase_plan, "memory_budget", lambda: 1000)
    (planned,) = plan("feature_extraction:augment=none").phases
    assert planned.views.fresh
    assert "available in memory, so the frozen layers run in every epoch" in planned.reason


def test_plan_where_the_first_stage_trains_has_no_frozen_layers():
    (planned,) = plan("scratch").phases
    assert planned.boundary == "input" and planned.views.fresh
    assert "nothing can be cached" in planned.reason


def test_plan_boundary_is_below_the_lowest_trained_block():
    head, tune = plan("fine_tune:unfreeze=1").phases
    assert head.boundary == "features"
    assert tune.boundary == f"stage{len(tune.rates) - 2}"
    assert [block for block, rate in tune.rates.items() if rate] == [list(tune.rates)[-2], "head"]


def test_plan_resolves_the_experiment():
    found = plan("fine_tune:unfreeze=1", epochs=6)
    assert found.experiment.recipe == found.recipe and found.experiment.precision == "float32"
    assert sum(phase.epochs for phase in found.recipe.phases) == 6
    assert {phase.augment for phase in found.recipe.phases} != {"auto"}


def test_plan_prints_data_settings_warnings_blocks_and_phases():
    found = plan("fine_tune:unfreeze=1", batch_size=200)
    assert [setting.name for setting in found.auto_settings] == ["precision", "xla", "batch_size"]
    lines = str(found).splitlines()
    assert lines[0].startswith("data      58 train, 6 val, 16 test; single_label, 2 classes")
    assert [line.split()[0] for line in lines[1:4]] == ["modality", "problem", "classes"]
    assert lines[4].startswith("backbone  small_cnn")
    assert lines[5].startswith("auto      precision float32: the safe value on a ")
    assert any(line.startswith("warning   the backbone has random weights") for line in lines)
    (header,) = [line for line in lines if line.startswith("block ")]
    assert header.split() == ["block", "parameters", "head", "tune"]
    assert any(
        line.startswith("phase 2  tune: CrossEntropy; adamw, peak learning") for line in lines
    )
    assert any(line.strip().startswith("frozen layers up to stage") for line in lines)


def test_plan_prints_phases_without_optimizer_steps():
    lines = str(plan("few_shot:solve=ridge")).splitlines()
    assert "phase 1  ridge: no optimizer steps; solves for the head on frozen features" in lines


def test_plan_in_a_notebook_shows_settings_phases_and_blocks():
    found = plan("fine_tune:unfreeze=1,head_epochs=2,epochs=3")
    html = found._repr_html_()
    assert html.count("<table>") == 3 and "<caption>Plan: fine_tune</caption>" in html
    assert "<td>warning 1</td>" in html and "<td>stage3, head</td>" in html
    rows = found._rows()
    assert [row["block"] for row in rows] == ["stage1", "stage2", "stage3", "head"]
    assert [row["head"] for row in rows] == [0.0, 0.0, 0.0, 1.0]
    assert rows[2]["tune"] > 0 and rows[0]["tune"] == 0


def test_plan_with_cached_features_of_the_runs_start():
    found = plan("feature_extraction:augment=crop,epochs=20")
    assert found.cached_features == [{"boundary": "features", "cached_views": 8}]
    stored = [{"boundary": "stage1", "cached_views": None}]
    (planned,) = found.with_cached_features(stored).phases
    assert planned.boundary == "stage1" and planned.views.fresh
    assert planned.views == replace(found.phases[0].views, cached=None)


@pytest.mark.parametrize("option", ["optimizer=adamm", "solve=rigde"])
def test_plan_with_an_unknown_optimizer_or_solver_is_an_error(option):
    with pytest.raises(UserError, match=option.partition("=")[2]):
        plan(f"feature_extraction:{option}")


def test_without_target_removes_its_losses_and_freezes_the_discriminator():
    found = plan("deep_transfer+dann", target_data=IMAGES[:20])
    (planned,) = found.phases
    assert planned.rates["domain"] and "target" in planned.streams
    alone = phase_plan.without_target(planned, found.network)
    assert not alone.rates["domain"] and alone.streams == ("train",)
    assert alone.phase.name == "deep_transfer without the target"
    assert [type(loss).__name__ for loss in alone.phase.losses] == ["CrossEntropy"]
    adda = plan("scratch+adda", target_data=IMAGES[:20])
    assert phase_plan.without_target(adda.phases[1], adda.network) is None


def test_estimate_has_a_line_per_phase_and_a_total():
    found = plan("fine_tune:unfreeze=1+adabn", target_data=IMAGES[:20])
    lines = estimate(found.network, found.examples, found.phases)
    assert [line.split()[1].rstrip(":") for line in lines[:3]] == ["head", "tune", "adabn"]
    assert lines[2].endswith("frozen layers 0 s, training at most 0 s")
    assert lines[3].startswith("cost      about ") and "random images" in lines[3]


def test_check_disk_space_compares_with_what_the_run_writes(tmp_path):
    found = plan("fine_tune:unfreeze=1")
    needed = run_bytes(found.network, found.phases, found.examples)
    weights = 4 * sum(found.network.parameters(block) for block in found.network.blocks)
    assert needed > 4 * weights
    check_disk_space(tmp_path, needed)
    with pytest.raises(UserError, match="MiB free"):
        check_disk_space(tmp_path / "new", 1 << 60)
