"""Reads what people bring into examples: paths, arrays, data frames and datasets."""
