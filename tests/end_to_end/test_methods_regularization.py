"""Methods that keep fine-tuning close to the source do so on real digits."""

import numpy as np
import pytest
from digit_runs import (
    NEW,
    TUNED,
    UNSEEN,
    check_error,
    divergence,
    network_inputs,
    network_of,
    outputs,
)

import tftransfer
from tftransfer.checkpoints import weights
from tftransfer.training import stepless_phases


def source_features(source_run, recipe_run):
    """Features of the unseen images by the stages of the source."""
    network = network_of(recipe_run(TUNED))
    stages = {stage: network.blocks[stage] for stage in ("stage1", "stage2", "stage3")}
    weights.assign_blocks(stages, weights.read(source_run.weights), source_run.weights)
    return network.predict(network_inputs(UNSEEN[0]))["features"].numpy()


def source_head(run):
    values = weights.read(run.weights)
    return [values[name] for name in sorted(values) if name.startswith("head/")]


def test_delta_keeps_features_near_the_source(recipe_run, source_run):
    source = source_features(source_run, recipe_run)
    free, held = (
        np.abs(outputs(recipe_run(recipe))["features"] - source).mean()
        for recipe in (TUNED, f"{TUNED}+delta:strength=10")
    )
    assert held < 0.7 * free


@pytest.mark.slow
def test_bss_reduces_the_smallest_singular_values(recipe_run):
    free, reduced = (
        np.linalg.svd(outputs(recipe_run(recipe), NEW[0])["features"], compute_uv=False)[-3:].mean()
        for recipe in (TUNED, f"{TUNED}+bss:strength=0.1,count=4")
    )
    assert reduced < 0.9 * free


def test_lwf_keeps_the_scores_of_the_source(recipe_run, source_run):
    kernel, bias = source_head(source_run)
    source = source_features(source_run, recipe_run) @ kernel + bias
    free = outputs(recipe_run(TUNED))["features"] @ kernel + bias
    held = outputs(recipe_run(f"{TUNED}+lwf:strength=5"))["source_logits"]
    assert divergence(source, held) < 0.5 * divergence(source, free)


@pytest.mark.slow
def test_lora_changes_kernels_by_its_rank_and_leaves_no_variables(recipe_run, source_run):
    run = recipe_run(f"{TUNED}+lora:rank=2")
    before, after = weights.read(source_run.weights), weights.read(run.weights)
    assert not [name for name in after if "lora" in name]
    assert set(after) == set(weights.read(recipe_run(TUNED).weights))
    for name, value in after.items():
        if name.startswith("head"):
            continue
        change = value - before[name]
        if name.endswith("kernel"):
            sizes = np.linalg.svd(change.reshape(-1, change.shape[-1]), compute_uv=False)
            assert sizes[0] > 1e-3, name
            assert np.all(sizes[2:] < 1e-4 * sizes[0]), name
        else:
            assert not change.any(), name
    evaluation = tftransfer.evaluate(run.workdir, NEW)
    assert np.isfinite(evaluation.metrics["log_loss"])


@pytest.mark.slow
def test_lora_with_l2_sp_penalizes_its_updates(recipe_run, source_run):
    before = weights.read(source_run.weights)
    free, held = (
        sum(
            float(((value - before[name]) ** 2).sum())
            for name, value in weights.read(recipe_run(recipe).weights).items()
            if name.startswith("stage") and name.endswith("kernel")
        )
        for recipe in (f"{TUNED}+lora:rank=2", f"{TUNED}+lora:rank=2+l2_sp:strength=1.0")
    )
    assert 0 < held < 0.7 * free


def test_wise_ft_selects_the_mix_of_the_lowest_loss(recipe_run, train_recipe, monkeypatch):
    """The ends of the curve are the networks before and after the last phase."""
    recipe = "fine_tune:head_epochs=2,epochs=2,unfreeze=1,augment=none+wise_ft"
    run = recipe_run(recipe)
    (curve,) = [phase["curve"] for phase in run.result["phases"] if "curve" in phase]
    assert [row["mix"] for row in curve] == pytest.approx(np.linspace(0, 1, 11))
    best = min(curve, key=lambda row: row["loss"])
    ends = [
        [row["val_log_loss"] for row in run.metrics() if row["phase"] == phase]
        for phase in ("head", "tune")
    ]
    assert [curve[0]["loss"], curve[-1]["loss"]] == pytest.approx([min(e) for e in ends], rel=1e-4)
    monkeypatch.setattr(stepless_phases, "_MIXES", [best["mix"]])
    again = train_recipe(recipe)
    assert again.result["weights_sha256"] == run.result["weights_sha256"]


def test_wise_ft_without_a_validation_split_is_an_error(train_recipe):
    check_error(train_recipe, "validation split", "wise_ft:epochs=1", validation_fraction=0.0)
