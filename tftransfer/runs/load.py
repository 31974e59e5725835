"""The network of a finished run, with its final weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tftransfer.backbones.load import load_backbone
from tftransfer.checkpoints import weights
from tftransfer.core.problem_types import ProblemType, Task
from tftransfer.models.inference import dtype_policy
from tftransfer.models.network import Network
from tftransfer.runs.run import Run, open_run
from tftransfer.utils.errors import UserError


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """The network of a finished run, with its final weights.

    Attributes:
      run: where it comes from.
      network: `network.model` is the Keras model, inputs to outputs by name.
      classes: names in the order of the outputs.
      problem_type: kind of label.
      temperature: divides the logits before softmax or sigmoid.
    """

    run: Run
    network: Network
    classes: tuple[str, ...]
    problem_type: ProblemType
    temperature: float

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What the outputs are of; none unless the target is `multi_task`."""
        return self.problem_type.tasks(self.classes)


def load(workdir: str | Path) -> TrainedModel:
    """The network of the run in `workdir`.

    Raises:
      UserError: no run there, or it is not finished.
    """
    run = open_run(workdir)
    if not run.finished:
        raise UserError(
            f"The run {run.workdir} is not finished.",
            f"Finish it: tftransfer train --config={run.workdir}/config.json "
            f"--workdir={run.workdir} --resume",
        )
    experiment, result = run.experiment, run.result
    with dtype_policy(experiment.precision):
        backbone = load_backbone(
            result["architecture"],
            weights="none",
            image_size=experiment.image_size,
            trust_code=experiment.trust_code,
            modality=result["modality"],
            length=experiment.length,
            assets=run.workdir / "assets",
        )
        network = Network(
            backbone,
            experiment.recipe.heads,
            units=len(result["classes"]),
            problem_type=ProblemType(result["problem_type"]),
        )
    weights.assign_blocks(network.blocks, weights.read(run.weights), run.weights)
    return TrainedModel(
        run=run,
        network=network,
        classes=tuple(result["classes"]),
        problem_type=ProblemType(result["problem_type"]),
        temperature=result["temperature"],
    )
