"""Experiments as `ml_collections` dictionaries, so that flags can change every field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from tftransfer.core.experiment import Experiment
from tftransfer.core.recipe import Phase, Recipe
from tftransfer.recipes import parse_recipe, recipe_options

# The planner knows the first two; the others are no values for a flag, and a recipe that
# extends another decides them itself.
_NOT_FILLED_IN = ("problem_type", "stages", "name", "extra_losses")


def config(*, recipe: Any = "fine_tune", **experiment: Any) -> Any:
    """What `get_config()` of a file in `configs/` returns.

    Args:
      recipe: as `Experiment.recipe`; its options are filled in with their defaults, so
        that `--config.recipe.OPTION=value` reaches every one of them.
      **experiment: fields of `Experiment`.

    Returns:
      An `ml_collections.ConfigDict` with all fields of `Experiment`.

    Raises:
      UserError: no such recipe, option or field.

    Example:
      >>> import tftransfer
      >>> config = tftransfer.config(recipe="fine_tune:unfreeze=2", data="photos", seed=3)
      >>> config.recipe.name, config.recipe.unfreeze, config.data, config.seed
      ('fine_tune', 2, 'photos', 3)
    """
    from ml_collections import config_dict

    known = {field.name: field.default for field in fields(Experiment)}
    checked = {**known, **_known(experiment, known, "field of Experiment")}
    return config_dict.ConfigDict({**checked, "recipe": _recipe(recipe)}, type_safe=False)


def experiment_from(values: Mapping[str, Any]) -> Experiment:
    """The `Experiment` of a mapping of its fields."""
    known = {field.name: field.default for field in fields(Experiment)}
    return Experiment(**_known(dict(values), known, "field of Experiment"))


def _recipe(spec: Any) -> Any:
    from ml_collections import config_dict

    if isinstance(spec, Recipe):
        return spec
    parsed = parse_recipe(spec)
    known = recipe_options(parsed.name)
    kinds = {field.name: type(field.default) for field in fields(Phase)}
    free = {
        key: config_dict.placeholder(kinds[key]) if value is None and key in kinds else value
        for key, value in known.items()
        if key not in _NOT_FILLED_IN
    }
    return {**free, **parsed.to_mapping()}


def _known(given: dict[str, Any], known: Mapping[str, Any], kind: str) -> dict[str, Any]:
    from tftransfer.utils.errors import unknown_name

    for name in given:
        if name not in known:
            raise unknown_name(kind, name, known)
    return given
