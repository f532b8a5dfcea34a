"""Intervals around predicted angles by split-conformal prediction: what they cover follows from how they are made.

From films that a model was not trained on, the size of each error is divided by the size that is expected of a film as
hard as it is. The quantile of these scores, times the expected size on a new film, is half the width of its interval.
It covers the label on the wanted share of films as far as these are like the ones calibrated on, whatever the errors'
distribution. The quantile is taken among films of like severity ("Mondrian"), because errors grow with the curve.

Sources: Lei and others, Journal of the American Statistical Association 113 (2018) 1094-1111 (scores divided by a
scale); Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World (2005), section 4.5 (Mondrian). What is
measured on other folds (`cross_conformal`): Vovk, Annals of Mathematics and Artificial Intelligence 74 (2015) 9-28.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aasce.config import Settings
from aasce.scoring.bootstrap import Interval
from aasce.types import AasceError, Definition

Floats = NDArray[np.float64]
Intervals = tuple[Interval | None, Interval | None, Interval | None]
"""(low, high) degrees of an1, an2, an3; None where there is none."""

NO_INTERVALS: Intervals = (None, None, None)

COVERAGE = 0.9
"""Share of films that an interval is to cover, unless another is asked for."""

LOWEST, HIGHEST = 0.5, 0.99
"""Shares that can be asked for."""

EDGES = (10.0, 25.0, 40.0)
"""Degrees of the largest angle that part the severities: under 10, mild, moderate, severe."""

SEVERITIES = ("under 10", "10 to 25", "25 to 40", "over 40")

FEWEST = 20
"""Films of a severity; with fewer it is joined to its neighbour, as its quantile would be a matter of chance. With more
the chance does less harm than a neighbour's other errors."""

SURE = 0.01
"""Confidences are held this far from 0 and 1, so that their logarithm of odds is finite."""

DECIMALS = 4
"""Of the scores that are kept."""

Scale = tuple[float, float, float]
"""(a, b, c) of an angle: a film's expected error is exp(a + b * doubt + c * spread), see `hardness`; b, c >= 0."""


class SeverityGroup(Settings):
    """Scores of the films of like severity.

    Attributes:
        below: the largest predicted angle is less than this, degrees; None for the last group.
        scores: of an1, an2, an3, each ascending: size of the error in units of the expected one.
    """

    below: float | None
    scores: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]


