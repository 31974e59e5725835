"""The named recipes, and the methods that are added to them by `+`."""

from tftransfer.recipes.distillation import distill, distill_features
from tftransfer.recipes.domain_adaptation import (
    adabn,
    adda,
    cdan,
    coral,
    dann,
    ddc,
    entropy,
    mmd,
    reweight,
)
from tftransfer.recipes.few_shot import few_shot
from tftransfer.recipes.multi_task import multi_task, with_tasks
from tftransfer.recipes.registry import (
    METHODS,
    RECIPES,
    make_recipe,
    recipe_name_and_options,
    recipe_names,
    recipe_options,
    register_method,
    register_recipe,
    with_budget,
    without_method,
)
from tftransfer.recipes.regularization import bss, delta, l2_sp, lora, lwf, wise_ft
from tftransfer.recipes.self_supervised import autoencoder, fixmatch, simclr, simsiam, vae
from tftransfer.recipes.supervised import (
    deep_transfer,
    feature_extraction,
    fine_tune,
    gradual_unfreezing,
    scratch,
)

__all__ = [
    "METHODS",
    "RECIPES",
    "adabn",
    "adda",
    "autoencoder",
    "bss",
    "cdan",
    "coral",
    "dann",
    "ddc",
    "deep_transfer",
    "delta",
    "distill",
    "distill_features",
    "entropy",
    "feature_extraction",
    "few_shot",
    "fine_tune",
    "fixmatch",
    "gradual_unfreezing",
    "l2_sp",
    "lora",
    "lwf",
    "make_recipe",
    "mmd",
    "multi_task",
    "recipe_name_and_options",
    "recipe_names",
    "recipe_options",
    "register_method",
    "register_recipe",
    "reweight",
    "scratch",
    "simclr",
    "simsiam",
    "vae",
    "wise_ft",
    "with_budget",
    "with_tasks",
    "without_method",
]
