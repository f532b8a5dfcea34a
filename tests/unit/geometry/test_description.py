"""Curves by their apices, sides and severity, and the distances and tilts, on spines made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.geometry.description import (
    NO_CURVE,
    Region,
    Severity,
    SpineDescription,
    describe,
    place_name,
    region_of,
    severity_of,
    wedging,
)
from aasce.types import Array, CobbAngles, Side

BOX = np.array([[-20.0, -15.0], [20.0, -15.0], [-20.0, 15.0], [20.0, 15.0]])


def column(x: Array | float = 300.0, vertebrae: int = 17) -> Array:
    """Boxes of 40 by 30 px, 40 px apart, with their centres at x."""
    y = 100.0 + 40 * np.arange(vertebrae)
    return np.stack([np.broadcast_to(x, y.shape), y], axis=1)[:, None] + BOX


def tilted(points: Array, **degrees: float) -> Array:
    """Turns single vertebrae ("v5") about their centres, positive with the right side lower."""
    points = points.copy()
    for name, tilt in degrees.items():
        v, a = int(name[1:]), np.radians(tilt)
        middle = points[v].mean(axis=0)
        points[v] = (points[v] - middle) @ np.array(
            [[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]
        ) + middle
    return points


def cobb(degrees: tuple[float, float, float], *ends: tuple[int, int] | None) -> CobbAngles:
    return CobbAngles(np.array(degrees), "challenge", ends or (None,) * 3, regions=("TL/L", "MT", "PT"))


def first_curve(
    points: Array, *ends: int, degrees: float = 30.0, left: Side | None = None
) -> SpineDescription:
    return describe(cobb((degrees, 0.0, 0.0), (ends[0], ends[1]), None, None), points, patient_left=left)


def test_a_curve_from_t6_to_l1_with_apex_t10_is_main_thoracic() -> None:
    offset = np.interp(np.arange(17), [5, 9, 12], [0.0, 40.0, 0.0])
    curve = first_curve(column(300 + offset), 5, 12).curves[0]
    assert (curve.upper, curve.apex, curve.lower) == ("T6", "T10", "L1")
    assert (curve.region, curve.severity) == ("main thoracic", "moderate")


def test_an_apex_half_way_between_two_vertebrae_is_their_disc() -> None:
    points = column(300 + np.interp(np.arange(17), [8, 10, 11, 13], [0.0, 40.0, 40.0, 0.0]))
    assert first_curve(points, 8, 13).curves[0].apex == "T11"  # of equals a vertebra, the upper one
    points[10, 2:, 0] += 4  # the lower endplate of T11 and the upper one of T12 bulge, their centres stay
    points[10, :2, 0] -= 4
    points[11, :2, 0] += 4
    points[11, 2:, 0] -= 4
    curve = first_curve(points, 8, 13).curves[0]
    assert (curve.apex, curve.region) == ("T11-12", "main thoracic")
    assert (
        first_curve(points, 15, 16).curves[0].apex == "L4-5"
    )  # neighbours have nothing but a disc between them


@pytest.mark.parametrize(
    ("place", "name", "region"),
    [
        (1, "T2", "proximal thoracic"),
        (4, "T5", "proximal thoracic"),
        (4.5, "T5-6", "proximal thoracic"),
        (5, "T6", "main thoracic"),
        (10.5, "T11-12", "main thoracic"),
        (11, "T12", "thoracolumbar"),
        (11.5, "T12-L1", "thoracolumbar"),
        (12, "L1", "thoracolumbar"),
        (12.5, "L1-2", "lumbar"),
        (15.5, "L4-5", "lumbar"),
    ],
)
def test_regions_and_names_of_apices(place: float, name: str, region: Region) -> None:
    assert (place_name(0, place), region_of(place)) == (name, region)


def test_levels_past_l5_have_numbers() -> None:
    assert (place_name(12, 4.5), place_name(12, 5.5)) == ("L5-#18", "#18-#19")


def test_the_first_level_counts() -> None:
    """The film begins at T4: its vertebra 6 is T10."""
    points = column(300 + np.interp(np.arange(14), [2, 6, 9], [0.0, 40.0, 0.0]), 14)
    found = describe(cobb((30, 0, 0), (2, 9), None, None), points, first_level=3)
    curve = found.curves[0]
    assert (curve.upper, curve.apex, curve.lower, curve.region) == ("T6", "T10", "L1", "main thoracic")
    assert found.t1_tilt_deg is found.t1_shift_px is found.trunk_height_px is None
    assert found.apex_shift_px == (None, None, None)
    assert len(found.wedging_deg) == 14


@pytest.mark.parametrize(
    ("upper", "lower", "side"), [(-10.0, 10.0, "right"), (10.0, -10.0, "left"), (3, 3, None)]
)
def test_convex_is_where_the_end_vertebrae_part(upper: float, lower: float, side: Side | None) -> None:
    """The right side of the upper one is higher, that of the lower one lower: they part to the right."""
    points = tilted(column(), v5=upper, v11=lower)
    unknown = first_curve(points, 5, 11).curves[0]
    assert (unknown.convex_image, unknown.convex) == (side, None)
    assert unknown.side == (f"image {side}" if side else "")
    same, other = (first_curve(points, 5, 11, left=left).curves[0].convex for left in ("left", "right"))
    assert same == side
    assert other == {"left": "right", "right": "left", None: None}[side]


@pytest.mark.parametrize(
    ("degrees", "severity"),
    [
        (9.94, "under 10 degrees"),
        (9.96, "mild"),  # is written 10.0
        (24.9, "mild"),
        (25.0, "moderate"),
        (40.04, "moderate"),  # is written 40.0
        (40.1, "severe"),
    ],
)
def test_severity_follows_the_angle_as_written(degrees: float, severity: Severity) -> None:
    assert severity_of(degrees) == severity


def test_patterns_count_the_curves_of_ten_degrees_from_the_head() -> None:
    offset = np.interp(np.arange(17), [1, 3, 5, 8, 11, 14, 16], [0.0, -10, 0, 40, 0, -20, 0])
    points = tilted(column(300 + offset), v1=8, v5=-10, v11=10, v16=-9)
    ends = ((5, 11), (1, 5), (11, 16))

    def pattern(*degrees: float, left: Side | None = None) -> str:
        return describe(cobb(degrees, *ends), points, patient_left=left).pattern  # type: ignore[arg-type]

    assert pattern(9, 8, 7) == NO_CURVE
    assert pattern(20, 9, 8, left="left") == "single main thoracic curve, convex right"
    assert pattern(20, 9, 8) == "single main thoracic curve, convex image right"
    assert pattern(20, 9, 19, left="left") == "double: main thoracic, convex right; lumbar, convex left"
    assert pattern(20, 18, 19, left="right") == (
        "triple: proximal thoracic, convex right; main thoracic, convex left; lumbar, convex right"
    )


def test_angles_without_landmarks_have_severity_and_no_names() -> None:
    found = describe(cobb((45.0, 20.0, 3.0)), None, patient_left="left", spacing=(1, 1))
    assert [curve.severity for curve in found.curves] == ["severe", "mild", "under 10 degrees"]
    assert {(c.upper, c.lower, c.apex, c.region, c.convex) for c in found.curves} == {("", "", "", "", None)}
    assert found.pattern == "double curve"
    assert found.wedging_deg.shape == (0,)
    assert (found.t1_shift_mm, found.apex_shift_mm) == (None, (None, None, None))


def test_landmarks_that_are_not_finite_count_as_none() -> None:
    points = column()
    points[3, 0, 0] = np.nan
    assert first_curve(points, 5, 11).curves[0].apex == ""


def test_a_vertebra_taller_on_its_right_is_wedged_by_plus_its_angle() -> None:
    points = column()
    points[2, 3, 1] += 40 * np.tan(np.radians(5))  # the lower right corner, 40 px from the left one
    points[7, 0, 1] -= 40 * np.tan(np.radians(3))  # the upper left one
    expected = np.zeros(17)
    expected[[2, 7]] = 5, -3
    np.testing.assert_allclose(wedging(points), expected, atol=1e-9)
    np.testing.assert_allclose(wedging(tilted(points, v2=60)), expected, atol=1e-9)


def test_t1_tilts_as_its_upper_endplate_does() -> None:
    points = column()
    points[0, 1] = points[0, 0] + [40, 30]
    assert describe(cobb((0, 0, 0)), points).t1_tilt_deg == pytest.approx(np.degrees(np.arctan(0.75)))


def test_shifts_and_height_in_px_and_mm() -> None:
    points = column(300 + np.interp(np.arange(17), [0, 4, 8, 12, 16], [0.0, 0, 30, 0, 0]))
    points[0, :, 0] += 10
    points[16, :, 0] += 10
    found = describe(cobb((20, 0, 0), (4, 12), None, None), points, spacing=(0.5, 0.2))
    assert found.t1_shift_px == pytest.approx(0)
    assert found.apex_shift_px[0] == pytest.approx(20)  # T9 at 330, T1 and L5 at 310
    assert found.apex_shift_mm[0] == pytest.approx(4)
    assert found.trunk_height_px == pytest.approx(16 * 40 + 30)
    assert found.trunk_height_mm == pytest.approx(335)
    points[0, :, 0] -= 35
    shifted = describe(cobb((20, 0, 0), (4, 12), None, None), points, spacing=(0.5, 0.2))
    assert (shifted.t1_shift_px, shifted.t1_shift_mm) == (pytest.approx(-35), pytest.approx(-7))


def test_the_apex_is_measured_at_right_angles_to_a_slanted_line() -> None:
    """From T1 to L5 the line runs 30 px to the right every 40 px: a triangle of 3, 4 and 5."""
    x = 100.0 + 30 * np.arange(17)
    x[8] += 50
    found = describe(cobb((20, 0, 0), (4, 12), None, None), column(x))
    assert found.curves[0].apex == "T9"
    assert found.apex_shift_px[0] == pytest.approx(50 * 4 / 5)
