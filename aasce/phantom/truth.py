"""Ground truth of a rendered film: landmarks, boxes, masks, centreline, angles on the film and in space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from aasce.geometry.cobb import cobb_angles
from aasce.phantom.spine.pose import LEVELS, SpinePose
from aasce.types import VERTEBRAE, Array, CobbAngles
from aasce.xray.camera import Camera
from aasce.xray.raster import path_length

FILM_LEVELS: tuple[int, ...] = tuple(LEVELS.index(level) for level in VERTEBRAE)


class Spine(Protocol):
    """A phantom, as far as `vertebra_masks` needs it."""

    def bones(self) -> Mapping[str, tuple[torch.Tensor, torch.Tensor]]:
        """By level the outer surface, (V, 3) mm vertices and (F, 3) faces."""
        ...


@dataclass(frozen=True, slots=True)
class MaximumCurvature:
    """The Cobb angle in space, in the plane of maximum curvature.

    Attributes:
        degrees: angle between the axes of the two end vertebrae.
        ends: 0-based indices into VERTEBRAE, upper and lower end vertebra.
        plane: angle in degrees of the plane of maximum curvature from the frontal (0) to the sagittal plane (90).
    """

    degrees: float
    ends: tuple[int, int]
    plane: float


@dataclass(frozen=True, slots=True)
class FilmTruth:
    """Ground truth of one rendered film.

    Attributes:
        size: (H, W).
        landmarks: (17, 4, 2) px, T1 to L5, each TL, TR, BL, BR as they lie on the film.
        points: (17, 4, 3) mm, the same landmarks in the person's frame.
        centreline: (17, 2) px from the top, the projected middles of the bodies.
        boxes: (17, 4) px, left, top, right, bottom of the landmarks.
        centroids: (17, 3) mm in the person's frame, the middles of the bodies.
        challenge, clinical: Cobb angles of the landmarks by the two definitions.
        space: the Cobb angle in the plane of maximum curvature.
    """

    size: tuple[int, int]
    landmarks: Array
    points: Array
    centreline: Array
    boxes: Array
    centroids: Array
    challenge: CobbAngles
    clinical: CobbAngles
    space: MaximumCurvature


def corners_3d(points: Mapping[str, Mapping[str, torch.Tensor]], camera: Camera) -> torch.Tensor:
    """(17, 4, 3) mm: the points where the projected endplates are widest, which are the corners that a reader marks.

    The rim of an endplate is approximated by the ellipse through its four rim points. On a rotated vertebra the
    widest points of that ellipse differ from the anatomical left and right ones.

    Args:
        points: by level its named points, mm in the person's frame.
        camera: of the film.
    """
    both = []
    for plate in ("superior", "inferior"):
        rim = [
            torch.stack([points[level][f"{plate}_{side}"] for level in VERTEBRAE])
            for side in ("left", "right", "front", "back")
        ]
        middle = (rim[0] + rim[1]) / 2
        across, along = (rim[1] - rim[0]) / 2, (rim[2] - rim[3]) / 2
        depth = (rim[2] + rim[3]) / 2 - middle
        film = camera.project(torch.stack([middle, middle + across, middle + along]))
        axis = film[1] - film[0]
        axis = axis / axis.norm(dim=-1, keepdim=True)
        width, slant = (axis * (film[1] - film[0])).sum(-1), (axis * (film[2] - film[0])).sum(-1)
        phase = torch.atan2(slant, width)[:, None]
        reach = across * torch.cos(phase) + (along + depth) * torch.sin(phase)
        ends = torch.stack([middle - reach, middle + reach], dim=1)
        x = camera.project(ends)[..., 0]
        swap = (x[:, 0] > x[:, 1])[:, None, None]
        both.append(torch.where(swap, ends.flip(1), ends))
    return torch.cat(both, dim=1)


def film_truth(
    pose: SpinePose, points: Mapping[str, Mapping[str, torch.Tensor]], camera: Camera
) -> FilmTruth:
    """Ground truth of the film that a camera takes of a phantom.

    Args:
        pose: of the spine.
        points: by level its named points, mm in the person's frame.
        camera: of the film.
    """
    corners = corners_3d(points, camera).double()
    landmarks = camera.project(corners).detach().cpu().numpy().astype(np.float64)
    centroids = pose.centre[list(FILM_LEVELS)].double()
    centreline = camera.project(centroids).detach().cpu().numpy().astype(np.float64)
    height = camera.size[0]
    return FilmTruth(
        size=camera.size,
        landmarks=landmarks,
        points=corners.detach().cpu().numpy(),
        centreline=centreline,
        boxes=np.concatenate([landmarks.min(axis=1), landmarks.max(axis=1)], axis=1),
        centroids=centroids.detach().cpu().numpy(),
        challenge=cobb_angles(landmarks, height),
        clinical=cobb_angles(landmarks, height, "clinical"),
        space=maximum_curvature(pose),
    )


def maximum_curvature(pose: SpinePose) -> MaximumCurvature:
    """The Cobb angle in the plane of maximum curvature (Stokes 1994, Spine 19:236).

    Kyphosis and lordosis bend a straight spine too. The end vertebrae are therefore the pair of T1 to L5 with the
    largest frontal angle; the result is the angle in space between their axes.
    """
    axes = pose.rotation[list(FILM_LEVELS), :, 2].double().detach().cpu().numpy()
    frontal = np.degrees(np.arctan2(axes[:, 0], axes[:, 2]))
    upper, lower = np.unravel_index(int(np.abs(frontal[:, None] - frontal[None, :]).argmax()), (17, 17))
    upper, lower = min(upper, lower), max(upper, lower)
    change = axes[upper] - axes[lower]
    angle = np.degrees(np.arccos(np.clip(axes[upper] @ axes[lower], -1, 1)))
    plane = np.degrees(np.arctan2(abs(change[1]), abs(change[0])))
    return MaximumCurvature(float(angle), (int(upper), int(lower)), float(plane))


def vertebra_masks(phantom: Spine, camera: Camera, least_mm: float = 1.0) -> Array:
    """(H, W) uint8 label map: 1 to 17 for T1 to L5 where a ray's path through the bone exceeds `least_mm`, else 0.

    Where vertebrae overlap on the film, the one with the longer path counts.

    Args:
        phantom: gives the outer surfaces of the vertebrae.
        camera: of the film.
        least_mm: mm, shortest path that counts.
    """
    surfaces = phantom.bones()
    best = np.full(camera.size, least_mm, np.float32)
    label = np.zeros(camera.size, np.uint8)
    for number, level in enumerate(VERTEBRAE, start=1):
        length = path_length(surfaces[level], camera).detach().cpu().numpy()
        label[length > best] = number
        best = np.maximum(best, length)
    return label
