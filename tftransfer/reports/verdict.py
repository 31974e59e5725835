"""The verdict of a run: how it compares, its issues in the order of harm, and the next steps."""

from __future__ import annotations

from tftransfer.core.typing import Result
from tftransfer.data.examples import Examples
from tftransfer.reports.commands import Commands
from tftransfer.reports.facts import Facts, Issue
from tftransfer.reports.issues import RULES


def verdict(result: Result, examples: Examples, recipe: str, commands: Commands) -> list[str]:
    """Returns how the run compares, its main issue, and the next step; then each further issue.

    Args:
      result: Content of `result.json` without the verdict.
      examples: Examples of the run.
      recipe: The recipe, with its options where it was given by name.
      commands: Commands that follow the run.
    """
    facts = Facts(result=result, examples=examples, recipe=recipe, commands=commands)
    issues = [issue for rule in RULES for issue in rule(facts)]
    if not facts.evaluated:
        issues.insert(0, Issue("the run was not evaluated", _step_to_evaluate(facts)))
    main, *others = issues or [Issue("none", f"{commands.predict()}, or serve the folder export/")]
    return [
        _comparison(facts),
        f"Main issue: {main.text}.",
        f"Next step: {main.step}",
        *(f"Also: {issue.text}. Next step: {issue.step}" for issue in others),
    ]


def _step_to_evaluate(facts: Facts) -> str:
    """What gives a test split: a fraction of which at least one example of a class is held out."""
    most = len(facts.examples)
    if facts.examples.problem_type.has_exclusive_classes:
        most = int(facts.examples.class_counts().max())
    if most < 2:
        return f"label two examples of each class or more, then {facts.commands.train('more')}"
    return facts.commands.train("tested", test_fraction="0.2" if most > 2 else "0.5")


def _comparison(facts: Facts) -> str:
    """How the main metric compares with the baselines."""
    result, metric = facts.result, facts.metric
    if not facts.evaluated:
        return "No examples are in the test split."
    low, high = result["test"]["intervals"].get(metric, (None, None))
    interval = "no interval" if low is None else f"95 % interval {low:.3f} to {high:.3f}"
    split = "test split"
    if result["split"] == "val":
        split = "validation split, on which the epoch was selected"
    baselines = ", ".join(
        f"{name.replace('_', ' ')} {values[metric]:.3f}"
        for name, values in result.get("baselines", {}).items()
    )
    return (
        f"{metric} {result['test'][metric]:.3f} ({interval}) on the {split}; "
        f"baselines: {baselines or 'none'}."
    )
