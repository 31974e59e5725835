"""Losses: frozen dataclasses that fetch tensors by path; the maths is in `functional`.

Nothing here imports TensorFlow until a loss is computed.
"""

from tftransfer.losses.distillation import Distill, Hint
from tftransfer.losses.domain_adaptation import CORAL, MMD, Domain, Entropy
from tftransfer.losses.few_shot import Prototypical
from tftransfer.losses.multi_task import MultiTask
from tftransfer.losses.regularization import BSS, DELTA, L2SP
from tftransfer.losses.self_supervised import (
    Consistency,
    GaussianPrior,
    NTXent,
    Reconstruction,
    SimSiam,
)
from tftransfer.losses.supervised import (
    BinaryCrossEntropy,
    CosinePairs,
    CrossEntropy,
    SquaredError,
    supervised,
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
