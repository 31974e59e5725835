"""Experiments as `ml_collections` dictionaries, so that flags can change every field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from tftransfer.core.experiment import Experiment
from tftransfer.core.recipe import Phase, Recipe
from tftransfer.recipes import RecipeLike, parse_recipe, recipe_options
from tftransfer.utils.errors import unknown_name

if TYPE_CHECKING:
    from ml_collections import config_dict

# The plan sets the first two; the others have no form that a flag could give.
_WITHOUT_A_FLAG = ("problem_type", "stages", "name", "extra_losses")


def config(*, recipe: RecipeLike = "fine_tune", **experiment: object) -> config_dict.ConfigDict:
    """Returns the settings of an experiment, as `get_config()` of a file in `configs/` does.

    Args:
      recipe: A recipe as in `Experiment.recipe`. Its options are filled in with their defaults, so
        that `--config.recipe.OPTION=value` reaches each of them.
      **experiment: Other fields of `Experiment`.

    Returns:
      An `ml_collections.ConfigDict` with all fields of `Experiment`.

    Raises:
      UserError: If a recipe, an option or a field does not exist.

    Example:
      >>> import tftransfer
      >>> config = tftransfer.config(recipe="fine_tune:unfreeze=2", data="photos", seed=3)
      >>> config.recipe.name, config.recipe.unfreeze, config.data, config.seed
      ('fine_tune', 2, 'photos', 3)
    """
    from ml_collections import config_dict

    defaults = _defaults()
    _check_fields(experiment, defaults)
    settings = {**defaults, **experiment, "recipe": _recipe_settings(recipe)}
    return config_dict.ConfigDict(settings, type_safe=False)


def experiment_from(values: Mapping[str, Any]) -> Experiment:
    """Returns the experiment of a mapping of its fields.

    Raises:
      UserError: If a field does not exist or has an impossible value.
    """
    _check_fields(values, _defaults())
    return Experiment(**values)


def _defaults() -> dict[str, object]:
    return {field.name: field.default for field in fields(Experiment)}


def _check_fields(values: Mapping[str, object], known: Mapping[str, object]) -> None:
    for name in values:
        if name not in known:
            raise unknown_name("field of Experiment", name, known)


def _recipe_settings(recipe: RecipeLike) -> Recipe | dict[str, Any]:
    """Returns the name and all options of a recipe; a `Recipe` as it is."""
    from ml_collections import config_dict

    if isinstance(recipe, Recipe):
        return recipe
    spec = parse_recipe(recipe)
    types = {field.name: type(field.default) for field in fields(Phase)}
    options = {
        # None would lose the type, by which the flag reads its value.
        name: config_dict.placeholder(types[name]) if value is None and name in types else value
        for name, value in recipe_options(spec.name).items()
        if name not in _WITHOUT_A_FLAG
    }
    return {**options, **spec.to_mapping()}
