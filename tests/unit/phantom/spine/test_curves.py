"""Curve types: their Cobb angles, their balance and their effect in the other planes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aasce.phantom.spine.curves import FREQUENCY, PATTERNS, SpineRecord, draw_spine
from aasce.phantom.spine.pose import LEVELS
from aasce.types import AasceError

C7 = LEVELS.index("C7")


def smooth(seed: int, cobb: float, curve: str) -> SpineRecord:
    return draw_spine(np.random.default_rng(seed), cobb, curve, irregular=0.0)


@pytest.mark.parametrize("curve", PATTERNS)
@pytest.mark.parametrize("cobb", [15.0, 50.0, 95.0])
def test_the_major_cobb_angle_is_the_one_asked_for(curve: str, cobb: float) -> None:
    record = smooth(3, cobb, curve)
    tilt = np.array(record.coronal)
    between = np.abs(np.diff(tilt[list(record.ends)]))
    assert len(between) == len(PATTERNS[curve].share)
    # The share of the major curve is drawn below one only where several curves are major.
    assert 0.79 * cobb <= between.max() <= cobb + 0.01
    if all(bounds != (1, 1) for bounds in PATTERNS[curve].share):
        return
    assert between.max() == pytest.approx(cobb, abs=0.01)


@pytest.mark.parametrize("curve", PATTERNS)
def test_neighbouring_curves_bend_to_opposite_sides(curve: str) -> None:
    record = smooth(5, 40.0, curve)
    signs = np.sign(np.diff(np.array(record.coronal)[list(record.ends)]))
    assert (signs[1:] == -signs[:-1]).all()


def test_head_stands_over_the_pelvis() -> None:
    shifts = [abs(float(smooth(s, 60.0, "single thoracic").pose().centre[C7, 0])) for s in range(30)]
    assert np.median(shifts) < 30


def test_bodies_turn_toward_the_convexity() -> None:
    turned = 0
    for seed in range(30):
        record = smooth(seed, 60.0, "single thoracic")
        apex = round((record.ends[1] + record.ends[2]) / 2)
        upper, lower = record.coronal[record.ends[1]], record.coronal[record.ends[2]]
        convex_right = lower > upper
        front = record.pose().rotation[apex, :, 1]
        turned += bool((float(front[0]) > 0) == convex_right)
    assert turned >= 26


def test_most_thoracic_curves_are_convex_to_the_right() -> None:
    right = [
        r.coronal[r.ends[2]] > r.coronal[r.ends[1]]
        for r in (smooth(s, 40, "single thoracic") for s in range(60))
    ]
    assert np.mean(right) > 0.8


def test_a_seed_and_its_record_give_the_same_spine() -> None:
    first, second = (draw_spine(np.random.default_rng(9), 33.0) for _ in range(2))
    assert first == second
    again = SpineRecord.model_validate_json(first.model_dump_json())
    assert torch.equal(again.pose().centre, first.pose().centre)


def test_every_drawn_type_is_known_and_the_frequencies_add_up() -> None:
    assert sum(FREQUENCY) == pytest.approx(1)
    drawn = {draw_spine(np.random.default_rng(s), 30.0).curve for s in range(120)}
    assert drawn == set(PATTERNS)


def test_without_an_angle_the_spine_is_straight() -> None:
    record = draw_spine(np.random.default_rng(0), 0.0, irregular=0.0)
    assert record.curve == "straight"
    assert record.coronal == (0.0,) * 25


@pytest.mark.parametrize("cobb", [-1.0, 100.5, float("nan")])
def test_an_impossible_angle_is_refused(cobb: float) -> None:
    with pytest.raises(AasceError, match=r"Cobb angle of .* is impossible here; choose 0 to 100"):
        draw_spine(np.random.default_rng(0), cobb)


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(AasceError, match="curve type 'zigzag' is unknown; choose one of single thoracic"):
        draw_spine(np.random.default_rng(0), 20.0, "zigzag")
