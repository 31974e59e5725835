"""From a plan to a finished run: baselines, training, evaluation, export, report."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tftransfer import __version__
from tftransfer.backbones.cache import process_backbone_cache
from tftransfer.checkpoints import weights
from tftransfer.core.experiment import Experiment
from tftransfer.core.serialization import read_json, to_jsonable, write_json
from tftransfer.data.examples import Examples, write_quarantine
from tftransfer.evaluation.evaluate import baselines, evaluate_logits
from tftransfer.features.disk_cache import DEFAULT_BYTES
from tftransfer.features.shared_cache import SharedCaches
from tftransfer.models.network import FEATURES
from tftransfer.planning.plan import Plan, make_plan
from tftransfer.planning.preflight import check_room, preflight
from tftransfer.preprocessing import get_modality
from tftransfer.probes.layer_probes import probe_sampled_layers
from tftransfer.reports.report import write_report
from tftransfer.reports.verdict import verdict
from tftransfer.runs.run import Run, environment, write_predictions
from tftransfer.serving.saved_model import export_network
from tftransfer.training.trainer import Trainer
from tftransfer.utils import signals
from tftransfer.utils.errors import UserError
from tftransfer.utils.files import locked
from tftransfer.utils.timing import Clock

LOGGER = logging.getLogger(__name__)

# What a resumed run must have in common with its start, to end in the same weights.
_FINGERPRINT = {
    "data_sha256": "data",
    "classes": "classes",
    "start_sha256": "starting weights",
    "tftransfer": "tftransfer",
    "tensorflow": "TensorFlow",
    "keras": "Keras",
    "numpy": "NumPy",
    "machine": "processor",
    "cpus": "number of CPUs",
    "intra_op_threads": "intra-op threads",
    "inter_op_threads": "inter-op threads",
    "devices": "devices",
    "xla": "XLA",
    "deterministic": "determinism",
    "teachers_sha256": "teachers",
}
# Calls of the compiled step: the first traces it, and a trace of many is large.
_PROFILED = (2, 20)


def train(
    experiment: Experiment,
    workdir: str | Path,
    *,
    examples: Examples | None = None,
    resume: bool = False,
    callbacks: Iterable[Any] = (),
    strategy: Any = None,
    export: bool = True,
    profile: bool = False,
    cache_dir: str = "",
    cache_bytes: int = DEFAULT_BYTES,
    shared: SharedCaches | None = None,
) -> Run:
    """Runs an experiment into a folder.

    Args:
      experiment: what to do.
      workdir: a new or empty folder, or that of the same experiment, interrupted or finished.
      examples: of the experiment, when they were read and split already.
      resume: a run must be there to go on with; without it, one that is there is gone on with.
      callbacks: Keras callbacks, besides TensorBoard's.
      strategy: of `tf.distribute`.
      export: publish a SavedModel at the end.
      profile: write a trace of training steps into `tensorboard/`.
      cache_dir: where features, downloads and unpacked archives are kept for later runs; empty
        means `$TFTRANSFER_CACHE`, else the user's cache folder.
      cache_bytes: that the cache may take; 0 keeps features in memory, for this run.
      shared: with other runs on the same `examples`.

    Raises:
      UserError: what the user can mend.
      Stopped: a signal asked for it; the same call goes on from there.
    """
    callbacks = list(callbacks)
    with contextlib.ExitStack() as stack:
        # A callback may keep the model, which a later training must not change then.
        if shared is None and not callbacks:
            shared = SharedCaches(stack.enter_context(process_backbone_cache()))
        stack.enter_context(signals.handle_stop_signals())
        folder = Path(workdir).expanduser()
        preflight(experiment, folder)
        lock = functools.partial(_lock, stack, folder)
        if there := folder.is_dir():
            lock()
        return _train(
            experiment,
            workdir,
            examples=examples,
            resume=resume,
            callbacks=callbacks,
            strategy=strategy,
            export=export,
            profile=profile,
            cache_dir=cache_dir,
            cache_bytes=cache_bytes,
            shared=shared or SharedCaches(),
            lock=(lambda: None) if there else lock,
        )


def _lock(stack: contextlib.ExitStack, workdir: Path) -> None:
    """Of a run's folder, until the stack ends; a new one is not made before the data are read.

    Raises:
      UserError: another process trains in it.
    """
    if not stack.enter_context(locked(workdir / ".lock", wait=False)):
        raise UserError(
            f"Another process is at work in --workdir={workdir}.",
            "Wait for it or stop it, or give another --workdir.",
        )


def _train(
    experiment: Experiment,
    workdir: str | Path,
    *,
    examples: Examples | None,
    resume: bool,
    callbacks: list[Any],
    strategy: Any,
    export: bool,
    profile: bool,
    cache_dir: str,
    cache_bytes: int,
    shared: SharedCaches,
    lock: Callable[[], None],
) -> Run:
    clock = Clock()
    strategy = strategy or tf.distribute.get_strategy()
    with clock.measure("planning"), strategy.scope():
        plan = make_plan(
            experiment,
            examples=examples,
            cache_dir=cache_dir,
            cache_bytes=cache_bytes,
            clock=clock,
            shared=shared,
        )
    run = Run(Path(workdir))
    check_room(plan, run.workdir)
    stored = to_jsonable(plan.experiment.without_memory())
    there = run.start({"experiment": stored}, resume=resume)
    lock()
    if there:
        if run.finished:
            LOGGER.info(f"{run.workdir} is finished already; for another, give another --workdir")
            return run
        LOGGER.info(f"{run.workdir} holds this run, unfinished: it goes on")
        plan = _as_started(run, plan)
    _write_inputs(run, plan)
    LOGGER.info(str(plan))
    board = keras.callbacks.TensorBoard(
        str(run.workdir / "tensorboard"),
        write_graph=False,
        profile_batch=_PROFILED if profile else 0,
    )
    trainer = Trainer(plan, run, callbacks=[board, *callbacks], strategy=strategy)
    signals.call_before_forced_exit(trainer.saver.keep)
    try:
        with clock.measure("baselines"):
            before = _before(plan, trainer)
        with clock.measure("training"):
            phases = trainer.fit()
        result = _finish(run, plan, trainer, before | {"phases": phases}, export=export)
    except BaseException:
        with contextlib.suppress(Exception):  # the first error is the one to tell
            trainer.close()
        raise
    trainer.close()
    with clock.measure("report"):
        write_report(run, to_jsonable(result | {"seconds": clock.rounded()}))
    # The last file: with it the run counts as finished.
    write_json(run.workdir / "result.json", result | {"seconds": clock.rounded()})
    run.forget_phases()
    for line in result["verdict"]:
        LOGGER.info(line)
    LOGGER.info(f"report: {run.workdir / 'report.md'}")
    return run


def _before(plan: Plan, trainer: Trainer) -> dict[str, Any]:
    """What is known before training: `baselines`, and `layer_probes` for some modalities."""
    network, known = plan.network, plan.shared.before
    probe = network.backbone.pretrained
    probes_layers = probe and get_modality(plan.examples.modality).middle_layers_matter
    split = (plan.experiment.seed, *plan.examples.groups) if probes_layers else ()
    key = (network.digest(network.blocks_below(FEATURES)), plan.examples.digest(), *split)
    stored = trainer.extractor.values_file("before", *key, version("scikit-learn"), __version__)
    if key not in known and stored and stored.is_file():
        with contextlib.suppress(OSError, UserError):
            known[key] = read_json(stored)
    if key not in known:
        known[key] = {
            "baselines": baselines(trainer.extractor.features, plan.examples, probe=probe)
        }
        if probes_layers:
            known[key]["layer_probes"] = probe_sampled_layers(
                network, plan.examples, plan.experiment.seed
            )
        if stored:
            write_json(stored, known[key])
    return known[key]


def _as_started(run: Run, plan: Plan) -> Plan:
    """The plan with the stored prefixes of the run's start, whatever memory is free now.

    Raises:
      UserError: data, starting weights, versions or machine are not those the run began with.
    """
    path = run.workdir / "environment.json"
    if not path.is_file():  # it ended before anything was computed
        return plan
    stored, now = read_json(path), environment() | _inputs(plan)
    differences = [
        what if key.endswith("sha256") else f"{what} ({stored.get(key)} then, {now[key]} now)"
        for key, what in _FINGERPRINT.items()
        if stored.get(key) != to_jsonable(now[key])
    ]
    if differences:
        raise UserError(
            f"The run in {run.workdir} began with other {'; other '.join(differences)}.",
            "Put that back, for the same result, or start again in another --workdir.",
        )
    phases = [
        replace(phase, boundary=boundary, views=views)
        for phase, (boundary, views) in zip(plan.phases, stored["prefixes"], strict=True)
    ]
    return replace(plan, phases=tuple(phases))


def _inputs(plan: Plan) -> dict[str, Any]:
    return {
        "data_sha256": plan.examples.digest(),
        "classes": list(plan.examples.classes),
        "weights": plan.network.backbone.weights,
        "weights_file_sha256": plan.network.backbone.weights_sha256,
        "start_sha256": plan.network.digest(plan.network.blocks),
        "prefixes": [(phase.boundary, phase.views) for phase in plan.phases],
        "teachers_sha256": [t.network.digest(t.network.blocks) for t in plan.teachers],
        "xla": plan.xla,
        "choices": plan.choices,
    }


def _write_inputs(run: Run, plan: Plan) -> None:
    examples = plan.examples
    for name, content in plan.network.backbone.assets.items():
        (run.workdir / "assets").mkdir(exist_ok=True)
        (run.workdir / "assets" / name).write_bytes(content)
    write_json(run.workdir / "environment.json", environment() | _inputs(plan))
    rows = zip(examples.names, examples.splits.tolist(), examples.labels.tolist(), examples.sha256)
    write_json(
        run.workdir / "split.json",
        {
            "problem_type": examples.problem_type,
            "classes": examples.classes,
            "columns": ["name", "split", "label", "sha256"],
            "examples": list(rows),
        },
    )
    write_quarantine(run.workdir / "quarantine.csv", examples.quarantine)


def _finish(
    run: Run, plan: Plan, trainer: Trainer, done: dict[str, Any], *, export: bool
) -> dict[str, Any]:
    network, examples, clock = plan.network, plan.examples, plan.clock
    with clock.measure("evaluation"):
        result = evaluate_logits(trainer.logits, examples, seed=plan.experiment.seed)
    write_predictions(run.predictions, result.pop("predictions"))
    result |= {
        "architecture": network.backbone.architecture,
        "backbone": network.backbone.name,
        "quarantined": len(examples.quarantine),
        "recipe": plan.recipe.name,
        **done,
        "classes": examples.classes,
        "problem_type": examples.problem_type,
        "weights_sha256": network.digest(network.blocks),
        "modality": examples.modality,
    }
    result["verdict"] = verdict(result, examples, plan.recipe.name)
    weights.store(run.weights, weights.collect(network.blocks))
    if export:
        with clock.measure("export"):
            result["export"] = export_network(
                network, examples, run.export, temperature=result["temperature"]
            )
        LOGGER.info(
            f"exported to {run.export}: scores equal the network's within "
            f"{result['export']['max_difference']:.1g} on {result['export']['examples']} "
            f"{get_modality(examples.modality).plural}"
        )
    return result
