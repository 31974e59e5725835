"""Metrics from scores and labels, with intervals."""
