"""Changes with age: increasing rates, valid records."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.phantom.spine.ageing import (
    GENANT,
    draw_disc_factors,
    draw_fracture,
    draw_osteophytes,
    fracture_rate,
    signs_of_age,
)
from aasce.phantom.spine.pose import LEVELS


def test_fractures_rise_with_age_and_peak_at_the_thoracolumbar_junction() -> None:
    assert fracture_rate("L1", 20) == 0
    assert fracture_rate("L1", 60) < fracture_rate("L1", 85)
    assert max(LEVELS, key=lambda level: fracture_rate(level, 80)) == "L1"
    assert fracture_rate("C5", 80) == 0


def test_fractures_of_a_spine_add_up_to_the_rate_of_persons() -> None:
    # 18 % of persons of 85 with 1.7 fractures each.
    assert sum(fracture_rate(level, 85.0) for level in LEVELS) == pytest.approx(0.18 * 1.7)


def test_drawn_fractures_fit_their_grades() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_fracture(rng) for _ in range(300)]
    for one in drawn:
        low, high = GENANT[one["fracture_grade"]]
        assert low <= one["fracture_loss"] <= high
    assert {one["fracture_type"] for one in drawn} == {"wedge", "biconcave", "crush"}
    assert {one["fracture_grade"] for one in drawn} == {1, 2, 3}


def test_osteophytes_grow_with_age() -> None:
    def mean(age: float) -> float:
        rng = np.random.default_rng(1)
        return float(np.mean([list(draw_osteophytes("L4", rng, age).values()) for _ in range(200)]))

    assert mean(22) < 0.01
    assert mean(50) < mean(80)
    assert 0.8 < mean(80) < 3.5


def test_bone_thins_with_age() -> None:
    rng = np.random.default_rng(2)
    old = np.mean([signs_of_age("T5", rng, 80.0)["marrow_density"] for _ in range(200)])
    young = np.mean([signs_of_age("T5", rng, 30.0)["marrow_density"] for _ in range(200)])
    assert old == pytest.approx(young / 2, rel=0.1)


def test_discs_lose_height_with_age_and_are_higher_before_growth_ends() -> None:
    def mean(age: float) -> float:
        rng = np.random.default_rng(3)
        return float(np.mean([draw_disc_factors(rng, age)["L4"] for _ in range(200)]))

    assert mean(13) > 1.03
    assert mean(30) == pytest.approx(1.0, abs=0.02)
    assert mean(80) < 0.85
    assert tuple(draw_disc_factors(np.random.default_rng(0), 50)) == LEVELS[1:-1]
