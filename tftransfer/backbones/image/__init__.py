"""Backbones of images: the networks of Keras Applications."""
