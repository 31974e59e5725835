"""The verbs: train, compare, evaluate, predict, export, inspect, episodes."""
