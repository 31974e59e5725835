"""Evaluation of networks: metrics, baselines, episodes."""
