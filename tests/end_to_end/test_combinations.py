"""Random combinations of a recipe with two or three methods train, are stored and are loaded."""

import json
import os
import random
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from sklearn.datasets import load_digits

import tftransfer
from tftransfer import losses
from tftransfer.core.recipe import Head
from tftransfer.core.serialization import from_jsonable, to_jsonable
from tftransfer.recipes import METHODS, RECIPES, make_recipe

BASES = {
    "scratch": "",
    "feature_extraction": "",
    "fine_tune": ":unfreeze=2",
    "gradual_unfreezing": ":unfreeze=2",
    "deep_transfer": ":keep=2",
    "few_shot": "",
}
OPTIONS = {
    "l2_sp": "",
    "delta": "",
    "bss": "",
    "lwf": "",
    "lora": ":rank=2",
    "wise_ft": "",
    "distill": ":teacher={teacher}",
    "distill_features": ":teacher={teacher}",
    "dann": "",
    "cdan": "",
    "mmd": "",
    "ddc": "",
    "coral": "",
    "entropy": "",
    "adda": ":epochs=1",
    "adabn": "",
    "reweight": "",
    "fixmatch": "",
    "simclr": ":pretrain_epochs=1",
    "simsiam": ":pretrain_epochs=1",
    "autoencoder": ":pretrain_epochs=1,noise=1",
    "vae": ":pretrain_epochs=1",
    "episodic": ":episodic_epochs=1",
    "setfit": ":pair_epochs=1",
}
# They need several label columns: see test_multi_task.py.
TESTED_ELSEWHERE = {"multi_task"}
# Errors of methods that exclude each other.
ERRORS = ("each need a different head", "no phase that trains on labels", "No stage trains")
QUICK_COUNT, COUNT = 2, 30
FIXED = (
    "gradual_unfreezing:unfreeze=2+dann+l2_sp",
    "fine_tune:unfreeze=2+lora:rank=2+distill:teacher={teacher},unlabelled=1",
)
# Together they have every loss except that of several tasks.
WHOLE = "deep_transfer:keep=3,frozen=0,augment=none,batch_norm=frozen"
WITH_EVERY_LOSS = (
    f"{WHOLE}+dann+l2_sp+delta",
    f"{WHOLE}+cdan+entropy+bss",
    f"{WHOLE}+mmd+coral+ddc",
    f"{WHOLE}+lwf+lora:rank=2+distill:teacher={{teacher}}",
    f"{WHOLE}+distill_features:teacher={{teacher}}+fixmatch",
    f"{WHOLE}+simclr:pretrain_epochs=1",
    f"{WHOLE}+simsiam:pretrain_epochs=1",
    f"{WHOLE}+vae:pretrain_epochs=1",
    "few_shot+episodic:episodic_epochs=1",
    "few_shot+setfit:pair_epochs=1",
)


def with_options(name):
    return name + (BASES | OPTIONS)[name]


def is_valid(spec):
    try:
        make_recipe(spec, stages=3)
    except tftransfer.UserError as error:
        assert any(text in str(error) for text in ERRORS), error
        return False
    return True


def random_combinations():
    """Different combinations, in which every recipe and every method occurs."""
    rng, found = random.Random(2), []
    bases, methods = [], []
    while len(found) < COUNT:
        bases = bases or rng.sample(sorted(BASES), len(BASES))
        methods = methods if len(methods) >= 3 else rng.sample(sorted(OPTIONS), len(OPTIONS))
        count = rng.choice((2, 2, 3))
        spec = "+".join(map(with_options, (bases[-1], *methods[:count])))
        if spec not in found and is_valid(spec):
            found.append(spec)
            bases, methods = bases[:-1], methods[count:]
        else:
            rng.shuffle(methods)
            bases = bases[-1:] + bases[:-1]
            methods = methods if len(bases) > 1 else []
    return found


COMBINATIONS = random_combinations()


def test_combinations_have_every_recipe_and_method():
    ours = {name for name, make in RECIPES.items() if make.__module__.startswith("tftransfer.")}
    assert set(BASES) == ours
    assert {*OPTIONS, *TESTED_ELSEWHERE} == set(METHODS)
    named = {part.partition(":")[0] for spec in COMBINATIONS for part in spec.split("+")}
    missing = ({*ours, *METHODS} - TESTED_ELSEWHERE) - named
    assert not missing


def test_recipes_and_methods_use_every_loss_and_kind_of_head():
    recipes = [
        make_recipe(
            with_options(name) if name in BASES else f"fine_tune+{with_options(name)}",
            problem_type=problem_type,
        )
        for name in (*BASES, *OPTIONS)
        for problem_type in ("single_label", "multi_label", "regression")
    ]
    recipes.append(make_recipe("fine_tune+multi_task", problem_type="multi_task"))
    used = {type(loss).__name__ for r in recipes for phase in r.phases for loss in phase.losses}
    assert used == {info.name for info in losses.list_losses()}
    heads = [head for recipe in recipes for head in recipe.heads]
    assert {head.kind for head in heads} == {"dense", "decoder", "balance"}
    with pytest.raises(tftransfer.UserError, match="kind='unknown' is not an option"):
        Head(kind="unknown")


def images_of(first):
    """Eight images of each of the digits 5 to 9, and their labels."""
    every = load_digits()
    places = np.concatenate(
        [np.flatnonzero(every.target == c)[first : first + 8] for c in range(5, 10)]
    )
    images = np.round(every.images[places] / 16 * 255).astype(np.uint8)
    return images, every.target[places].astype(str)


