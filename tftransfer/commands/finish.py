"""The end of a run: result and weights first, then what can be made again from them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from tftransfer.checkpoints import weights
from tftransfer.core.run_files import RESULT
from tftransfer.core.serialization import to_jsonable, write_json
from tftransfer.data.understanding import understood
from tftransfer.evaluation.evaluate import evaluate_logits
from tftransfer.planning.plan import Plan
from tftransfer.preprocessing import get_modality
from tftransfer.reports.commands import Commands
from tftransfer.reports.report import write_report
from tftransfer.reports.verdict import verdict
from tftransfer.serving.saved_model import export_network
from tftransfer.training.trainer import Trainer
from tftransfer.utils.errors import UserError
from tftransfer.workdir.run_folder import RunFolder, write_predictions

LOGGER = logging.getLogger(__name__)


def finish(
    folder: RunFolder, plan: Plan, trainer: Trainer, measured: dict[str, Any], *, export: bool
) -> None:
    """Evaluates a trained network, and writes all that a finished run holds.

    Weights and `result.json`, which marks the run finished, are written before everything else. If
    the export or the report fails, that is reported and stored in the result as `failed`.

    Args:
      folder: Folder of the run.
      plan: Plan of the run.
      trainer: Trainer of the run, whose phases are finished.
      measured: Baselines and phases, for the result.
      export: Whether to export a SavedModel.
    """
    commands = Commands(
        experiment=plan.experiment, workdir=folder.workdir, recipe=plan.given_recipe
    )
    with plan.clock.measure("evaluation"):
        result = _evaluated(plan, trainer, measured)
    predictions = result.pop("predictions")
    weights.write(folder.weights, weights.collect(plan.network.blocks))
    write_predictions(folder.predictions, predictions)
    failed: dict[str, str] = {}
    with _repeatable("verdict", commands.report(), failed):
        result["verdict"] = verdict(result, plan.examples, plan.given_recipe, commands)
    _write_result(folder, plan, result, failed)
    folder.delete_phase_weights()
    if export:
        with _repeatable("export", commands.export(), failed), plan.clock.measure("export"):
            result["export"] = _export(folder, plan, result["temperature"])
    with _repeatable("report", commands.report(), failed), plan.clock.measure("report"):
        write_report(folder, to_jsonable(result | {"seconds": plan.clock.rounded()}))
    with contextlib.suppress(OSError):  # the file is there; it lacks the last times
        _write_result(folder, plan, result, failed)
    for line in result["verdict"]:
        LOGGER.info(line)
    if folder.report.is_file():
        LOGGER.info(f"report: {folder.report}")


@contextlib.contextmanager
def _repeatable(what: str, command: str, failed: dict[str, str]) -> Iterator[None]:
    """Reports an exception instead of raising it, with the command that makes `what` again."""
    try:
        yield
    except Exception as error:  # whatever it is, the trained network must not be lost
        reason = error.what if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        failed[what] = reason
        LOGGER.warning(
            f"The {what} could not be made: {reason}\nThe run is finished. To try again: {command}"
        )
        LOGGER.debug("traceback", exc_info=True)


def _write_result(
    folder: RunFolder, plan: Plan, result: dict[str, Any], failed: dict[str, str]
) -> None:
    seconds = plan.clock.rounded()
    more = {"failed": failed} if failed else {}
    write_json(folder.workdir / RESULT, result | {"seconds": seconds} | more)


def _evaluated(plan: Plan, trainer: Trainer, measured: dict[str, Any]) -> dict[str, Any]:
    """Returns the content of `result.json` that is known before verdict and export."""
    network, examples = plan.network, plan.examples
    return {
        **evaluate_logits(trainer.logits, examples, seed=plan.experiment.seed),
        "architecture": network.backbone.architecture,
        "backbone": network.backbone.name,
        "quarantined": len(examples.quarantine),
        "data": [*map(list, understood(examples)), *(["note", text] for text in plan.warnings)],
        "recipe": plan.recipe.name,
        **measured,
        "classes": examples.classes,
        "problem_type": examples.problem_type,
        "weights_sha256": network.digest(network.blocks),
        "modality": examples.modality,
        "verdict": [],
    }


def _export(folder: RunFolder, plan: Plan, temperature: float) -> dict[str, Any]:
    """Exports a SavedModel; returns how it was checked."""
    report = export_network(plan.network, plan.examples, folder.export_dir, temperature=temperature)
    LOGGER.info(
        f"exported to {folder.export_dir}: scores equal the network's within "
        f"{report['max_difference']:.1g} on {report['examples']} "
        f"{get_modality(plan.examples.modality).plural}"
    )
    return {name: value for name, value in report.items() if name != "folder"}
