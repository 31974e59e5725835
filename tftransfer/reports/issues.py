"""What limits a run: a table of rules in the order of harm, none of which hides another."""

from __future__ import annotations

from collections.abc import Sequence

from tftransfer.reports import data_issues, training_issues
from tftransfer.reports.facts import Rule

# In the order of harm.
RULES: Sequence[Rule] = (
    data_issues.contradictory_labels,
    data_issues.leaking_examples,
    data_issues.leaking_near_copies,
    training_issues.mirrored_classes,
    training_issues.worse_than_the_probe,
    training_issues.no_better_than_a_guess,
    data_issues.class_without_examples,
    data_issues.few_validation_examples,
    training_issues.validation_far_from_test,
    training_issues.better_middle_stage,
    data_issues.few_test_examples,
    data_issues.imbalance,
    data_issues.few_training_examples,
    training_issues.weak_class,
    training_issues.early_end,
    training_issues.nothing_transferred,
    training_issues.only_the_head,
)
