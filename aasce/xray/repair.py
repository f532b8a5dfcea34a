"""Checks that meshes are closed, and repair of pixels where open ones were rendered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from aasce.types import AasceError
from aasce.xray.mesh import Mesh


def repair(maps: torch.Tensor, signs: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Replaces pixels whose signs do not sum to zero by the nearest pixel whose signs do.

    As in Shetty et al. (2021), section 2.1; no gradient flows through such a pixel. A map without any valid pixel
    becomes zero.

    Args:
        maps: (C, H, W).
        signs: (C, H, W) sign sums.

    Returns:
        The repaired maps and the number of repaired pixels.
    """
    broken = signs != 0
    count = int(broken.sum())
    if not count:
        return maps, 0
    repaired = [
        _repaired(one, bad) if bool(bad.any()) else one for one, bad in zip(maps, broken, strict=True)
    ]
    return torch.stack(repaired), count


def _repaired(one: torch.Tensor, broken: torch.Tensor) -> torch.Tensor:
    if bool(broken.all()):
        return one.new_zeros(one.shape)
    nearest = distance_transform_edt(broken.cpu().numpy(), return_distances=False, return_indices=True)
    row, column = torch.as_tensor(nearest, dtype=torch.int64, device=one.device)
    return torch.where(broken, one.detach()[row, column], one)


def check_mesh(mesh: Mesh) -> None:
    """Checks that a mesh is a closed surface with all faces counter-clockwise seen from outside.

    Raises:
        AasceError: one line with the mesh, the fault and how to correct it.
    """
    _check_numbers(mesh)
    faces = mesh.faces.detach().cpu().numpy()
    _check_edges(mesh.name, faces, len(mesh.vertices))
    _check_outwards(mesh, faces)


@torch.no_grad()
def check_closed(
    meshes: Sequence[Mesh], vertices: torch.Tensor, faces: torch.Tensor, owner: torch.Tensor
) -> None:
    """`check_mesh` of many joined meshes in a few milliseconds: only meshes that fail a quick test are checked fully.

    In a closed mesh the two faces at an edge pass it in opposite directions. A hash of the edge, positive in one
    direction and negative in the other, then sums to exactly zero.

    Args:
        meshes: the parts of the joined mesh.
        vertices: (V, 3) joined.
        faces: (F, 3) joined.
        owner: (F,) index of each face's mesh.
    """
    if len(faces) and (int(faces.min()) < 0 or int(faces.max()) >= len(vertices)):
        for mesh in meshes:
            _check_numbers(mesh)
    balance = torch.zeros(len(meshes), dtype=torch.int64, device=faces.device)
    for begin, end in ((0, 1), (1, 2), (2, 0)):
        balance.index_add_(0, owner, _edge_hash(faces[:, begin], faces[:, end]))
    one, two, three = (vertices.detach().index_select(0, faces[:, corner]) for corner in range(3))
    pieces = ((two - one).cross(three - one, dim=1) * one).sum(1).to(torch.float64)
    volume = torch.zeros(len(meshes), dtype=torch.float64, device=faces.device).index_add_(0, owner, pieces)
    for index in torch.nonzero((balance != 0) | ~(volume > 0)).flatten().tolist():
        check_mesh(meshes[index])


def _edge_hash(begin: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """Hash of an undirected edge (splitmix64's multipliers), with the sign of its direction."""
    key = torch.minimum(begin, end) * -7046029254386353131 + torch.maximum(begin, end)
    key = (key ^ (key >> 30)) * -4658895280553007687
    key = (key ^ (key >> 27)) * -7723592293110705685
    return (key ^ (key >> 31)) * (end - begin).sign()


def _check_numbers(mesh: Mesh) -> None:
    if mesh.vertices.ndim != 2 or mesh.faces.ndim != 2 or not len(mesh.faces):
        raise AasceError(
            f"mesh {mesh.name!r}: vertices are (V, 3), faces (F, 3) and not empty, "
            f"not {tuple(mesh.vertices.shape)}, {tuple(mesh.faces.shape)}"
        )
    if not bool(mesh.vertices.detach().isfinite().all()):
        raise AasceError(f"mesh {mesh.name!r}: has vertices that are not finite numbers; correct them")
    if int(mesh.faces.min()) < 0 or int(mesh.faces.max()) >= len(mesh.vertices):
        raise AasceError(
            f"mesh {mesh.name!r}: a face names vertex {int(mesh.faces.max())} of {len(mesh.vertices)}; "
            "indices begin at 0"
        )


def _check_edges(name: str, faces: np.ndarray[tuple[int, ...], np.dtype[np.int64]], vertices: int) -> None:
    """Every edge must be passed equally often in both directions."""
    begin, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    keys = np.minimum(begin, end) * vertices + np.maximum(begin, end)
    edges, index = np.unique(keys[begin != end], return_inverse=True)
    walks = np.sign(end - begin)[begin != end]
    uneven = np.bincount(index, walks, len(edges)) != 0
    odd = np.bincount(index, minlength=len(edges)) % 2 == 1
    if odd.any():
        raise AasceError(
            f"mesh {name!r}: has holes ({odd.sum()} open edges); close it, "
            "or join vertices that lie on one another (trimesh: merge_vertices, fill_holes)"
        )
    if uneven.any():
        raise AasceError(
            f"mesh {name!r}: has flipped faces (at {uneven.sum()} edges); "
            "wind all faces counter-clockwise seen from outside (trimesh: fix_normals)"
        )


def _check_outwards(mesh: Mesh, faces: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> None:
    """A part of negative volume must be a cavity, within the box of a part of positive volume."""
    points = mesh.vertices.detach().cpu().numpy().astype(np.float64)
    links = coo_array(
        (np.ones(2 * len(faces)), (faces[:, [0, 1]].ravel(), faces[:, [1, 2]].ravel())),
        shape=(len(points), len(points)),
    )
    count, part = connected_components(links, directed=False)
    one, two, three = (points[faces[:, corner]] for corner in range(3))
    middle = points.mean(axis=0)
    pieces = (np.cross(two - one, three - one) * (one - middle)).sum(axis=1)
    volume = np.bincount(part[faces[:, 0]], pieces, count)
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    np.minimum.at(low, part, points)
    np.maximum.at(high, part, points)
    solid = np.flatnonzero(volume > 0)
    for hollow in np.flatnonzero(volume < 0):
        within = (low[solid] <= low[hollow]).all(axis=1) & (high[solid] >= high[hollow]).all(axis=1)
        if not within.any():
            raise AasceError(f"mesh {mesh.name!r}: is inside out; turn its faces round (faces[:, [0, 2, 1]])")
    if not len(solid):
        raise AasceError(f"mesh {mesh.name!r}: encloses no volume; give a closed surface")
