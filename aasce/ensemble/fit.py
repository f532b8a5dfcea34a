"""Weights of an ensemble from out-of-fold predictions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aasce.ensemble.combine import blend
from aasce.scoring.metrics import film_smape

Floats = NDArray[np.float64]
Loss = Callable[[Floats], float]


def fit_weights(member_angles: ArrayLike, truth: ArrayLike, max_disagreement_deg: float = math.inf) -> Floats:
    """Nonnegative weights, sum 1, that minimise the SMAPE of the weighted mean.

    The predictions must be out of fold (of models that have not seen the film), else the member that
    overfits most takes all the weight. The loss has kinks and may have several minima, so the search starts
    from each member alone, the plain mean and a gradient step (SLSQP), and then shifts weight between pairs
    of members until nothing improves: it never ends worse than the best member or the plain mean.

    Args:
        member_angles: (M, N, 3) degrees; NaN rows are films on which that member failed, treated as
            `combine` treats them. A film without any usable member counts as the median of the truth.
        truth: (N, 3) degrees.
        max_disagreement_deg: see `combine.disagrees`; the weights are for a mean that drops such members.

    Returns:
        (M,) float64.

    Raises:
        ValueError: shapes do not fit, or the truth is not finite.
    """
    angles, labels = np.asarray(member_angles, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if angles.ndim != 3 or angles.shape[2] != 3 or len(angles) == 0 or angles.shape[1:] != labels.shape:
        raise ValueError(f"member_angles is (M, N, 3) and truth (N, 3), not {angles.shape}, {labels.shape}")
    if len(labels) == 0 or not np.isfinite(labels).all():
        raise ValueError("truth needs at least one film and finite angles")
    loss = _loss(angles, labels, max_disagreement_deg)
    members = len(angles)
    if members == 1:
        return np.ones(1)
    starts = [*np.eye(members), np.full(members, 1 / members)]
    starts += [_descend(loss, start) for start in (starts[-1], min(starts, key=loss))]
    return _exchange(loss, min(starts, key=loss))


def _loss(angles: Floats, truth: Floats, max_disagreement_deg: float) -> Loss:
    median = np.median(truth, axis=0)

    def smape_of(weights: Floats) -> float:
        mixed = blend(angles, weights, max_disagreement_deg)
        mixed = np.where(np.isfinite(mixed), mixed, median)
        return float(film_smape(mixed, truth).mean())

    return smape_of


def _descend(loss: Loss, start: Floats) -> Floats:
    from scipy.optimize import minimize  # a third of a second, for this alone

    found = minimize(
        loss,
        start,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * len(start),
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0},
        options={"maxiter": 200, "ftol": 1e-10},
    )
    weights = np.clip(np.asarray(found.x, dtype=np.float64), 0.0, None)
    total = float(weights.sum())
    return np.asarray(weights / total) if np.isfinite(total) and total > 0 else start


def _exchange(loss: Loss, weights: Floats, rounds: int = 20, tolerance: float = 1e-9) -> Floats:
    """Shifts weight between two members at a time, by a grid and then by golden section around its best."""
    best = loss(weights)
    for _ in range(rounds):
        before = best
        for i in range(len(weights)):
            for j in range(i + 1, len(weights)):
                weights, best = _shift(loss, weights, i, j, best)
        if before - best < tolerance:
            break
    return np.asarray(weights / weights.sum())


def _shift(loss: Loss, weights: Floats, i: int, j: int, best: float) -> tuple[Floats, float]:
    from scipy.optimize import minimize_scalar

    sum_of_two = weights[i] + weights[j]
    if sum_of_two == 0.0:
        return weights, best

    def moved_to(part: float) -> Floats:
        moved = weights.copy()
        moved[i], moved[j] = part * sum_of_two, (1.0 - part) * sum_of_two
        return moved

    grid = np.linspace(0.0, 1.0, 21)
    near = grid[int(np.argmin([loss(moved_to(part)) for part in grid]))]
    found = minimize_scalar(
        lambda part: loss(moved_to(part)),
        bounds=(max(0.0, near - 0.05), min(1.0, near + 0.05)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    for part in (near, float(found.x)):
        value = loss(moved_to(part))
        if value < best:
            weights, best = moved_to(part), value
    return weights, best
