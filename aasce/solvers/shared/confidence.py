"""From a number that grows with doubt to a calibrated chance: the confidence of every learned solver."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rule = tuple[float, float]
Floats = NDArray[np.float64]


def confidence(doubt: float, rule: Rule) -> float:
    """Chance that the major angle is within 5 degrees: 1 / (1 + exp(slope * doubt - offset))."""
    offset, slope = rule
    return float(1 / (1 + np.exp(np.clip(slope * doubt - offset, -50, 50))))


def fit_confidence(doubt: Floats, right: NDArray[np.bool_], prior: Rule, width: Rule = (1.0, 0.3)) -> Rule:
    """Logistic rule fitted to films that were not trained on.

    Args:
        doubt: (N,) what the solver says of its own doubt.
        right: (N,) whether the major angle was within 5 degrees of the label.
        prior: (offset, slope) while no film has spoken.
        width: how far a dozen films may move the rule from it.

    Returns:
        (offset, slope), slope >= 0.
    """
    from scipy.optimize import minimize  # over half a second, for training alone

    def cost(rule: Floats) -> float:
        logit = rule[0] - rule[1] * doubt
        fit = np.logaddexp(0, np.where(right, -logit, logit)).sum()
        off = (rule - np.array(prior)) / np.array(width)
        return float(fit + 0.5 * (off**2).sum())

    found = minimize(cost, np.array(prior), bounds=[(-8.0, 8.0), (0.0, 5.0)]).x
    return float(found[0]), float(found[1])
