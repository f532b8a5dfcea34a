"""Body and endplates of a segmented vertebra: planes, rims, heights and wedging.

The body is told from the arch without any label of parts: at mid-height it ends in front at the anterior wall and
behind at the spinal canal, in the middle line of the vertebra. Its endplates are the ends of the mask along the
vertebra's axis over the inner part of the body's cross-section, and a robust plane is fitted to each.

A vertebra's frame: right, front and up of the vertebra, in mm from its centroid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import least_squares

from aasce.types import Array
from aasce.volume import Volume

Floats = NDArray[np.float64]

STEP_MM, FINE_MM = 1.0, 0.75
"""Distance of the samples across and along the vertebra's axis."""
REACH_MM = (30.0, 26.0, 27.0)
"""To either side, in front and behind, above and below the centroid."""
INNER = 0.8
"""Of the body's half axes: the rim beyond bears osteophytes and, in the neck, the uncinate processes."""
BAND = (0.5, 0.8)
"""Of the half depth, where the anterior and posterior heights are taken."""
_SLAB_MM, _MIDLINE_MM = 4.0, 4.0
_LEAST_MM, _MOST_MM = 4.0, 34.0  # half axes of a body
_LEAST_POINTS = 20
_BORDER_SHARE = 0.1
_ROUNDS = 2


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Where a vertebra is and how it stands.

    Attributes:
        origin: (3,) world mm.
        axes: (3, 3), rows right, front, up: unit vectors in the world.
    """

    origin: Floats
    axes: Floats

    def to_world(self, local: Array) -> Floats:
        """(..., 3) mm of the vertebra's frame to world mm."""
        return np.asarray(local, np.float64) @ self.axes + self.origin

    def raised(self, up: Array) -> Frame:
        """The same place with another axis, turned as little as possible."""
        return Frame(self.origin, upright_axes(up, self.axes[1]))


@dataclass(frozen=True, slots=True, eq=False)
class Endplate:
    """A plane through an endplate.

    Attributes:
        centre: (3,) world mm.
        normal: (3,) unit vector towards the head, of upper and lower endplates alike.
        across, along: (3,) mm from the centre to the rim on the right and in front, in the plane.
        residual_mm: median distance of the endplate from the plane.
    """

    centre: Floats
    normal: Floats
    across: Floats
    along: Floats
    residual_mm: float


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """A vertebra's body.

    Attributes:
        frame: of the vertebra.
        upper, lower: its endplates.
        heights_mm: (3,) anterior, middle, posterior.
    """

    frame: Frame
    upper: Endplate
    lower: Endplate
    heights_mm: Floats

    @property
    def wedge_sagittal(self) -> float:
        """Degrees between the endplates seen from the side, positive when the body is lower in front (kyphotic)."""
        return self._opening(1)

    @property
    def wedge_coronal(self) -> float:
        """Degrees between the endplates seen from the front, positive when the body is lower on the right."""
        return self._opening(0)

    def _opening(self, axis: int) -> float:
        slopes = [self.frame.axes @ plate.normal for plate in (self.upper, self.lower)]
        upper, lower = (float(np.degrees(np.arctan2(s[axis], s[2]))) for s in slopes)
        return upper - lower


def upright_axes(up: Array, front: Array) -> Floats:
    """(3, 3) rows right, front, up, orthonormal; `up` is kept and `front` turned to a right angle with it."""
    up = np.asarray(up, np.float64) / np.linalg.norm(up)
    front = np.asarray(front, np.float64) - up * float(np.dot(front, up))
    front /= np.linalg.norm(front)
    return np.asarray(np.stack([np.cross(front, up), front, up]), np.float64)


def find_body(mask: Volume, frame: Frame) -> Body | None:
    """The body of a vertebra; None where the mask has none that can be measured, or the scan's border cuts it.

    Args:
        mask: 1 inside the vertebra, 0 elsewhere; any grid around it.
        frame: its centroid and about its axes.
    """
    body = None
    for _ in range(_ROUNDS):
        body = _measured(mask, frame)
        if body is None:
            return None
        frame = frame.raised(body.upper.normal + body.lower.normal)
    return body


