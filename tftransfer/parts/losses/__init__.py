"""Losses: frozen dataclasses that fetch tensors by path; the maths is in `functional`.

Nothing here imports TensorFlow until a loss is computed.
"""

from tftransfer.parts.losses.adaptation import CORAL, MMD, Domain, Entropy
from tftransfer.parts.losses.distillation import Distill, Hint
from tftransfer.parts.losses.few_shot import Prototypical
from tftransfer.parts.losses.multi_task import MultiTask
from tftransfer.parts.losses.regularised import BSS, DELTA, L2SP
from tftransfer.parts.losses.supervised import (
    BinaryCrossEntropy,
    CosinePairs,
    CrossEntropy,
    SquaredError,
    supervised,
)
from tftransfer.parts.losses.unlabelled import (
    Consistency,
    GaussianPrior,
    NTXent,
    Reconstruction,
    SimSiam,
)

__all__ = [
    "BSS",
    "CORAL",
    "DELTA",
    "L2SP",
    "MMD",
    "BinaryCrossEntropy",
    "Consistency",
    "CosinePairs",
    "CrossEntropy",
    "Distill",
    "Domain",
    "Entropy",
    "GaussianPrior",
    "Hint",
    "MultiTask",
    "NTXent",
    "Prototypical",
    "Reconstruction",
    "SimSiam",
    "SquaredError",
    "supervised",
]
