"""Losses: frozen dataclasses that read tensors by path; the mathematics is in `functional`.

TensorFlow is imported when a loss is computed, not before.

Example:
  >>> import tftransfer
  >>> tftransfer.losses.CORAL(weight=2.0).paths()
  ('train.features', 'target.features')
"""

from tftransfer.core.loss import Loss
from tftransfer.losses.distillation import Distill, Hint
from tftransfer.losses.domain_adaptation import CORAL, MMD, Domain, Entropy
from tftransfer.losses.few_shot import Prototypical
from tftransfer.losses.multi_task import MultiTask
from tftransfer.losses.registry import LossInfo, check_losses, get, list_losses, register_loss
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
    "Loss",
    "LossInfo",
    "MultiTask",
    "NTXent",
    "Prototypical",
    "Reconstruction",
    "SimSiam",
    "SquaredError",
    "check_losses",
    "get",
    "list_losses",
    "register_loss",
    "supervised",
]
