"""Closed surfaces from rings: counts, volumes of known bodies, orientation."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.phantom.solids.loft import (
    at_shares,
    bezier,
    circle,
    close,
    ellipsoid,
    frames,
    loft_faces,
    resample,
    signed_volume,
    smoothstep,
    to_mesh,
    tube,
)
from aasce.xray.repair import check_mesh


@pytest.mark.parametrize(("rings", "sides"), [(2, 3), (5, 8), (15, 6)])
def test_faces_close_the_surface(rings: int, sides: int) -> None:
    faces = loft_faces(rings, sides)
    assert len(faces) == 2 * rings * sides
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    there = {tuple(edge) for edge in edges.tolist()}
    assert len(there) == len(edges), "an edge is walked twice in one direction"
    assert all((b, a) in there for a, b in there), "an edge has one face only"


def test_tube_has_the_volume_of_an_elliptic_cylinder() -> None:
    line = np.stack([np.zeros(5), np.zeros(5), np.linspace(0, 40, 5)], -1)
    radii = np.broadcast_to([3.0, 2.0], (5, 2))
    vertices = tube(line, *frames(line, np.array([1.0, 0, 0])), radii, 12, bulge=0.0)
    # The polygon has the circle's area, so the volume is pi * 3 * 2 * 40.
    assert signed_volume(vertices, loft_faces(5, 12)) == pytest.approx(np.pi * 240, rel=1e-9)


def test_ellipsoid_has_its_volume_and_points_outwards() -> None:
    vertices = ellipsoid(np.array([5.0, -3, 2]), np.diag([4.0, 6, 9]), 40, 60)
    assert signed_volume(vertices, loft_faces(40, 60)) == pytest.approx(4 / 3 * np.pi * 216, rel=0.01)


def test_polygon_has_the_area_of_the_circle() -> None:
    x, y = circle(7)
    area = 0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))
    assert area == pytest.approx(np.pi)


def test_to_mesh_turns_faces_outwards() -> None:
    vertices = ellipsoid(np.zeros(3), np.eye(3), 6, 8)
    for faces in (loft_faces(6, 8), loft_faces(6, 8)[:, ::-1]):
        check_mesh(to_mesh("ball", "soft", "air", vertices, faces))


def test_mirrored_tubes_are_each_others_mirror_images() -> None:
    right = bezier([np.array(p, float) for p in ([0, 0, 0], [30, -20, 5], [60, 10, -20], [40, 60, -50])], 9)
    sign = np.array([-1.0, 1, 1])
    both = np.stack([right, right * sign])
    surface = tube(both, *frames(both, np.array([0, 0, 1.0])), np.full((2, 9, 2), 4.0), 8)
    mirrored = {tuple(p) for p in np.round(surface[1] * sign, 6).tolist()}
    assert mirrored == {tuple(p) for p in np.round(surface[0], 6).tolist()}


def test_poles_default_to_the_middles() -> None:
    ring = np.array([[[0.0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]]])
    vertices = close(np.concatenate([ring, ring + np.array([0, 0, 3.0])]))
    assert vertices[-2].tolist() == [1, 1, 0]
    assert vertices[-1].tolist() == [1, 1, 3]


def test_sampling_along_curves() -> None:
    bent = np.array([[0.0, 0, 0], [3, 0, 0], [3, 9, 0]])
    # Quarters of a length of 12: 3, 6 and 9 mm along.
    assert resample(bent, 5).tolist() == [[0, 0, 0], [3, 0, 0], [3, 3, 0], [3, 6, 0], [3, 9, 0]]
    assert at_shares(bent, np.array([0.25, 1.0])).tolist() == [[1.5, 0, 0], [3, 9, 0]]
    assert smoothstep(2.0, 4.0, np.array([1.0, 3.0, 5.0])).tolist() == [0, 0.5, 1]
