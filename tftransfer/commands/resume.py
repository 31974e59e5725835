"""What a resumed run must have in common with its start: data, weights, versions, machine."""

from __future__ import annotations

from typing import Any

from tftransfer.core.serialization import read_json, to_jsonable, write_json
from tftransfer.data.examples import write_quarantine
from tftransfer.planning.plan import Plan
from tftransfer.utils.errors import UserError
from tftransfer.workdir.environment import environment
from tftransfer.workdir.run_folder import RunFolder

# A resumed run ends in the same weights only if these are the same; the names are for messages.
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


def as_started(folder: RunFolder, plan: Plan) -> Plan:
    """Returns the plan with the frozen layers of the run's start, whatever memory is free now.

    Args:
      folder: The folder of the run to resume.
      plan: The plan, made again.

    Raises:
      UserError: If data, starting weights, versions or machine differ from those of the start.
    """
    path = folder.workdir / "environment.json"
    if not path.is_file():  # the run ended before anything was computed
        return plan
    stored, current = read_json(path), environment() | _inputs(plan)
    differences = [
        name if key.endswith("sha256") else f"{name} ({stored.get(key)} then, {current[key]} now)"
        for key, name in _FINGERPRINT.items()
        if stored.get(key) != to_jsonable(current[key])
    ]
    if differences:
        raise UserError(
            f"The run in {folder.workdir} started with different {'; different '.join(differences)}"
            ".",
            "Restore that to get the same result, or start again in another --workdir.",
        )
    return plan.with_cached_features(stored["cached_features"])


def write_inputs(folder: RunFolder, plan: Plan) -> None:
    """Writes what the run starts from: environment, split, skipped files, vocabularies."""
    examples = plan.examples
    for name, content in plan.network.backbone.assets.items():
        (folder.workdir / "assets").mkdir(exist_ok=True)
        (folder.workdir / "assets" / name).write_bytes(content)
    write_json(folder.workdir / "environment.json", environment() | _inputs(plan))
    rows = zip(examples.names, examples.splits.tolist(), examples.labels.tolist(), examples.sha256)
    write_json(
        folder.workdir / "split.json",
        {
            "problem_type": examples.problem_type,
            "classes": examples.classes,
            "columns": ["name", "split", "label", "sha256"],
            "examples": list(rows),
        },
    )
    write_quarantine(folder.workdir / "quarantine.csv", examples.quarantine)


def _inputs(plan: Plan) -> dict[str, Any]:
    return {
        "data_sha256": plan.examples.digest(),
        "classes": list(plan.examples.classes),
        "weights": plan.network.backbone.weights,
        "weights_file_sha256": plan.network.backbone.weights_sha256,
        "start_sha256": plan.network.digest(plan.network.blocks),
        "cached_features": plan.cached_features,
        "teachers_sha256": [t.network.digest(t.network.blocks) for t in plan.teachers],
        "xla": plan.xla,
        "auto_settings": plan.auto_settings,
        "warnings": plan.warnings,
    }
