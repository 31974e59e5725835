"""Evaluation of networks: metrics, baselines, episodes."""

import tftransfer.metrics  # noqa: F401  # registers the metrics of each problem type