def settings(source_run, recipe, **others):
    return tftransfer.Experiment(
        data=images_of(0),
        target_data=images_of(20)[0],
        unlabelled_data=images_of(40)[0],
        backbone=str(source_run.workdir),
        image_size=16,
        batch_size=16,
        recipe=recipe,
        **{"epochs": 1, "validation_fraction": 0.2, "test_fraction": 0.2, **others},
    )


@pytest.fixture(scope="module")
def teacher_run(source_run, tmp_path_factory):
    experiment = settings(source_run, "feature_extraction:augment=none")
    return tftransfer.train(experiment, tmp_path_factory.mktemp("teacher"), export=False)


@pytest.mark.parametrize(
    "spec",
    [
        spec if k < QUICK_COUNT else pytest.param(spec, marks=pytest.mark.slow)
        for k, spec in enumerate((*COMBINATIONS, *FIXED))
    ],
)
def test_combination_trains_and_is_loaded(source_run, teacher_run, tmp_path, spec):
    recipe = spec.format(teacher=teacher_run.workdir)
    run = tftransfer.train(settings(source_run, recipe), tmp_path, export=False)
    assert all(np.isfinite(row["loss"]) for row in run.metrics())
    resolved = run.experiment.recipe
    assert from_jsonable(json.loads(json.dumps(to_jsonable(resolved)))) == resolved
    assert [phase.name for phase in resolved.phases] == [p["name"] for p in run.result["phases"]]
    for phase in run.result["phases"]:
        frozen = [block for block, rate in phase["rates"].items() if not rate]
        assert phase["frozen_verified"] == frozen
    data, tests = images_of(0), [row for row in run.split["examples"] if row[1] == "test"]
    places = [int(row[0].rpartition("#")[2]) for row in tests]
    evaluated = tftransfer.evaluate(tmp_path, (data[0][places], data[1][places])).metrics
    assert evaluated["log_loss"] == pytest.approx(run.result["test"]["log_loss"], abs=1e-4)


def test_recipes_for_xla_and_replicas_have_every_loss():
    recipes = [make_recipe(spec.format(teacher="x"), stages=3) for spec in WITH_EVERY_LOSS]
    used = {type(loss).__name__ for r in recipes for phase in r.phases for loss in phase.losses}
    others = {"MultiTask", "BinaryCrossEntropy", "SquaredError"}
    assert used | others == {info.name for info in losses.list_losses()}


@pytest.mark.slow
@pytest.mark.parametrize("spec", WITH_EVERY_LOSS)
def test_xla_losses_equal_those_without_xla(source_run, teacher_run, tmp_path, spec):
    recipe = spec.format(teacher=teacher_run.workdir)
    with_xla, without_xla = (
        tftransfer.train(settings(source_run, recipe, xla=xla), tmp_path / xla, export=False)
        for xla in ("on", "off")
    )
    losses_of = [[row["loss"] for row in run.metrics()] for run in (with_xla, without_xla)]
    # XLA draws other random numbers, which only the step of the VAE has.
    assert losses_of[0] == pytest.approx(losses_of[1], rel=0.01 if "vae" in spec else 1e-3)


PROGRAM = textwrap.dedent(
    """
    import dataclasses, json, sys
    import numpy as np
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    import tftransfer

    data, target, source, count, folder, *recipes = sys.argv[1:]
    two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    losses = {}
    for number, name in enumerate(recipes):
        made = tftransfer.recipes.make_recipe(name, stages=3)
        sgd = lambda phase: dataclasses.replace(phase, optimizer="sgd", learning_rate=0.01)
        made = dataclasses.replace(made, phases=tuple(map(sgd, made.phases)))
        runs = [
            tftransfer.train(
                tftransfer.Experiment(data=data, target_data=target, unlabelled_data=f"{target}/0",
                    backbone=source, image_size=16, batch_size=16, labels_per_class=7,
                    validation_fraction=0.1, recipe=made),
                f"{folder}/{number}{strategy is None}", export=False, strategy=strategy)
            for strategy in (two, None)[: 1 + (number < int(count))]
        ]
        losses[name] = [[row["loss"] for row in run.metrics()] for run in runs]
    print(json.dumps(losses))
    """
)


@pytest.mark.slow
def test_two_replicas_have_the_losses_of_one(digits, source_run, tuned_run, tmp_path):
    """Losses that compare examples of a batch do so within each replica, so these only run."""
    base = "deep_transfer:keep=3,frozen=0,epochs=2,augment=none,batch_norm=frozen"
    recipes = [
        f"{base}+dann+l2_sp",
        f"{base}+distill:teacher={tuned_run.workdir}",
        f"{base}+delta",
        f"{base}+lora",
    ]
    count = len(recipes)
    recipes += [spec.format(teacher=tuned_run.workdir) for spec in WITH_EVERY_LOSS]
    arguments = [digits / "target", digits / "source", source_run.workdir, count, tmp_path]
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments), *recipes],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    measured = json.loads(process.stdout.splitlines()[-1])
    assert len(measured) == len(recipes)
    for name, (two, *one) in measured.items():
        assert np.isfinite(two).all() and two, name
        if one:
            assert two == pytest.approx(one[0], rel=1e-3), name
