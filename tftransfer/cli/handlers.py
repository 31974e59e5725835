"""The functions of the commands that use TensorFlow: each makes one call and prints its result."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from absl import flags

from tftransfer import api
from tftransfer.cli.config import experiment_from
from tftransfer.cli.demo import DEFAULT_WORKDIR
from tftransfer.cli.demo import run_demo as demonstrate
from tftransfer.cli.errors import OK, USER_ERROR
from tftransfer.cli.parse import Arguments
from tftransfer.commands.compare import DEFAULT_RECIPES
from tftransfer.planning.cost import estimate
from tftransfer.runs.predictions import Prediction
from tftransfer.utils.console import console_handler, printable
from tftransfer.utils.errors import UserError

# Results go to stdout at any verbosity.
_print = functools.partial(print, flush=True)


def run_train(arguments: Arguments) -> None:
    """Trains an experiment, or prints its plan with --dry_run."""
    given = arguments.flags
    experiment = experiment_from(arguments.experiment)
    if given.dry_run:
        plan = api.plan(experiment, **_cache(given))
        cost = estimate(plan.network, plan.examples, plan.phases)
        _print("\n".join([str(plan), *cost, "dry run: nothing was trained"]))
        return
    api.train(
        experiment,
        _workdir(given),
        resume=given.resume,
        overwrite=given.overwrite,
        export=given.export,
        profile=given.profile,
        **_cache(given),
    )


def run_compare(arguments: Arguments) -> None:
    """Compares recipes and prints the table."""
    given = arguments.flags
    comparison = api.compare(
        experiment_from(arguments.experiment),
        _workdir(given),
        arguments.free or DEFAULT_RECIPES,
        resume=given.resume,
        overwrite=given.overwrite,
        export=given.export,
        **_cache(given),
    )
    _print(f"\n{comparison}\n{given.workdir}/comparison.md")


def run_evaluate(arguments: Arguments) -> None:
    """Evaluates a run and prints its metrics."""
    given, reading = arguments.flags, dict(arguments.experiment)
    data = reading.pop("data", None)
    _print(api.evaluate(_workdir(given), data, **reading, **_cache(given)))


def run_predict(arguments: Arguments) -> int:
    """Prints a line per example: name, label and score, or what is wrong with it, tab-separated."""
    if not arguments.free:
        raise UserError(
            "No files were given.", "Write them after the flags: tftransfer predict ... a.jpg b/"
        )
    failed = False
    # Programs read the results from stdout, so messages go to stderr.
    console_handler().stream_name = "stderr"
    inputs = list(_inputs(arguments.free))
    for row in api.predict(_workdir(arguments.flags), inputs, **arguments.experiment):
        failed |= "error" in row
        _print(f"{printable(row['name'])}\t{_prediction(row)}")
    return USER_ERROR if failed else OK


def _inputs(words: Iterable[str]) -> Iterator[Path | bytes]:
    """Yields paths; for `-`, each line of the standard input, as a text."""
    for word in words:
        if word == "-":
            yield from (line.rstrip(b"\r\n") for line in sys.stdin.buffer)
        else:
            yield Path(word)


def _prediction(row: Prediction) -> str:
    if "error" in row:
        return f"-\t{row['error']}"
    if "label" in row:
        return f"{row['label']}\t{row['scores'][row['label']]:.4f}"
    by_task = isinstance(row.get("labels"), dict)
    values = row["labels"] if by_task else row.get("values", row.get("scores"))
    return json.dumps(values, ensure_ascii=False)


def run_export(arguments: Arguments) -> None:
    """Exports a run and prints the result of the comparison with its network."""
    given, reading = arguments.flags, dict(arguments.experiment)
    data = reading.pop("data", None)
    report = api.export(_workdir(given), given.folder or None, data, **reading, **_cache(given))
    _print(
        f"exported to {report['folder']}: its scores differ from the network's by at most "
        f"{report['max_difference']:.1g} on {report['examples']} examples"
    )


def run_report(arguments: Arguments) -> None:
    """Writes the report of a run again and prints its file."""
    _print(f"report: {api.report(_workdir(arguments.flags))}")


def run_episodes(arguments: Arguments) -> None:
    """Prints the accuracy over few-shot episodes."""
    given = arguments.flags
    _print(
        api.episodes(
            experiment_from(arguments.experiment),
            ways=given.ways,
            count=given.count,
            **_cache(given),
        )
    )


def run_inspect(arguments: Arguments) -> None:
    """Prints a description of data, a backbone or a run."""
    given = arguments.flags
    places = {"workdir": given.workdir, "output": given.output}
    _print(api.inspect(**places, **_cache(given), **arguments.experiment))


def run_demo(arguments: Arguments) -> None:
    """Transfers between handwritten digits that need no download, and exports the best model."""
    demonstrate(arguments.flags.workdir or DEFAULT_WORKDIR)


def _cache(given: flags.FlagValues) -> dict[str, Any]:
    return {"cache_dir": given.cache_dir, "cache_bytes": given.cache_bytes}


def _workdir(given: flags.FlagValues) -> str:
    if not given.workdir:
        raise UserError("--workdir is missing.", "Add the folder of the run: --workdir=runs/NAME.")
    return str(given.workdir)
