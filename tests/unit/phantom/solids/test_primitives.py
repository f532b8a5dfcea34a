"""Simple bodies: closed, and of the volume by their formulas; stored bones in one small file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aasce.phantom.solids.primitives import (
    DATA,
    Solid,
    ball,
    bead,
    box,
    disc,
    loop,
    merged,
    ring,
    rod,
    spline,
    stored,
    thinned,
)
from tests.unit.phantom.surfaces import assert_closed, volume

X, Y, Z = np.eye(3)
HERE = np.array([3.0, -5.0, 70.0])
CIRCLE = loop(HERE, 20 * X, 20 * Z, 60)

BODIES: dict[str, tuple[Solid, float, float]] = {
    # body, volume by its formula, relative tolerance for its corners
    "rod": (rod(np.stack([HERE, HERE + 50 * Z]), 4.0, 12, 0.0), np.pi * 16 * 50, 1e-9),
    "disc": (disc(HERE, Y, 6.0, 2.0), np.pi * 36 * 2, 1e-9),
    "box": (box(HERE, np.diag([1.0, 2.0, 3.0])), 48.0, 1e-9),
    "ball": (ball(HERE, 10.0, 2), 4 / 3 * np.pi * 1000, 0.04),
    "bead": (bead(HERE, 2.0), 4 / 3 * np.pi * 8, 1e-9),
    "ring": (ring(CIRCLE, 1.5, 12), 2 * np.pi * 20 * np.pi * 1.5**2, 0.06),
}


@pytest.mark.parametrize("name", BODIES)
def test_body_is_closed_and_has_its_volume(name: str) -> None:
    solid, expected, tolerance = BODIES[name]
    mesh = merged(name, "steel", "soft", [solid, (solid[0] + 200, solid[1][:, ::-1])], torch.float64)
    assert_closed(mesh)
    assert volume(mesh) == pytest.approx(2 * expected, rel=tolerance)


def test_spline_runs_through_its_points_and_keeps_a_line_straight() -> None:
    bent = np.array([[0, 0, 0], [10, 0, 5], [12, 3, 20], [0, 0, 30]], float)
    assert spline(bent, 4)[::4] == pytest.approx(bent)
    straight = np.outer(np.arange(4.0), [1, 2, 3])
    assert spline(straight, 5) == pytest.approx(np.outer(np.arange(16) / 5, [1, 2, 3]))


def test_thinner_cortex_leaves_more_marrow() -> None:
    vertices, faces = stored("femur/marrow")
    sizes = [
        volume(
            merged("m", "marrow", "cortex", [(thinned("femur/marrow", cortex, 2.5), faces)], torch.float64)
        )
        for cortex in (0.6, 1.0, 1.3)
    ]
    assert sizes[0] > 1.05 * sizes[1] > 1.05 * sizes[2]
    assert thinned("femur/marrow", 1.0, 2.5) == pytest.approx(vertices)


def test_stored_bones_are_small() -> None:
    assert DATA.stat().st_size < 300_000
