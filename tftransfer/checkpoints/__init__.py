"""Weights as arrays, and checkpoints that are complete or absent."""
