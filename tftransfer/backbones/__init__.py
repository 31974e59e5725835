"""Backbones: functional Keras models cut into stages, with weights and preprocessing."""
