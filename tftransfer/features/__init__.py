"""Cached features of the layers that no phase trains."""
