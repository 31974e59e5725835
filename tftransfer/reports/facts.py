"""What the rules of the verdict read, and what they yield."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tftransfer.core.typing import Array, Result
from tftransfer.data.examples import Examples
from tftransfer.recipes import make_recipe, parse_recipe
from tftransfer.recipes.spec import with_option
from tftransfer.reports.commands import Commands
from tftransfer.utils.errors import UserError

# Smallest difference of two accuracies that counts, whatever the number of examples.
_MIN_DIFFERENCE = 0.02
_STANDARD_ERRORS = 2


class Issue(NamedTuple):
    """What limits a run.

    Attributes:
      text: The issue, without a period.
      step: What to do, usually a command.
    """

    text: str
    step: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the rules read.

    Attributes:
      result: Content of `result.json` without the verdict.
      examples: Examples of the run.
      recipe: The recipe, with its options where it was given by name.
      commands: Commands that follow the run.
    """

    result: Result
    examples: Examples
    recipe: str
    commands: Commands

    @property
    def recipe_name(self) -> str:
        """Name of the recipe, without options."""
        try:
            return parse_recipe(self.recipe).name
        except UserError:  # a Recipe of the user's own
            return self.recipe

    @property
    def metric(self) -> str:
        """Name of the main metric."""
        return self.examples.problem_type.main_metric

    @property
    def evaluated(self) -> bool:
        """Whether there were examples to evaluate on."""
        return self.metric in (self.result.get("test") or {})

    def counts(self, split: str) -> Array:
        """Returns the number of examples of each class in a split, int64 [classes]."""
        return self.examples.class_counts(self.examples.where(split))

    def train_with_option(self, name: str, option: str, value: str) -> str:
        """Returns the command that trains with another value of an option of the recipe.

        Args:
          name: Suffix of the new run's folder.
          option: Name of the option.
          value: Its value.

        Returns:
          The command; "" if the recipe does not have the option, or has the value already.
        """
        try:
            recipe = with_option(self.recipe, option, value)
            make_recipe(recipe)
        except UserError:
            return ""
        changed = recipe != str(parse_recipe(self.recipe))
        return self.commands.train(name, recipe=recipe) if changed else ""


Rule = Callable[[Facts], Iterator[Issue]]


def chance(accuracy: float, count: int) -> float:
    """Returns the difference of two accuracies that chance explains: two standard errors.

    Example:
      >>> chance(0.5, 100)
      0.1
    """
    variance = max(accuracy * (1 - accuracy), 0.01) / max(1, count)
    return max(_MIN_DIFFERENCE, _STANDARD_ERRORS * float(np.sqrt(variance)))
