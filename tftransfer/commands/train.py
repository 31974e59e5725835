"""`tftransfer.train`: from an experiment to a finished run."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tftransfer.backbones.cache import process_backbone_cache
from tftransfer.commands.before_training import measure_before_training
from tftransfer.commands.finish import finish
from tftransfer.commands.resume import as_started, write_inputs
from tftransfer.core.experiment import Experiment
from tftransfer.core.serialization import to_jsonable
from tftransfer.core.typing import PathLike
from tftransfer.data.examples import Examples
from tftransfer.features.disk_cache import DEFAULT_CACHE_BYTES
from tftransfer.features.shared_cache import SharedCaches
from tftransfer.planning.make_plan import make_plan
from tftransfer.planning.plan import Plan
from tftransfer.planning.preflight import check_disk_space, preflight, run_bytes
from tftransfer.reports.commands import Commands
from tftransfer.reports.facts import Facts
from tftransfer.reports.training_issues import mirrored_classes
from tftransfer.runs.run import Run
from tftransfer.training.trainer import Trainer
from tftransfer.utils import signals
from tftransfer.utils.errors import UserError
from tftransfer.utils.files import locked
from tftransfer.utils.progress import waiting
from tftransfer.utils.timing import Clock
from tftransfer.workdir.overwrite import check_deletable, delete_run
from tftransfer.workdir.run_folder import RunFolder

LOGGER = logging.getLogger(__name__)

# The first call of the compiled step traces it; a profile of many steps is a large file.
_FIRST_PROFILED_STEP = 2
_LAST_PROFILED_STEP = 20


def train(
    experiment: Experiment,
    workdir: PathLike,
    *,
    examples: Examples | None = None,
    resume: bool = False,
    overwrite: bool = False,
    callbacks: Iterable[keras.callbacks.Callback] = (),
    strategy: tf.distribute.Strategy | None = None,
    export: bool = True,
    profile: bool = False,
    cache_dir: str = "",
    cache_bytes: int = DEFAULT_CACHE_BYTES,
    shared: SharedCaches | None = None,
) -> Run:
    """Trains, evaluates and exports an experiment, and writes a report.

    An interrupted run is resumed by the same call, and ends in the same weights. A finished one is
    returned as it is.

    Args:
      experiment: Data, backbone, recipe, sizes and seed.
      workdir: A new or empty folder, or that of the same experiment, interrupted or finished.
      examples: The examples of the experiment, if they are read and split already.
      resume: Whether the folder must hold an interrupted run; without it one is resumed if it is
        there.
      overwrite: Whether to delete the run in the folder first. Only files of a run are deleted; a
        folder with other files is an error.
      callbacks: Keras callbacks, in addition to the one for TensorBoard.
      strategy: A `tf.distribute.Strategy`; None for the current one.
      export: Whether to export a SavedModel at the end.
      profile: Whether to write a trace of some training steps into `tensorboard/`.
      cache_dir: Folder where features, downloads and unpacked archives are kept for later runs;
        empty for `$TFTRANSFER_CACHE`, or else the cache folder of the user.
      cache_bytes: Size limit of the cache in bytes; 0 keeps features in memory, for this run.
      shared: Backbones and features shared with other runs on the same `examples`.

    Returns:
      The finished run.

    Raises:
      UserError: If the experiment cannot be run; the message holds what to change.
      Stopped: If a signal requested it; the same call resumes the run.

    Example:
      >>> import tempfile
      >>> from sklearn.datasets import load_digits
      >>> import tftransfer
      >>> digits = load_digits()
      >>> images, labels = digits.images / 16, digits.target
      >>> experiment = tftransfer.Experiment(
      ...     data=(images[:200], labels[:200]), backbone="small_cnn", weights="none",
      ...     recipe="few_shot",
      ... )
      >>> run = tftransfer.train(experiment, tempfile.mkdtemp(), export=False)
      >>> run.result["test"]["accuracy"] > 0.8
      True
    """
    callbacks = list(callbacks)
    with contextlib.ExitStack() as stack:
        # A callback may keep the model, which a later training must not change then.
        if shared is None and not callbacks:
            shared = SharedCaches(stack.enter_context(process_backbone_cache()))
        stack.enter_context(signals.handle_stop_signals())
        options = _TrainOptions(callbacks=callbacks, export=export, profile=profile)
        folder = RunFolder(Path(workdir))
        preflight(experiment, folder.workdir)
        lock = _Lock(stack, folder.workdir)
        if folder.workdir.is_dir():  # a new folder is made after the data are read
            lock.acquire()
        if overwrite:
            _check_overwrite(folder, resume)
        clock, strategy = Clock(), strategy or tf.distribute.get_strategy()
        with clock.measure("planning"), strategy.scope():
            plan = make_plan(
                experiment,
                examples=examples,
                cache_dir=cache_dir,
                cache_bytes=cache_bytes,
                clock=clock,
                shared=shared or SharedCaches(),
            )
        needed_bytes = run_bytes(plan.network, plan.phases, plan.examples)
        check_disk_space(folder.workdir, needed_bytes)
        if overwrite:
            _delete_old_run(folder, plan)
        exists = folder.start(
            {"experiment": to_jsonable(plan.experiment.without_memory())}, resume=resume
        )
        lock.acquire()
        if exists and folder.finished:
            _log_finished(folder, plan, export)
        else:
            _run_plan(folder, _resumed(folder, plan) if exists else plan, strategy, options)
        return Run(folder.workdir)


@dataclass(frozen=True, kw_only=True)
class _TrainOptions:
    """Options of a run that do not change its weights."""

    callbacks: list[keras.callbacks.Callback]
    export: bool
    profile: bool


class _Lock:
    """The lock of a run's folder, held until the stack ends."""

    def __init__(self, stack: contextlib.ExitStack, workdir: Path):
        self._stack, self._workdir = stack, workdir
        self._held = False

    def acquire(self) -> None:
        """Acquires the lock, unless it is held already.

        Raises:
          UserError: If another process trains in the folder.
        """
        if self._held:
            return
        self._held = self._stack.enter_context(locked(self._workdir / ".lock", wait=False))
        if not self._held:
            raise UserError(
                f"Another process is using --workdir={self._workdir}.",
                "Wait for it or stop it, or give another --workdir.",
            )


