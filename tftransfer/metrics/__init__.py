"""Probabilities, metrics, calibration and confidence intervals, in NumPy.

Importing this package registers the probabilities and metrics of each `ProblemType`.
"""

from tftransfer.metrics import metrics, probabilities

__all__ = ["metrics", "probabilities"]
