"""The verbs, one per file: train, compare, evaluate, predict, export, inspect, episodes."""
