"""Intervals cover what they promise, by hand and on films whose errors are known."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from aasce.datasets import grouped_folds
from aasce.scoring import conformal
from aasce.scoring.conformal import (
    IntervalRule,
    OutOfFold,
    SeverityGroup,
    checked_coverage,
    coverage_table,
    cross_conformal,
    fit_intervals,
    hardness,
    joined_edges,
    quantile,
)
from aasce.types import AasceError

NINE = tuple(float(k) for k in range(1, 10))


def drawn(count: int, seed: int = 0) -> OutOfFold:
    """Errors of standard deviation 2 * odds against the confidence ** 0.5 * (1 + spread) ** 0.5; angles 5 to 60."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.3, 0.95, count)
    spread = rng.uniform(0, 6, (count, 3))
    sd = 2.0 * np.sqrt((1 - confidence) / confidence)[:, None] * np.sqrt(1 + spread)
    truth = np.column_stack([rng.uniform(5, 60, count), np.full(count, 4.0), np.full(count, 4.0)])
    return OutOfFold(truth + rng.normal(0, 1, truth.shape) * sd, truth, confidence, spread)


def rule(scores: tuple[float, ...] = NINE, low: tuple[float, ...] = (1.0,)) -> IntervalRule:
    """Expected errors are 1 degree at confidence 0.5, twice that where the members lie 1 degree apart."""
    groups = (
        SeverityGroup(below=25.0, scores=(low, low, low)),
        SeverityGroup(below=None, scores=(scores, scores, scores)),
    )
    scale = (0.0, 0.5, 1.0)
    return IntervalRule(definition="challenge", films=10, scales=(scale, scale, scale), groups=groups)


def test_the_quantile_is_the_finite_sample_one() -> None:
    """ceil((9 + 1) * 0.9) = 9th of nine; ceil(10 * 0.91) = 10th, which is not there; ceil(10 * 0.5) = 5th."""
    assert (quantile(NINE, 0.9), quantile(NINE, 0.91), quantile(NINE, 0.5)) == (9.0, None, 5.0)
    assert quantile((), 0.5) is None
    assert quantile(tuple(range(99)), 0.99) == 98  # 99 films are the fewest for 99 %


def test_an_interval_by_hand() -> None:
    found = rule().intervals((30.0, 10.0, 4.0), confidence=0.5, coverage=0.8)
    assert found == ((22.0, 38.0), (2.0, 18.0), (0.0, 12.0))  # 8th score, and no angle below 0
    doubted = rule().intervals((30.0, 10.0, 4.0), confidence=0.2, coverage=0.8)
    assert doubted[0] == pytest.approx(
        (14.0, 46.0)
    )  # odds against 4 to 1: exp(0.5 * log 4) = 2 times as wide
    apart = rule().intervals((30.0, 10.0, 4.0), 0.5, spread=(1.0, 0.0, 0.0), coverage=0.8)
    assert apart[0] == pytest.approx((14.0, 46.0))  # 1 + spread = 2 times as wide
    assert apart[1] == (2.0, 18.0)


def test_too_few_films_give_none_for_that_severity_alone() -> None:
    assert rule().intervals((24.9, 3.0, 3.0), 0.5, coverage=0.9) == (None, None, None)
    assert rule().intervals((25.0, 3.0, 3.0), 0.5, coverage=0.9)[0] == (16.0, 34.0)
    # One film covers half of all: of it and the next, either is the worse one.
    assert rule().intervals((24.9, 3.0, 3.0), 0.5, coverage=0.5)[0] == (23.9, 25.9)


def test_the_severity_is_that_of_the_largest_angle() -> None:
    assert rule().group_of(np.array([10.0, 26.0, 3.0])) == 1
    assert rule().group_of(np.array([10.0, 3.0, 3.0])) == 0


@pytest.mark.parametrize(
    ("counts", "edges"),
    [
        ((50, 60, 70, 80), [10, 25, 40, math.inf]),
        ((3, 60, 70, 80), [25, 40, math.inf]),
        ((50, 60, 10, 80), [10, 40, math.inf]),  # to the neighbour with fewer films
        ((5, 40, 70, 3), [25, math.inf]),  # 3 to 70, and 5 to 40
        ((5, 10, 70, 3), [math.inf]),  # 3 to 70, 5 to 10, and 15 to 73
        ((2, 2, 2, 2), [math.inf]),
    ],
)
def test_severities_with_few_films_are_joined(counts: tuple[int, ...], edges: list[float]) -> None:
    largest = np.repeat([5.0, 10.0, 39.9, 40.0], counts)
    assert joined_edges(largest) == edges


def test_the_scale_is_found_again() -> None:
    """A normal error's mean size is sqrt(2 / pi) of its standard deviation, here 2 * exp(0.5 * hardness)."""
    fitted = fit_intervals(drawn(20_000))
    for a, b, c in fitted.scales:
        assert math.exp(a) == pytest.approx(2 * math.sqrt(2 / math.pi), rel=0.05)
        assert (b, c) == pytest.approx((0.5, 0.5), abs=0.05)


