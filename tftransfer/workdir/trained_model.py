"""The network of a finished run, with its final weights, loaded from its folder."""

from __future__ import annotations

from dataclasses import dataclass

from tftransfer.backbones.load import load_backbone
from tftransfer.checkpoints import weights
from tftransfer.core.problem_types import ProblemType, Task
from tftransfer.core.typing import PathLike
from tftransfer.models.inference import dtype_policy
from tftransfer.models.network import Network
from tftransfer.utils.devices import initialize_devices
from tftransfer.workdir.run_folder import RunFolder, open_finished


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """The network of a finished run, with its final weights.

    Attributes:
      folder: The folder that the network was loaded from.
      network: Backbone and heads; `network.model` returns a dictionary of outputs by name.
      classes: Class names in the order of the outputs.
      problem_type: What the outputs are.
      temperature: Divisor of the logits before softmax or sigmoid.
    """

    folder: RunFolder
    network: Network
    classes: tuple[str, ...]
    problem_type: ProblemType
    temperature: float

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks of the outputs; empty unless the problem type is `multi_task`."""
        return self.problem_type.tasks(self.classes)


def load_trained_model(workdir: PathLike) -> TrainedModel:
    """Loads the network of a finished run.

    Args:
      workdir: The folder of the run.

    Raises:
      UserError: If there is no run, it is not finished, or its weights cannot be read.
    """
    folder = open_finished(workdir)
    initialize_devices()
    experiment, result = folder.experiment, folder.result
    with dtype_policy(experiment.precision):
        backbone = load_backbone(
            result["architecture"],
            weights="none",
            image_size=experiment.image_size,
            trust_code=experiment.trust_code,
            modality=result["modality"],
            length=experiment.length,
            assets=folder.workdir / "assets",
        )
        network = Network(
            backbone,
            experiment.recipe.heads,
            units=len(result["classes"]),
            problem_type=ProblemType(result["problem_type"]),
        )
    weights.assign_blocks(network.blocks, weights.read(folder.weights), folder.weights)
    return TrainedModel(
        folder=folder,
        network=network,
        classes=tuple(result["classes"]),
        problem_type=ProblemType(result["problem_type"]),
        temperature=result["temperature"],
    )
