"""Checks and measures of surfaces for the phantom's tests, without a mesh library."""

from __future__ import annotations

import numpy as np

from aasce.xray.mesh import Mesh


def assert_closed(mesh: Mesh) -> None:
    """Every edge belongs to exactly two faces that pass it in opposite directions, and the volume is positive."""
    vertices, faces = mesh.vertices.double().numpy(), mesh.faces.numpy()
    assert np.isfinite(vertices).all(), mesh.name
    assert faces.min() == 0, mesh.name
    assert faces.max() == len(vertices) - 1, mesh.name
    edges = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    key = edges[:, 0] * len(vertices) + edges[:, 1]
    back = edges[:, 1] * len(vertices) + edges[:, 0]
    assert len(np.unique(key)) == len(key), f"{mesh.name}: two faces walk an edge the same way"
    assert np.array_equal(np.sort(key), np.sort(back)), f"{mesh.name}: an edge has one face"
    assert volume(mesh) > 0, f"{mesh.name}: inside out"


def volume(mesh: Mesh) -> float:
    """Cubic mm enclosed, by the divergence theorem."""
    vertices, faces = mesh.vertices.double().numpy(), mesh.faces.numpy()
    a, b, c = (vertices[faces[:, k]] - vertices[0] for k in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def extent(mesh: Mesh, axis: int) -> float:
    """mm from the lowest to the highest vertex along an axis."""
    side = mesh.vertices[:, axis]
    return float(side.max() - side.min())
