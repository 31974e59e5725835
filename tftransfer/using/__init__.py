"""Plans, training, evaluation, reports and export of runs."""