def front_of(mask: Volume, origin: Array, up: Array) -> Floats:
    """(3,) unit vector to the front of a vertebra: away from its arch, or the world's front where it has none."""
    middle = mask.to_world(np.argwhere(mask.data > 0).mean(axis=0))
    up = np.asarray(up, np.float64) / np.linalg.norm(up)
    away = np.asarray(origin) - middle
    away -= up * float(away @ up)
    world = np.array([0.0, 1.0, 0.0])
    # An arch that was not segmented says nothing; nor does a middle that lies far to the side.
    if np.linalg.norm(away) < 3.0 or away @ world < 0.5 * np.linalg.norm(away):
        away = world
    return np.asarray(upright_axes(up, away)[1])


def _measured(mask: Volume, frame: Frame) -> Body | None:
    profile = _sampled(mask, frame)
    ellipse = _cross_section(profile > 0.5)
    if ellipse is None:
        return None
    right, front = (grid - c for grid, c in zip(_across(), ellipse[:2], strict=True))
    inner = (right / ellipse[2]) ** 2 + (front / ellipse[3]) ** 2 <= INNER**2
    ends = _ends(profile)
    good = inner & np.isfinite(ends).all(axis=0)
    if np.count_nonzero(good) < max(_LEAST_POINTS, 0.5 * np.count_nonzero(inner)):
        return None
    upper, lower = (_plate(end, good, ellipse, frame, mask, s) for end, s in zip(ends, (1, -1), strict=True))
    if upper is None or lower is None:
        return None
    return Body(frame, upper, lower, _heights(ends, good, np.asarray(front / ellipse[3])))


def _axis(reach: float, step: float) -> Floats:
    return np.asarray(np.arange(-round(reach / step), round(reach / step) + 1) * step, np.float64)


def _across() -> list[Floats]:
    """(R, F) mm to the right and (R, F) mm to the front, of each column."""
    right, front = np.meshgrid(_axis(REACH_MM[0], STEP_MM), _axis(REACH_MM[1], STEP_MM), indexing="ij")
    return [np.asarray(right), np.asarray(front)]


def _sampled(mask: Volume, frame: Frame) -> NDArray[np.float32]:
    """(R, F, U) share of bone at the samples of a vertebra's frame, between the mask's voxels linear."""
    axes = (_axis(REACH_MM[0], STEP_MM), _axis(REACH_MM[1], STEP_MM), _axis(REACH_MM[2], FINE_MM))
    local = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    index = mask.to_index(frame.to_world(local))
    values = ndimage.map_coordinates(
        np.asarray(mask.data > 0, np.float32), np.moveaxis(index, -1, 0), order=1
    )
    return np.asarray(values, np.float32)


def _cross_section(inside: NDArray[np.bool_]) -> tuple[float, float, float, float] | None:
    """Middle (right, front) and half axes (right, front) in mm of the body at mid-height."""
    right, front, up = (_axis(r, s) for r, s in zip(REACH_MM, (STEP_MM, STEP_MM, FINE_MM), strict=True))
    slab = inside[:, :, np.abs(up) <= _SLAB_MM].mean(axis=2)
    depth = _run(slab[np.abs(right) <= _MIDLINE_MM].mean(axis=0) > 0.5, front)
    if depth is None:
        return None
    middle, half = (depth[0] + depth[1]) / 2, (depth[1] - depth[0]) / 2
    if half > 0.9 * REACH_MM[1] / 2 and depth[0] <= front[0]:
        middle, half = 0.0, depth[1]  # the canal is filled: the centroid is the middle of the body
    # In its front half the body stands free of pedicles.
    free = (front >= middle) & (front <= middle + 0.6 * half)
    width = _run(slab[:, free].mean(axis=1) > 0.5, right) if free.any() else None
    if width is None:
        return None
    found = ((width[0] + width[1]) / 2, middle, (width[1] - width[0]) / 2, half)
    return found if all(_LEAST_MM <= axis <= _MOST_MM for axis in found[2:]) else None


