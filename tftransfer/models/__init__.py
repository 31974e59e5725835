"""Backbone and heads as one functional model."""