def test_more_doubt_never_means_a_narrower_interval() -> None:
    films = drawn(400)
    turned = OutOfFold(films.predicted, films.truth, 1 - films.confidence, films.spread)
    for _, b, c in fit_intervals(turned).scales:
        assert b == 0
        assert c > 0
    still = OutOfFold(films.predicted, films.truth, np.full(400, 0.5), np.zeros((400, 3)))
    error = np.abs(films.predicted - films.truth).mean(axis=0)
    assert [math.exp(a) for a, _, _ in fit_intervals(still).scales] == pytest.approx(error.tolist())


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_new_films_are_covered_as_often_as_promised(coverage: float) -> None:
    """Calibrated on 2,000 films, tried on 4,000 others; 4 standard deviations of both draws together."""
    fitted, films = fit_intervals(drawn(2_000, seed=1)), drawn(4_000, seed=2)
    bounds = np.array([
        fitted.intervals(films.predicted[i], films.confidence[i], films.spread[i], coverage) for i in range(4_000)
    ])  # fmt: skip
    inside = (bounds[..., 0] <= films.truth) & (films.truth <= bounds[..., 1])
    slack = 4 * math.sqrt(coverage * (1 - coverage) * (1 / 2_000 + 1 / 4_000))
    assert inside.mean(axis=0) == pytest.approx(coverage, abs=slack)
    for low, high in ((10, 25), (25, 40), (40, 99)):
        some = (films.predicted.max(axis=1) >= low) & (films.predicted.max(axis=1) < high)
        slack = 4 * math.sqrt(coverage * (1 - coverage) * (1 / some.sum() + 2 / some.sum()))
        assert inside[some].mean(axis=0) == pytest.approx(coverage, abs=slack)


def test_coverage_out_of_fold() -> None:
    films = drawn(500)
    folds = grouped_folds([f"study{i // 3}" for i in range(500)], 5)
    bounds = cross_conformal(films, folds, coverage=0.9)
    other = fit_intervals(films.subset(folds[0][0]))
    i = folds[0][1][0]
    expected = other.intervals(films.predicted[i], films.confidence[i], films.spread[i], 0.9)
    assert bounds[i].tolist() == [list(one) for one in expected if one is not None]
    rows = {(row.films, row.angle): row for row in coverage_table(films, bounds)}
    assert len(rows) == 27  # all, four severities by prediction and four by label, times three angles
    whole = rows["all", "an1"]
    assert whole.count == 500
    assert whole.share == pytest.approx(0.9, abs=0.05)
    assert whole.interval is not None
    assert whole.interval[0] < 0.9 < whole.interval[1]
    assert whole.width == pytest.approx(float(np.ptp(bounds[:, 0], axis=1).mean()))
    parts = [rows[f"label {name}", "an1"].count for name in conformal.SEVERITIES]
    assert sum(parts) == 500


def test_coverage_by_hand() -> None:
    films = OutOfFold(np.full((4, 3), 30.0), np.full((4, 3), 30.0), np.full(4, 0.5), np.zeros((4, 3)))
    bounds = np.tile([29.0, 31.0], (4, 3, 1))
    bounds[0, 0] = [31.0, 33.0]
    bounds[1, 0] = np.nan
    rows = {(row.films, row.angle): row for row in coverage_table(films, bounds)}
    assert rows["all", "an1"].count == 3
    assert rows["all", "an1"].share == pytest.approx(2 / 3)
    # Wilson, 2 of 3: (2/3 + z^2/6 -+ z sqrt(2/27 + z^2/36)) / (1 + z^2/3), z = 1.96
    assert rows["all", "an1"].interval == pytest.approx((0.2077, 0.9385), abs=2e-4)
    assert (rows["predicted 25 to 40", "an2"].share, rows["predicted 25 to 40", "an2"].width) == (1.0, 2.0)
    assert (rows["label under 10", "an1"].count, rows["label under 10", "an1"].share) == (0, None)


def test_a_rule_comes_back_from_json() -> None:
    fitted = fit_intervals(drawn(200), "clinical")
    text = json.dumps(fitted.model_dump(mode="json"))
    assert IntervalRule.model_validate_json(text) == fitted
    assert len(text) < 8_000


@pytest.mark.parametrize("wrong", [0.49, 0.991, 90.0, math.nan])
def test_a_coverage_that_cannot_be_is_refused(wrong: float) -> None:
    assert checked_coverage(0.99) == 0.99
    with pytest.raises(AasceError, match=r"--coverage .*: is from 0.5 to 0.99"):
        checked_coverage(wrong)


def test_no_film_or_no_number_is_refused() -> None:
    films = drawn(3)
    with pytest.raises(ValueError, match="at least one film with finite angles"):
        fit_intervals(films.subset([]))
    films.predicted[1, 1] = np.nan
    with pytest.raises(ValueError, match="at least one film with finite angles"):
        fit_intervals(films)


def test_full_confidence_is_finite() -> None:
    assert np.isfinite(hardness(np.array([0.0, 1.0]), np.zeros((2, 3)))).all()
