"""Whether an adaptation helped, judged without a label of the target."""

from __future__ import annotations

from typing import Any

import numpy as np

from tftransfer.parts.closed_form import SOLVERS
from tftransfer.parts.domains import proxy_a_distance

# Of accuracy, that a later phase may be worse.
_TOLERANCE = 0.02
# Share of the predictions that would have to change class, for a collapse to be suspected.
_COLLAPSED = 0.5


def judge(
    source: np.ndarray, target: np.ndarray, scores: np.ndarray, val: np.ndarray,
    labels: np.ndarray, val_labels: np.ndarray, seed: int,
) -> dict[str, float]:  # fmt: skip
    """Figures of a network, by its features and its scores of the target's pictures.

    Args:
      source: features of the training part, float [n, d].
      target: of the target's pictures, float [m, d].
      scores: of these, float [m, k].
      val: features of the validation part, float [v, d].
      labels: one-hot, of the training part, [n, k].
      val_labels: of the validation part, [v, k].
      seed: of the folds.

    Returns:
      `domain_gap`: the proxy A-distance. `reverse_validation`: accuracy on the validation part of
      a classifier that learnt the target's features and our guesses of their classes (Zhong et
      al., 2010; Ganin et al., 2016). `moved`: how far the guesses' frequencies are from the
      labels', as total variation.
    """
    guesses = np.eye(scores.shape[1], dtype=np.float32)[scores.argmax(axis=1)]
    kernel, bias = SOLVERS["ridge"](target, guesses)
    right = (val @ kernel + bias).argmax(axis=1) == val_labels.argmax(axis=1)
    moved = 0.5 * np.abs(guesses.mean(axis=0) - labels.mean(axis=0)).sum()
    return {
        "domain_gap": proxy_a_distance(source, target, seed),
        "reverse_validation": float(right.mean()) if len(right) else 0.0,
        "moved": float(moved),
    }


def best_phase(judged: list[dict[str, Any]]) -> int:
    """The place of the phase to end with: the last, unless an earlier one is clearly better."""
    reverse = [each["reverse_validation"] for each in judged]
    best = int(np.argmax(reverse))
    return best if reverse[best] > reverse[-1] + _TOLERANCE else len(judged) - 1


def warnings_of(judged: dict[str, Any]) -> list[str]:
    """What looks wrong, in words."""
    found = []
    if judged["moved"] > _COLLAPSED:
        found.append(
            f"{judged['moved']:.0%} of the guesses for the target are in other classes than the "
            "training labels' frequencies would have: the adaptation may have collapsed, or the "
            "target has other classes"
        )
    return found
