"""The table of sizes: complete, and compatible with the spacing of real spines."""

from __future__ import annotations

from dataclasses import astuple

import pytest

from aasce.phantom.spine.anthropometry import body_height, deviations, disc_height, means, reach, spacing
from aasce.phantom.spine.pose import LEVELS
from aasce.phantom.spine.statistics import scan_statistics


def test_every_level_has_positive_sizes() -> None:
    assert tuple(means()) == LEVELS
    for level in LEVELS[1:]:
        size = means()[level]
        assert (
            min(size.upper_width, size.lower_depth, size.front_height, size.pedicle_width, size.canal_depth)
            > 4
        )


@pytest.mark.parametrize("level", LEVELS[:-2])
def test_half_heights_and_discs_add_up_to_the_spacing_of_real_spines(level: str) -> None:
    measured = scan_statistics().spacing_mean[LEVELS.index(level)]
    assert spacing(level) == pytest.approx(measured, abs=0.5)


def test_nothing_stands_below_the_sacrum() -> None:
    with pytest.raises(ValueError, match="last level"):
        spacing("S1")


def test_spreads_are_a_few_per_cent_of_the_sizes() -> None:
    for level in LEVELS[2:]:
        mean, spread = means()[level], deviations()[level]
        assert 0.03 < spread.upper_width / mean.upper_width < 0.15
        assert all(value >= 0 for value in astuple(spread))


def test_thoracic_bodies_lean_into_the_kyphosis_and_l5_into_the_lordosis() -> None:
    assert all(body_height(level)[0] < body_height(level)[1] for level in ("T5", "T7", "T12"))
    assert body_height("L5")[0] > body_height("L5")[1]
    assert disc_height("L4")[0] > disc_height("L4")[1]
    assert disc_height("C1") == (0, 0)


def test_the_axis_stands_on_its_dens() -> None:
    up, down = reach("C2")
    assert down == 13.4
    assert up + down == means()["C2"].height