def _check_overwrite(folder: RunFolder, resume: bool) -> None:
    """Raises an error where the folder must not be deleted, before anything is computed."""
    if resume:
        raise UserError(
            "--resume and --overwrite exclude each other.", "Give one of them, or neither."
        )
    check_deletable(folder.workdir)


def _delete_old_run(folder: RunFolder, plan: Plan) -> None:
    """Deletes the run in the folder, unless the new run reads it."""
    experiment = plan.experiment
    for source in (experiment.backbone_name, experiment.weights, *plan.recipe.teachers):
        path = Path(source.partition(":")[0]).expanduser()
        if path.exists() and path.resolve().is_relative_to(folder.workdir.resolve()):
            raise UserError(
                f"The new run reads {source}, which --overwrite would delete.",
                "Give another --workdir.",
            )
    delete_run(folder.workdir)


def _resumed(folder: RunFolder, plan: Plan) -> Plan:
    LOGGER.info(f"resuming the unfinished run in {folder.workdir}")
    return as_started(folder, plan)


def _log_finished(folder: RunFolder, plan: Plan, export: bool) -> None:
    """Reports that the run is finished, and how to make what it lacks."""
    LOGGER.info(f"{folder.workdir} is finished already; give another --workdir, or --overwrite")
    commands = _commands(folder, plan)
    if not folder.report.is_file():
        LOGGER.info(f"it has no report; to write it: {commands.report()}")
    if export and not folder.export_dir.is_dir():
        LOGGER.info(f"it has no export; to write it: {commands.export()}")


def _run_plan(
    folder: RunFolder, plan: Plan, strategy: tf.distribute.Strategy, options: _TrainOptions
) -> None:
    """Trains, evaluates, exports and reports."""
    clock = plan.clock
    write_inputs(folder, plan)
    LOGGER.info(str(plan))
    callbacks = [_tensorboard(folder, options.profile), *options.callbacks]
    trainer = Trainer(plan, folder, callbacks=callbacks, strategy=strategy)
    signals.call_before_forced_exit(trainer.saver.keep)
    try:
        with clock.measure("baselines"), waiting("measuring baselines"):
            measured = measure_before_training(plan, trainer)
        _warn_of_mirroring(folder, plan, measured)
        with clock.measure("training"):
            phases = trainer.fit()
        finish(folder, plan, trainer, measured | {"phases": phases}, export=options.export)
    except BaseException:
        with contextlib.suppress(Exception):  # the first error is the one to report
            trainer.close()
        raise
    trainer.close()


def _commands(folder: RunFolder, plan: Plan) -> Commands:
    return Commands(experiment=plan.experiment, workdir=folder.workdir, recipe=plan.given_recipe)


def _warn_of_mirroring(folder: RunFolder, plan: Plan, measured: dict[str, Any]) -> None:
    """Warns before training if augmentation mirrors classes such as left and right."""
    facts = Facts(
        result=measured,
        examples=plan.examples,
        recipe=plan.given_recipe,
        commands=_commands(folder, plan),
    )
    for issue in mirrored_classes(facts):
        LOGGER.warning(f"warning   {issue.text}; {issue.step}")


def _tensorboard(folder: RunFolder, profile: bool) -> keras.callbacks.Callback:
    return keras.callbacks.TensorBoard(
        str(folder.workdir / "tensorboard"),
        write_graph=False,
        profile_batch=(_FIRST_PROFILED_STEP, _LAST_PROFILED_STEP) if profile else 0,
    )