class IntervalRule(Settings):
    """How wide an interval has to be, as fitted; kept with the weights that it was fitted to.

    Attributes:
        version: of this layout.
        definition: of the angles it was fitted to; angles by another definition have no interval by it.
        films: number of films it was fitted on, those with flags included.
        scales: of an1, an2, an3.
        groups: from the least severe on.
    """

    version: Literal[1] = 1
    definition: Definition
    films: int
    scales: tuple[Scale, Scale, Scale]
    groups: tuple[SeverityGroup, ...]

    def intervals(
        self,
        degrees: ArrayLike,
        confidence: float,
        spread: ArrayLike = (0.0, 0.0, 0.0),
        coverage: float = COVERAGE,
    ) -> Intervals:
        """Intervals of one film; None where its severity has too few films for so high a coverage.

        Args:
            degrees: (3,) predicted.
            confidence: of the prediction.
            spread: (3,) degrees, standard deviation among the members of an ensemble; 0 for a single network.
            coverage: share of films to cover.
        """
        found = np.asarray(degrees, np.float64)
        group = self.groups[self.group_of(found)]
        expected = expected_error(self.scales, hardness(np.array([confidence]), np.atleast_2d(spread)))[0]
        of_angles = []
        for j in range(3):
            score = quantile(group.scores[j], coverage)
            half = math.nan if score is None else score * float(expected[j])
            low, high = max(0.0, float(found[j]) - half), float(found[j]) + half
            of_angles.append(None if score is None else (low, high))
        return of_angles[0], of_angles[1], of_angles[2]

    def group_of(self, degrees: Floats) -> int:
        """Index of the group that a film with these angles belongs to."""
        largest = float(degrees.max())
        inside = (i for i, group in enumerate(self.groups) if group.below is None or largest < group.below)
        return next(inside)


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Films that a model was not trained on, predicted by it.

    Attributes:
        predicted: (N, 3) degrees.
        truth: (N, 3) degrees.
        confidence: (N,), by the rule of the weights that the intervals are for.
        spread: (N, 3) degrees, see `IntervalRule.intervals`.
    """

    predicted: Floats
    truth: Floats
    confidence: Floats
    spread: Floats

    def __len__(self) -> int:
        return len(self.predicted)

    def subset(self, indices: Sequence[int]) -> OutOfFold:
        """The films at `indices`."""
        i = np.asarray(indices, np.int64)
        return OutOfFold(self.predicted[i], self.truth[i], self.confidence[i], self.spread[i])


def checked_coverage(coverage: float) -> float:
    """The coverage, where it can be asked for.

    Raises:
        AasceError: it is not from 0.5 to 0.99.
    """
    if not LOWEST <= coverage <= HIGHEST:
        raise AasceError(
            f"--coverage {coverage:g}: is from {LOWEST} to {HIGHEST}; give 0.9 for intervals of 90 %"
        )
    return coverage


def hardness(confidence: Floats, spread: ArrayLike) -> Floats:
    """What tells how far off an angle may be, before its label is known.

    Args:
        confidence: (N,) of the predictions; it falls where the passes of a network disagree and where its corners
            are vague, as each solver has it.
        spread: (N, 3) degrees, standard deviation among the members of an ensemble.

    Returns:
        (N, 3, 2): for each angle the doubt, which is the logarithm of the odds against the confidence, and
        log(1 + spread).
    """
    sure = np.clip(confidence, SURE, 1 - SURE)
    doubt = np.log((1 - sure) / sure)
    apart = np.log1p(np.asarray(spread, np.float64))
    return np.stack([np.broadcast_to(doubt[:, None], apart.shape), apart], axis=2)


def expected_error(scales: Sequence[Scale], hard: Floats) -> Floats:
    """(N, 3) degrees of films with the `hardness` (N, 3, 2)."""
    fitted = np.asarray(scales, np.float64)
    return np.asarray(np.exp(fitted[:, 0] + (hard * fitted[:, 1:]).sum(axis=2)))


def quantile(scores: Sequence[float], coverage: float) -> float | None:
    """The ceil((n + 1) * coverage)-th smallest of n ascending scores; None where there are not so many.

    A new film's score is below it with at least this chance, as all n + 1 places in the order are as likely.
    """
    place = math.ceil((len(scores) + 1) * coverage - 1e-9)
    return scores[place - 1] if place <= len(scores) else None


def fit_intervals(films: OutOfFold, definition: Definition = "challenge") -> IntervalRule:
    """Fits the scale of the errors and keeps the scores of each severity.

    The scale has three numbers an angle and is fitted on the same films as the scores; what that costs is in the
    figures of `cross_conformal`, which fits both anew.

    Args:
        films: not trained on; those with flags too, as their intervals are made by the same rule.
        definition: of the angles.

    Raises:
        ValueError: there is no film, or a number is not finite.
    """
    error = np.abs(films.predicted - films.truth)
    hard = hardness(films.confidence, films.spread)
    if len(films) == 0 or not (np.isfinite(error).all() and np.isfinite(hard).all()):
        raise ValueError(
            "intervals are fitted on at least one film with finite angles, confidence and spread"
        )
    scales = tuple(_scale(error[:, j], hard[:, j]) for j in range(3))
    ratio = error / expected_error(scales, hard)
    ratio = (
        np.ceil(ratio * 10**DECIMALS) / 10**DECIMALS
    )  # rounded up, so that no film falls out of its own interval
    groups = []
    largest, inner = films.predicted.max(axis=1), 0.0
    for below in joined_edges(largest):
        inside = (largest >= inner) & (largest < below)
        a, b, c = (tuple(np.sort(ratio[inside, j]).tolist()) for j in range(3))
        groups.append(SeverityGroup(below=None if math.isinf(below) else below, scores=(a, b, c)))
        inner = below
    return IntervalRule(
        definition=definition,
        films=len(films),
        scales=(scales[0], scales[1], scales[2]),
        groups=tuple(groups),
    )


def joined_edges(largest: Floats) -> list[float]:
    """Upper edges of the severities, degrees, the last one infinite.

    The severity with the fewest films is joined to the neighbour with fewer films, as long as one has less than
    `FEWEST`.

    Args:
        largest: (N,) degrees, largest predicted angle of each film.
    """
    edges = [*EDGES, math.inf]
    counts = np.bincount(np.searchsorted(EDGES, largest, side="right"), minlength=len(edges)).tolist()
    while len(edges) > 1 and min(counts) < FEWEST:
        k = counts.index(min(counts))
        sides = [i for i in (k - 1, k + 1) if 0 <= i < len(counts)]
        upper = max(k, min(sides, key=lambda i: counts[i]))
        counts[upper - 1 : upper + 1] = [counts[upper - 1] + counts[upper]]
        del edges[upper - 1]
    return edges


def _scale(error: Floats, hard: Floats) -> Scale:
    """Maximum likelihood of exponential errors whose mean is exp(linear); no coefficient is below 0.

    More doubt never means a narrower interval: what seems to say so is left out.

    Args:
        error: (N,) degrees, 0 or more.
        hard: (N, 2).
    """
    from sklearn.linear_model import GammaRegressor  # over a second, for fitting alone

    kept = [k for k in range(hard.shape[1]) if np.ptp(hard[:, k]) > 0]
    target = np.maximum(error, 1e-3)
    while kept:
        centre = hard[:, kept].mean(axis=0)
        model = GammaRegressor(alpha=1e-4, max_iter=1000, tol=1e-7).fit(hard[:, kept] - centre, target)
        negative = [k for k, slope in zip(kept, model.coef_, strict=True) if slope < 0]
        if not negative:
            slopes = dict(zip(kept, model.coef_.tolist(), strict=True))
            offset = float(model.intercept_) - float(model.coef_ @ centre)
            return round(offset, 6), round(slopes.get(0, 0.0), 6), round(slopes.get(1, 0.0), 6)
        kept = [k for k in kept if k not in negative]
    return round(math.log(float(target.mean())), 6), 0.0, 0.0


def cross_conformal(
    films: OutOfFold,
    folds: Sequence[tuple[Sequence[int], Sequence[int]]],
    definition: Definition = "challenge",
    coverage: float = COVERAGE,
) -> Floats:
    """Intervals of each film by a rule fitted on the other folds.

    Args:
        films: not trained on.
        folds: (fitted on, tested) indices of films, films of one patient on one side.
        definition: of the angles.
        coverage: share of films to cover.

    Returns:
        (N, 3, 2) degrees, low and high; NaN where there is no interval.
    """
    bounds = np.full((len(films), 3, 2), np.nan)
    for fitted, tested in folds:
        rule = fit_intervals(films.subset(fitted), definition)
        for i in tested:
            found = rule.intervals(films.predicted[i], float(films.confidence[i]), films.spread[i], coverage)
            bounds[i] = [(math.nan, math.nan) if one is None else one for one in found]
    return bounds


@dataclass(frozen=True, slots=True)
class Covered:
    """How often intervals cover the label, on some films.

    Attributes:
        films: "all", or a severity by the prediction ("predicted 10 to 25") or by the label ("label over 40").
        angle: "an1", "an2" or "an3".
        count: films with an interval.
        share: of them whose label lies in it; None without any.
        interval: 95 % Wilson interval of the share.
        width: mean width, degrees.
    """

    films: str
    angle: str
    count: int
    share: float | None
    interval: Interval | None
    width: float | None


def coverage_table(films: OutOfFold, bounds: Floats) -> list[Covered]:
    """Coverage and mean width over all films, by predicted severity and by that of the label, for each angle.

    Args:
        films: not trained on.
        bounds: (N, 3, 2) degrees, see `cross_conformal`.
    """
    rows = []
    parts = [("all", np.ones(len(films), bool))]
    for what, angles in (("predicted", films.predicted), ("label", films.truth)):
        severity = np.searchsorted(EDGES, angles.max(axis=1), side="right")
        parts += [(f"{what} {name}", severity == k) for k, name in enumerate(SEVERITIES)]
    for name, inside in parts:
        rows += [_covered(name, j, films.truth[inside, j], bounds[inside, j]) for j in range(3)]
    return rows


def _covered(name: str, j: int, truth: Floats, bounds: Floats) -> Covered:
    from scipy.stats import binomtest  # half a second, for evaluation alone

    known = np.isfinite(bounds).all(axis=1)
    low, high, label = bounds[known, 0], bounds[known, 1], truth[known]
    count = len(label)
    if count == 0:
        return Covered(name, f"an{j + 1}", 0, None, None, None)
    inside = int(((low - 1e-9 <= label) & (label <= high + 1e-9)).sum())
    wilson = binomtest(inside, count).proportion_ci(method="wilson")
    interval = float(wilson.low), float(wilson.high)
    return Covered(name, f"an{j + 1}", count, inside / count, interval, float((high - low).mean()))
