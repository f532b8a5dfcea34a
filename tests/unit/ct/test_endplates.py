"""Endplates, heights and wedging of bodies whose planes are known."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.ct.endplates import Frame, find_body, front_of, upright_axes
from aasce.volume import Volume
from tests.unit.ct.solids import HALF, grid, inside, turned, world_of

CENTRE = np.array([3.0, -5.0, 7.0])


def vertebra(
    axes: np.ndarray, wedge: tuple[float, float] = (0.0, 0.0), spacing: tuple[float, ...] = (1, 1, 1)
) -> Volume:
    volume = grid((-60, -75, -50), (65, 55, 60), spacing)
    volume.data[inside(world_of(volume), CENTRE, axes, wedge)] = 1
    return volume


def degrees(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(one @ other, -1, 1))))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 0.8, 3.0)])
@pytest.mark.parametrize("pose", [(0.0, 0.0, 0.0), (25.0, 0.0, 0.0), (-15.0, 20.0, 12.0)])
def test_planes_of_a_turned_vertebra(pose: tuple[float, ...], spacing: tuple[float, ...]) -> None:
    axes = turned(*pose)
    # It is looked for with an axis 10 degrees off, as a line through centroids may be.
    body = find_body(
        vertebra(axes, spacing=spacing), Frame(CENTRE, upright_axes(axes[2] + 0.17 * axes[0], axes[1]))
    )
    assert body is not None
    half_voxel = 0.5 * spacing[2] + 0.1
    for plate, sign in ((body.upper, 1), (body.lower, -1)):
        assert degrees(plate.normal, axes[2]) < 0.5 + 0.7 * (spacing[2] > 1)
        assert (plate.centre - CENTRE) @ axes[2] == pytest.approx(sign * HALF[2], abs=half_voxel)
        assert np.linalg.norm(plate.across) == pytest.approx(HALF[0], abs=1.5)
        assert np.linalg.norm(plate.along) == pytest.approx(HALF[1], abs=1.5)
        assert degrees(plate.across / np.linalg.norm(plate.across), axes[0]) < 10
    assert body.heights_mm == pytest.approx([2 * HALF[2]] * 3, abs=2 * half_voxel)
    assert abs(body.wedge_sagittal) < spacing[2]
    assert abs(body.wedge_coronal) < spacing[2]


def test_wedged_bodies() -> None:
    """The upper endplate falls by 8 degrees to the front: at 0.65 of 14 mm by 9.1 tan 8 = 1.28 mm."""
    axes = turned(10.0)
    body = find_body(vertebra(axes, (8.0, 0.0)), Frame(CENTRE, axes))
    assert body is not None
    assert body.wedge_sagittal == pytest.approx(8, abs=0.7)
    assert body.wedge_coronal == pytest.approx(0, abs=0.7)
    drop = 0.65 * HALF[1] * np.tan(np.radians(8))
    assert body.heights_mm == pytest.approx([22.4 - drop, 22.4, 22.4 + drop], abs=0.6)
    other = find_body(vertebra(axes, (0.0, -6.0)), Frame(CENTRE, axes))
    assert other is not None
    assert other.wedge_coronal == pytest.approx(-6, abs=0.7)


def test_a_hole_and_a_spur_do_not_tilt_the_plane() -> None:
    volume = vertebra(turned(0.0))
    points = world_of(volume) - CENTRE
    volume.data[(np.linalg.norm(points[..., :2] - (-8, 0), axis=-1) < 4) & (points[..., 2] > 5)] = 0
    volume.data[
        (np.linalg.norm(points[..., :2] - (9, 6), axis=-1) < 3) & (np.abs(points[..., 2] - 12) < 6)
    ] = 1
    body = find_body(volume, Frame(CENTRE, np.eye(3)))
    assert body is not None
    assert degrees(body.upper.normal, np.array([0, 0, 1.0])) < 3


def test_a_body_that_the_border_cuts_has_no_endplates() -> None:
    volume = vertebra(turned(0.0))
    index = volume.to_index(CENTRE)
    cut = volume.crop((0, 0, 0), (*volume.shape[:2], int(index[2]) + 7))
    assert find_body(cut, Frame(CENTRE, np.eye(3))) is None
    assert find_body(volume, Frame(CENTRE, np.eye(3))) is not None


def test_an_arch_without_body_is_none() -> None:
    volume = vertebra(turned(0.0))
    points = world_of(volume) - CENTRE
    volume.data[points[..., 1] > -16] = 0
    assert find_body(volume, Frame(CENTRE, np.eye(3))) is None


@pytest.mark.parametrize("axial", [-25.0, 0.0, 18.0])
def test_the_front_is_away_from_the_arch(axial: float) -> None:
    axes = turned(0.0, axial=axial)
    assert degrees(front_of(vertebra(axes), CENTRE, axes[2]), axes[1]) < 2


def test_without_an_arch_the_front_is_the_worlds() -> None:
    volume = vertebra(turned(0.0, axial=20.0))
    volume.data[(world_of(volume) - CENTRE)[..., 1] < -14] = 0
    front = front_of(volume, CENTRE, np.array([0.3, 0.0, 1.0]))
    assert abs(front[0]) < 0.1
    assert front[1] > 0.99


def test_axes_are_right_handed() -> None:
    axes = upright_axes(np.array([0.1, 0.2, 2.0]), np.array([0.3, 1.0, 0.0]))
    assert axes @ axes.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1)
    assert axes[0][0] > 0.9
