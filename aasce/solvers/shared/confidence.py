"""From an uncertainty to a calibrated chance: the confidence of every learned solver."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Rule = tuple[float, float]
Floats = NDArray[np.float64]

CLOSE = 5.0
"""Degrees: a major angle with a smaller error counts as right, as in `SpinePrediction.confidence`."""


def confidence(uncertainty: float, rule: Rule) -> float:
    """Chance that the major angle is within 5 degrees: 1 / (1 + exp(slope * uncertainty - offset)).

    Args:
        uncertainty: of the solver on this film, 0 or more, in the unit that the rule was fitted in.
        rule: (offset, slope), see `fit_confidence`.
    """
    return float(_chance(np.float64(uncertainty), rule))


def fit_confidence(
    uncertainty: Floats, right: NDArray[np.bool_], prior: Rule, width: Rule = (1.0, 0.3)
) -> Rule:
    """Logistic regression (Platt scaling) on films that were not trained on, held near a prior rule.

    The prior enters as weighted pseudo-films that follow it, some without uncertainty and some with much, so many that
    offset and slope have the standard deviations `width` before a film is seen. Platt, Probabilistic outputs for
    support vector machines, Advances in Large Margin Classifiers (1999) 61-74, uses pseudo-counts likewise.

    Args:
        uncertainty: (N,) of the solver, 0 or more, such as the difference of its two passes in degrees; N may be 0.
        right: (N,) whether the major angle was within 5 degrees of the label.
        prior: (offset, slope) without any film.
        width: standard deviations of offset and slope around the prior.

    Returns:
        (offset, slope), slope >= 0: more uncertainty never means more confidence.
    """
    from sklearn.linear_model import LogisticRegression  # over a second, for training alone

    places = np.array([0.0, 2 * width[0] / width[1]])
    chances = _chance(places, prior)
    # n pseudo-films of chance p fix their logit with the variance 1 / (n p (1 - p)). With width[0]^2 at the first place
    # and three times that at the second, the slope between them has the variance 4 width[0]^2 / places[1]^2.
    counts = 1 / (np.array([1.0, 3.0]) * width[0] ** 2 * chances * (1 - chances))
    values = np.concatenate([uncertainty, places, places])
    outcomes = np.concatenate([right, [True, True, False, False]])
    weights = np.concatenate([np.ones(len(uncertainty)), counts * chances, counts * (1 - chances)])
    model = LogisticRegression(C=np.inf, tol=1e-7, max_iter=1000)
    model.fit(values[:, None], outcomes, sample_weight=weights)
    offset, slope = float(model.intercept_[0]), -float(model.coef_[0, 0])
    if slope >= 0:
        return offset, slope
    share = float(np.average(outcomes, weights=weights))
    return math.log(share / (1 - share)), 0.0


def _chance(uncertainty: Floats | np.float64, rule: Rule) -> Floats:
    offset, slope = rule
    return np.asarray(1 / (1 + np.exp(np.clip(slope * uncertainty - offset, -50, 50))))
