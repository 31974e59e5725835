"""What each command of the binary calls, and how its answer is printed."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tftransfer import api
from tftransfer.cli.config import experiment_from
from tftransfer.cli.demo import DEFAULT_WORKDIR, run_demo
from tftransfer.commands.compare import DEFAULT_RECIPES
from tftransfer.planning.cost import estimate
from tftransfer.utils.console import console_handler, printable
from tftransfer.utils.errors import UserError

# What a command was asked for goes to stdout, whatever the verbosity.
_answer = functools.partial(print, flush=True)


def train(flags: Any, free: list[str], experiment: dict[str, Any]) -> None:
    """`tftransfer train`."""
    if flags.dry_run:
        plan = api.plan(experiment_from(experiment), **_cache(flags))
        _answer("\n".join([str(plan), *estimate(plan), "dry run: nothing was trained"]))
        return
    api.train(
        experiment_from(experiment),
        _workdir(flags),
        resume=flags.resume,
        export=flags.export,
        profile=flags.profile,
        **_cache(flags),
    )


def compare(flags: Any, free: list[str], experiment: dict[str, Any]) -> None:
    """`tftransfer compare`."""
    found = api.compare(
        experiment_from(experiment),
        _workdir(flags),
        free or DEFAULT_RECIPES,
        resume=flags.resume,
        export=flags.export,
        **_cache(flags),
    )
    _answer(f"\n{found}\n{flags.workdir}/comparison.md")


def evaluate(flags: Any, free: list[str], experiment: dict[str, Any]) -> None:
    """`tftransfer evaluate`."""
    _answer(api.evaluate(_workdir(flags), experiment.get("data"), **_cache(flags)))


def predict(flags: Any, free: list[str], experiment: dict[str, Any]) -> int:
    """`tftransfer predict`: tab-separated name, label, score (or the error)."""
    if not free:
        raise UserError("Nothing was given.", "Write files after the flags: predict ... a.jpg")
    bad = 0
    # Programs may read the answers from stdout, so messages go to stderr.
    console_handler().stream_name = "stderr"
    for row in api.predict(_workdir(flags), list(_given(free))):
        if "error" in row:
            bad += 1
            said = f"-\t{row['error']}"
        elif "label" in row:
            said = f"{row['label']}\t{row['scores'][row['label']]:.4f}"
        else:
            by_task = isinstance(row.get("labels"), dict)
            found = row["labels"] if by_task else row.get("values", row.get("scores"))
            said = json.dumps(found, ensure_ascii=False)
        _answer(f"{printable(row['name'])}\t{said}")
    return 2 if bad else 0


def _given(free: Iterable[str]) -> Iterator[Any]:
    """Paths; for `-`, the lines of the standard input, each a text."""
    for each in free:
        if each == "-":
            yield from (line.rstrip(b"\r\n") for line in sys.stdin.buffer)
        else:
            yield Path(each)


def export(flags: Any, free: list[str], experiment: dict[str, Any]) -> None:
    """`tftransfer export`."""
    report = api.export(
        _workdir(flags), flags.folder or None, experiment.get("data"), **_cache(flags)
    )
    _answer(
        f"exported to {report['folder']}: scores equal the network's within "
        f"{report['max_difference']:.1g} on {report['examples']} examples"
    )


def episodes(flags: Any, free: list[str], experiment: dict[str, Any]) -> None:
    """`tftransfer episodes`."""
    _answer(
        api.episodes(
            experiment_from(experiment), ways=flags.ways, count=flags.count, **_cache(flags)
        )
    )


def inspect(flags: Any, free: list[str], experiment: dict[str, Any]) -> None:
    """`tftransfer inspect`."""
    _answer(api.inspect(workdir=flags.workdir, **_cache(flags), **experiment))


def demo(flags: Any, free: list[str], experiment: dict[str, Any]) -> None:
    """`tftransfer demo`."""
    run_demo(flags.workdir or DEFAULT_WORKDIR)


def _cache(flags: Any) -> dict[str, Any]:
    return {"cache_dir": flags.cache_dir, "cache_bytes": flags.cache_bytes}


def _workdir(flags: Any) -> str:
    if not flags.workdir:
        raise UserError("No folder for the run was given.", "Add --workdir=runs/NAME.")
    return flags.workdir
