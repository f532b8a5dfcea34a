"""Maps of path length through meshes, one per material, for a camera; see `aasce.xray.spans` for the method."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TypeAlias

import torch

from aasce.types import AasceError
from aasce.xray.camera import Camera
from aasce.xray.materials import check_material
from aasce.xray.mesh import Mesh
from aasce.xray.repair import check_closed, repair
from aasce.xray.spans import signed_depths

Surfaces: TypeAlias = Sequence[Mesh] | tuple[torch.Tensor, torch.Tensor]

_log = logging.getLogger("aasce")


class MaterialMaps(dict[str, torch.Tensor]):
    """Path length in mm per material, (H, W) each.

    Attributes:
        repaired: number of pixels, over all maps, that show a neighbour's value because their signs do not sum to zero.
    """

    repaired: int = 0


def path_length(surfaces: Surfaces, camera: Camera) -> torch.Tensor:
    """Length of every pixel's ray inside closed surfaces, summed over the surfaces.

    Differentiable in the vertices and in the camera's pose. Pixels whose signs do not sum to zero (possible for open
    meshes given as tensors) take the value of the nearest valid pixel, without gradient; a warning gives their number.

    Args:
        surfaces: meshes, which are checked to be closed; or (vertices, faces), which are not checked, vertices (V, 3)
            or (B, V, 3) mm of the world.
        camera: geometry of the film; a camera with B poses gives B maps.

    Returns:
        (H, W) or (B, H, W) mm, in the vertices' precision and on their device.

    Raises:
        AasceError: an open or flipped mesh, or a source inside the body.
    """
    if isinstance(surfaces, tuple) and isinstance(surfaces[0], torch.Tensor):
        vertices, faces = surfaces
        edges = camera.edges(vertices)
    else:
        edges, faces, _ = _joined(surfaces, camera)  # type: ignore[arg-type]
    maps, repaired = _render(edges, faces, torch.zeros_like(faces[:, 0]), 1, camera)
    if repaired:
        _log.warning("path length: %d pixels without a closed surface show a neighbour's value", repaired)
    return maps.squeeze(-3)


def material_maps(meshes: Sequence[Mesh], camera: Camera) -> MaterialMaps:
    """Path length per material: a mesh adds to its material and subtracts from the material it displaces.

    "air" is the distance from the source to the film minus all other materials. A map may be negative where a mesh
    extends beyond the mesh it should lie in.

    Args:
        meshes: closed, all of one precision and on one device.
        camera: geometry of the film; a camera with B poses gives (B, H, W).

    Returns:
        A map for every material of the meshes and for air; they sum to the length of the rays.

    Raises:
        AasceError: an open or flipped mesh, an unknown material, a source inside the body, a body that reaches
            through the film.
    """
    kinds = sorted({(mesh.material, mesh.inside) for mesh in meshes})
    for name in {name for kind in kinds for name in kind}:
        check_material(name)
    edges, faces, owner = _joined(meshes, camera)
    _check_film(meshes, camera)
    index = torch.tensor([kinds.index((mesh.material, mesh.inside)) for mesh in meshes], device=faces.device)
    lengths, repaired = _render(edges, faces, index.index_select(0, owner), len(kinds), camera)
    maps = MaterialMaps()
    maps.repaired = repaired
    way = camera.ray_length().to(lengths).expand(lengths.shape[:-3] + lengths.shape[-2:])
    maps["air"] = way
    for (material, inside), length in zip(kinds, lengths.unbind(-3), strict=True):
        maps[material] = maps[material] + length if material in maps else length
        maps[inside] = maps[inside] - length if inside in maps else -length
    return maps


def _joined(meshes: Sequence[Mesh], camera: Camera) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One mesh of many: edges (..., V, 3), faces (F, 3) and the index (F,) of each face's mesh."""
    if not meshes:
        raise AasceError("no mesh to render: give at least one")
    vertices = torch.cat([mesh.vertices for mesh in meshes])
    counts = [len(mesh.vertices) for mesh in meshes]
    offsets = [sum(counts[:index]) for index in range(len(counts))]
    faces = torch.cat([mesh.faces + offset for mesh, offset in zip(meshes, offsets, strict=True)])
    sizes = torch.tensor([len(mesh.faces) for mesh in meshes], device=faces.device)
    owner = torch.repeat_interleave(sizes)
    check_closed(meshes, vertices, faces, owner)
    try:
        return camera.edges(vertices), faces, owner
    except AasceError as error:
        raise AasceError(f"{_first_failing(meshes, camera)}{error}") from error


def _first_failing(meshes: Sequence[Mesh], camera: Camera) -> str:
    for mesh in meshes:
        try:
            camera.edges(mesh.vertices.detach())
        except AasceError:
            return f"{mesh.name}: "
    return ""


@torch.no_grad()
def _check_film(meshes: Sequence[Mesh], camera: Camera) -> None:
    depth = camera.place(torch.cat([mesh.vertices for mesh in meshes]))[..., 2]
    excess = float(depth.amax()) - camera.distance
    if excess > 0:
        names = [mesh.name for mesh in meshes if camera.place(mesh.vertices)[..., 2].amax() > camera.distance]
        gap = camera.distance - camera.reference + excess
        raise AasceError(
            f"{names[0]}: reaches {excess:.0f} mm through the film; give a gap above {gap:.0f} mm"
        )


def _render(
    edges: torch.Tensor, faces: torch.Tensor, channel: torch.Tensor, channels: int, camera: Camera
) -> tuple[torch.Tensor, int]:
    """Repaired lengths (..., C, H, W) mm of edges (..., V, 3), and how many pixels were repaired."""
    if not bool(edges.detach().isfinite().all()):
        raise AasceError("vertices are not all finite numbers; correct the mesh")
    maps, repaired = [], 0
    for one in edges.flatten(0, -3) if edges.ndim > 2 else edges[None]:
        depths, signs = signed_depths(one, faces, channel, channels, camera)
        mended, count = repair(depths, signs)
        maps.append(mended * camera.stretch().to(mended))
        repaired += count
    shape = (*edges.shape[:-2], channels, *camera.size)
    return torch.stack(maps).view(shape), repaired
