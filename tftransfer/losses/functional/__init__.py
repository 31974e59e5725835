"""The mathematics of the losses: pure functions of tensors, computed in float32.

A loss of single examples is float32 [n]; one that only a batch has is a scalar. A `weight` is 0
for the rows that pad a batch and 1 for the others; rows of weight 0 have no influence, whatever
their values.
"""

from tftransfer.losses.functional.contrastive import (
    cosine_pairs,
    negative_cosine,
    nt_xent,
    supervised_contrastive,
)
from tftransfer.losses.functional.distillation import (
    binary_distillation,
    cosine_distance,
    distillation,
)
from tftransfer.losses.functional.domain_adaptation import (
    certainty_weight,
    coral,
    domain_cross_entropy,
    entropy,
    linear_mmd,
    mmd,
    multilinear_map,
)
from tftransfer.losses.functional.few_shot import (
    cosine_logits,
    prototype_logits,
    prototypes,
    prototypical,
)
from tftransfer.losses.functional.generative import gaussian_kl
from tftransfer.losses.functional.regularization import batch_spectral_shrinkage, delta, l2_sp
from tftransfer.losses.functional.semi_supervised import confident_cross_entropy
from tftransfer.losses.functional.supervised import (
    binary_cross_entropy,
    cross_entropy,
    example_weights,
    squared_error,
    weighted_mean,
)
from tftransfer.losses.functional.task_balancing import (
    gradnorm,
    linear_gradient_norm,
    uncertainty_weighted,
)

__all__ = [
    "batch_spectral_shrinkage",
    "binary_cross_entropy",
    "binary_distillation",
    "certainty_weight",
    "confident_cross_entropy",
    "coral",
    "cosine_distance",
    "cosine_logits",
    "cosine_pairs",
    "cross_entropy",
    "delta",
    "distillation",
    "domain_cross_entropy",
    "entropy",
    "example_weights",
    "gaussian_kl",
    "gradnorm",
    "l2_sp",
    "linear_gradient_norm",
    "linear_mmd",
    "mmd",
    "multilinear_map",
    "negative_cosine",
    "nt_xent",
    "prototype_logits",
    "prototypes",
    "prototypical",
    "squared_error",
    "supervised_contrastive",
    "uncertainty_weighted",
    "weighted_mean",
]