def _run(solid: NDArray[np.bool_], axis: Floats) -> tuple[float, float] | None:
    """Ends in mm of the solid part around 0, or of the one nearest to 0 within 5 mm."""
    inside = np.flatnonzero(solid & (np.abs(axis) <= 5.0))
    if not len(inside):
        return None
    start = inside[np.argmin(np.abs(axis[inside]))]
    gaps = np.flatnonzero(~solid)
    low = max((g for g in gaps if g < start), default=-1) + 1
    high = min((g for g in gaps if g > start), default=len(axis)) - 1
    return float(axis[low] - STEP_MM / 2), float(axis[high] + STEP_MM / 2)


def _ends(profile: NDArray[np.float32]) -> Floats:
    """(2, R, F) mm: upper and lower end of the bone in each column around mid-height; NaN where there is none."""
    middle = profile.shape[2] // 2
    upper = _crossing(profile[:, :, middle:])
    lower = _crossing(profile[:, :, middle::-1])
    return np.asarray(np.stack([upper, -lower]))


def _crossing(profile: NDArray[np.float32]) -> Floats:
    """(R, F) mm along the last axis to where the bone ends; NaN where it does not begin or not end."""
    outside = profile < 0.5
    first = outside.argmax(axis=2)
    found = outside.any(axis=2) & (first > 0)
    before = np.take_along_axis(profile, np.maximum(first - 1, 0)[..., None], 2)[..., 0]
    after = np.take_along_axis(profile, first[..., None], 2)[..., 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        place = first - 1 + (before - 0.5) / (before - after)
    return np.where(found, place * FINE_MM, np.nan)


def _plate(
    end: Floats,
    good: NDArray[np.bool_],
    ellipse: tuple[float, float, float, float],
    frame: Frame,
    mask: Volume,
    sign: int,
) -> Endplate | None:
    """The plane through the ends of the columns; None where the scan's border has cut them off."""
    right, front = _across()
    points = np.stack([right[good], front[good], end[good]], -1)
    # What is a little farther out than the end would be off the grid where the border has cut the vertebra.
    index = mask.to_index(frame.to_world(points + np.array([0.0, 0.0, sign * 1.0])))
    off = ((index < 0) | (index > np.array(mask.shape) - 1)).any(axis=1)
    if off.mean() > _BORDER_SHARE:
        return None
    offset, to_right, to_front = _plane(points)
    centre_right, centre_front, half_right, half_front = ellipse
    centre = np.array(
        [centre_right, centre_front, offset + to_right * centre_right + to_front * centre_front]
    )
    normal = np.array([-to_right, -to_front, 1.0]) / np.hypot(np.hypot(to_right, to_front), 1.0)
    across, along = half_right * np.array([1, 0, to_right]), half_front * np.array([0, 1, to_front])
    height = points[:, 2] - (offset + points[:, 0] * to_right + points[:, 1] * to_front)
    return Endplate(
        frame.to_world(centre),
        normal @ frame.axes,
        across @ frame.axes,
        along @ frame.axes,
        float(np.median(np.abs(height))),
    )


def _plane(points: Floats) -> tuple[float, float, float]:
    """Height at the origin and slopes to the right and to the front, robust against steps and holes."""
    design = np.column_stack([np.ones(len(points)), points[:, :2]])
    start = np.linalg.lstsq(design, points[:, 2], rcond=None)[0]
    fitted = least_squares(
        lambda x: design @ x - points[:, 2], start, jac=lambda _: design, loss="soft_l1", f_scale=0.5
    )
    offset, to_right, to_front = fitted.x
    return float(offset), float(to_right), float(to_front)


def _heights(ends: Floats, good: NDArray[np.bool_], front: Floats) -> Floats:
    """(3,) mm, anterior, middle, posterior: medians over columns; `front` is in half depths from the middle."""
    height = ends[0] - ends[1]
    bands = [
        (front >= BAND[0]) & (front <= BAND[1]),
        np.abs(front) <= 0.2,
        (front <= -BAND[0]) & (front >= -BAND[1]),
    ]
    return np.array(
        [float(np.median(height[good & band])) if (good & band).any() else np.nan for band in bands]
    )
