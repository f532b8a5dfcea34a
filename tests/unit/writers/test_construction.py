"""Where Cobb lines go, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from aasce.writers.construction import construct, enclosed_degrees

Floats = NDArray[np.float64]
WIDE = (-1000.0, -1000.0, 1000.0, 1000.0)
NARROW = (0.0, 0.0, 200.0, 400.0)


def vertebra(x: float, y: float, degrees: float = 0.0) -> Floats:
    """60 x 40 px about (x, y), turned clockwise on the film."""
    t = math.radians(degrees)
    box = np.array([[-30, -20], [30, -20], [-30, 20], [30, 20]], dtype=np.float64)
    return box @ np.array([[math.cos(t), math.sin(t)], [-math.sin(t), math.cos(t)]]) + (x, y)


def test_lines_meet_on_the_side_where_they_converge() -> None:
    """Upper endplate on y = 100, lower one from (100, 300) up at 45 degrees: they meet at (300, 100)."""
    lower = np.array([[0, 0], [0, 0], [100, 300], [140, 260]], dtype=np.float64)
    curve = construct(vertebra(130, 120), lower, WIDE)
    assert curve is not None
    assert curve.kind == "crossing"
    assert curve.vertex == pytest.approx([300.0, 100.0])
    assert curve.side == 1
    assert enclosed_degrees(curve) == pytest.approx(45.0)
    assert curve.perpendiculars.shape == (0, 2, 2)
    # 35 % of a 60 px endplate past each end: from x = 100 - 21 to 300 + 21
    assert sorted(curve.lines[0, :, 0]) == pytest.approx([79.0, 321.0])
    assert curve.lines[0, :, 1] == pytest.approx([100.0, 100.0])


def test_mirrored_curve_is_the_mirror_image() -> None:
    upper, lower = vertebra(130, 120, 10), vertebra(130, 320, -15)
    swap = [1, 0, 3, 2]
    mirror = np.array([-1.0, 1.0])
    right = construct(upper, lower, WIDE)
    left = construct(upper[swap] * mirror, lower[swap] * mirror, WIDE)
    assert right is not None
    assert left is not None
    assert (right.side, left.side) == (1, -1)
    assert left.vertex == pytest.approx(right.vertex * mirror)


@pytest.mark.parametrize(
    ("upper", "lower", "angle"), [(10, -15, 25), (-12, 8, 20), (0, 0, 0), (3, 1, 2), (30, -30, 60)]
)
def test_perpendiculars_stand_upright_and_enclose_the_same_angle(
    upper: float, lower: float, angle: float
) -> None:
    curve = construct(vertebra(100, 100, upper), vertebra(100, 300, lower), (90.0, 0.0, 110.0, 400.0))
    assert curve is not None
    assert curve.kind == "perpendicular"
    assert enclosed_degrees(curve) == pytest.approx(angle, abs=1e-5)
    for line, perpendicular in zip(curve.lines, curve.perpendiculars, strict=True):
        along, across = line[1] - line[0], perpendicular[1] - perpendicular[0]
        assert along @ across == pytest.approx(0.0, abs=1e-6)
        offset = perpendicular[0] - line[0]
        assert along[0] * offset[1] - along[1] * offset[0] == pytest.approx(0.0, abs=1e-6)  # foot on the line


def test_vertex_of_perpendiculars_stands_beside_the_spine_halfway_between_the_lines() -> None:
    """Parallel endplates at y = 80 and 320, right ends at x = 130: 0.9 of their 60 px beside them."""
    curve = construct(vertebra(100, 100), vertebra(100, 300), NARROW)
    assert curve is not None
    assert curve.vertex == pytest.approx([184.0, 200.0])
    assert curve.perpendiculars[:, 0] == pytest.approx(np.array([[184.0, 80.0], [184.0, 320.0]]))


def test_vertex_stays_within_the_bounds() -> None:
    curve = construct(vertebra(100, 100), vertebra(100, 300), (0.0, 0.0, 150.0, 400.0))
    assert curve is not None
    assert curve.vertex == pytest.approx([150.0, 200.0])


def test_an_upright_endplate_can_be_drawn() -> None:
    curve = construct(vertebra(100, 100, 90), vertebra(100, 300, 90), NARROW)
    assert curve is not None
    assert np.isfinite(curve.lines).all()
    assert np.isfinite(curve.perpendiculars).all()


def test_nothing_is_drawn_without_endplates() -> None:
    assert construct(np.zeros((4, 2)), vertebra(100, 300), NARROW) is None
    assert construct(vertebra(100, 100), np.full((4, 2), np.nan), NARROW) is None
