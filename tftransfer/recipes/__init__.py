"""Recipes by name, and the methods that `RECIPE+METHOD` adds to them.

Example:
  >>> import tftransfer
  >>> recipe = tftransfer.recipes.l2_sp(tftransfer.recipes.fine_tune(unfreeze=2))
  >>> [phase.name for phase in recipe.phases]
  ['head', 'tune']
"""

from tftransfer.recipes.describe import (
    OptionInfo,
    RecipeInfo,
    describe_recipe,
    list_methods,
    list_recipes,
    recipe_help,
)
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
from tftransfer.recipes.few_shot import episodic, few_shot, setfit
from tftransfer.recipes.multi_task import multi_task
from tftransfer.recipes.registry import (
    METHODS,
    RECIPES,
    recipe_names,
    recipe_options,
    register_method,
    register_recipe,
)
from tftransfer.recipes.regularization import bss, delta, l2_sp, lora, lwf, wise_ft
from tftransfer.recipes.self_supervised import autoencoder, fixmatch, simclr, simsiam, vae
from tftransfer.recipes.spec import RecipeLike, RecipePart, RecipeSpec, make_recipe, parse_recipe
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
    "OptionInfo",
    "RecipeInfo",
    "RecipeLike",
    "RecipePart",
    "RecipeSpec",
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
    "describe_recipe",
    "distill",
    "distill_features",
    "entropy",
    "episodic",
    "feature_extraction",
    "few_shot",
    "fine_tune",
    "fixmatch",
    "gradual_unfreezing",
    "l2_sp",
    "list_methods",
    "list_recipes",
    "lora",
    "lwf",
    "make_recipe",
    "mmd",
    "multi_task",
    "parse_recipe",
    "recipe_help",
    "recipe_names",
    "recipe_options",
    "register_method",
    "register_recipe",
    "reweight",
    "scratch",
    "setfit",
    "simclr",
    "simsiam",
    "vae",
    "wise_ft",
]
