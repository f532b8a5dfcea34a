"""Pictures of a scan's vertebrae: from the front with the coronal Cobb angle, and from the side.

The planes follow the spine: what is shown from the front is the densest voxel in a slab about the line through the
bodies, from the side the mean of a thin slab. Positions on the picture are those of the world, nothing is straightened,
so that lines and angles on it are true. From the front the patient's right is on the left, as on a film; from the side
the patient looks to the left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from aasce.ct.angles import SpineAngles, to_film
from aasce.ct.base import VertebraSet
from aasce.readers.vertebrae import HEAD_TO_FOOT, level_name
from aasce.types import Array, CobbAngles
from aasce.volume import Volume
from aasce.writers.page import AMBER, PALE, WHITE, Colour, Page, lay_out

Floats = NDArray[np.float64]
View: TypeAlias = Literal["coronal", "sagittal"]

LARGEST = 1400
"""Rows of a picture at most."""
COLOURS: tuple[Colour, ...] = ((86, 180, 233), (230, 159, 0), (0, 178, 128), (204, 121, 167), (240, 228, 66))
"""Of neighbouring vertebrae in turn; colour-blind readers can tell them apart (Okabe and Ito)."""
OPACITY = 0.38
HALF_WIDTH_MM = {"coronal": 90.0, "sagittal": 80.0}
HALF_SLAB_MM = {"coronal": 22.0, "sagittal": 6.0}
WINDOW = {"coronal": (-50.0, 1100.0), "sagittal": (-150.0, 700.0)}
LINE_MM = 55.0
"""By which the lines of a Cobb angle run to either side of an endplate's middle."""
_DEPTH_MM = 1.6
_ROWS = 64  # of a picture, read at a time


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """A curved plane through a scan.

    Attributes:
        view: from the front or from the side.
        spine: (V, 3) world mm, its places from the head.
        across: (W,) world mm of the columns: x from the front, y from the side; falling.
        heights: (H,) world mm of the rows, falling.
        step: mm per px.
    """

    view: View
    spine: Floats
    across: Floats
    heights: Floats
    step: float

    @property
    def axis(self) -> int:
        """Of the world that runs across the picture."""
        return 0 if self.view == "coronal" else 1

    def to_px(self, points: Array) -> Floats:
        """World mm (..., 3) to px (..., 2)."""
        points = np.asarray(points, np.float64)
        x = (self.across[0] - points[..., self.axis]) / self.step
        return np.stack([x, (self.heights[0] - points[..., 2]) / self.step], -1)

    def slabs(self, volume: Volume, order: int) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Rows of the picture and (R, W, D) values of the volume in the slab about the spine; outside it air or 0."""
        half = HALF_SLAB_MM[self.view]
        depth = np.arange(-half, half + 1e-6, _DEPTH_MM)
        along = np.argsort(self.spine[:, 2])
        for start in range(0, len(self.heights), _ROWS):
            rows = slice(start, min(start + _ROWS, len(self.heights)))
            z = self.heights[rows]
            middle = np.interp(z, self.spine[along, 2], self.spine[along, 1 - self.axis])
            shape = (len(z), len(self.across), len(depth))
            world = np.empty((*shape, 3))
            world[..., self.axis] = self.across[None, :, None]
            world[..., 1 - self.axis] = middle[:, None, None] + depth
            world[..., 2] = z[:, None, None]
            index = np.moveaxis(volume.to_index(world), -1, 0)
            fill = 0.0 if volume.kind == "label" else -1000.0
            yield rows, ndimage.map_coordinates(volume.data, index, np.float32, order=order, cval=fill)


def plane_of(scan: Volume, found: VertebraSet, view: View) -> Plane:
    """The plane of a picture: as high as the scan, as wide as the spine needs.

    Args:
        scan: any grid.
        found: with vertebrae.
        view: from the front or from the side.
    """
    ends = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * (np.array(scan.shape) - 1)
    world = scan.to_world(ends)
    axis = 0 if view == "coronal" else 1
    low, high = world.min(axis=0), world.max(axis=0)
    spine = found.centroids
    half = HALF_WIDTH_MM[view]
    left = max(low[axis], spine[:, axis].min() - half)
    right = min(high[axis], spine[:, axis].max() + half)
    bottom, top = max(low[2], spine[:, 2].min() - half), min(high[2], spine[:, 2].max() + half)
    step = max((top - bottom) / 900, 0.8)
    return Plane(view, spine, np.arange(right, left, -step), np.arange(top, bottom, -step), step)


def draw_scan(scan: Volume, found: VertebraSet, angles: SpineAngles, view: View) -> NDArray[np.uint8]:
    """A scan's spine with coloured vertebrae, their names, and from the front the lines of the coronal Cobb angles.

    Args:
        scan: a CT.
        found: its vertebrae, with masks or without.
        angles: of the same scan.
        view: from the front or from the side.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    plane = plane_of(scan, found, view)
    grey = _projected(plane, scan)
    page = lay_out(grey, (0.0, 0.0), _strip(found, angles, view), LARGEST)
    if found.masks is not None:
        _tint(page, _labels(plane, found.masks))
    if view == "coronal" and angles.clinical is not None:
        for number in range(3):
            _draw_angle(page, plane, angles, angles.clinical, number)
    _name(page, plane, found)
    return page.finish()


def _projected(plane: Plane, scan: Volume) -> NDArray[np.uint8]:
    """(H, W) uint8."""
    picture = np.zeros((len(plane.heights), len(plane.across)), np.float32)
    for rows, slab in plane.slabs(scan, 1):
        picture[rows] = slab.max(axis=2) if plane.view == "coronal" else slab.mean(axis=2)
    low, high = WINDOW[plane.view]
    return np.asarray(np.clip((picture - low) / (high - low) * 255, 0, 255), np.uint8)


def _labels(plane: Plane, masks: Volume) -> NDArray[np.uint8]:
    """(H, W) uint8: the label that fills most of the slab at each pixel, 0 where there is none."""
    picture = np.zeros((len(plane.heights), len(plane.across)), np.uint8)
    for rows, slab in plane.slabs(masks, 0):
        most = np.zeros(slab.shape[:2], np.int64)
        for label in np.unique(slab[slab > 0]):
            count = np.count_nonzero(slab == label, axis=2)
            picture[rows][count > most] = int(label)
            most = np.maximum(most, count)
    return picture


def _tint(page: Page, labels: NDArray[np.uint8]) -> None:
    """Lays the colours of the vertebrae over the picture, with a firm outline."""
    size = (round(labels.shape[1] * page.scale), round(labels.shape[0] * page.scale))
    shown = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    window = page.canvas[page.top : page.top + size[1], page.left : page.left + size[0]]
    shown = shown[: window.shape[0], : window.shape[1]]
    for label in np.unique(shown[shown > 0]):
        mask = (shown == label).astype(np.uint8)
        colour = np.array(colour_of(int(label)), np.float32)
        inside = mask > 0
        window[inside] = ((1 - OPACITY) * window[inside] + OPACITY * colour).astype(np.uint8)
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        offset = np.array([page.left, page.top])
        cv2.drawContours(
            page.canvas, [line + offset for line in outlines], -1, colour_of(int(label)), 1, cv2.LINE_AA
        )


def colour_of(label: int) -> Colour:
    """RGB of a vertebra; neighbours differ."""
    return COLOURS[HEAD_TO_FOOT.index(label) % len(COLOURS)] if label in HEAD_TO_FOOT else WHITE


def _draw_angle(page: Page, plane: Plane, angles: SpineAngles, cobb: CobbAngles, number: int) -> None:
    """The upper endplate of the upper end vertebra, the lower one of the lower, and the angle between them."""
    ends = cobb.end_vertebrae[number]
    if ends is None or ends[0] == ends[1] or cobb.degrees[number] < 1:
        return
    corner = to_film(np.array([plane.across[0], 0.0, plane.heights[0]]))
    upper, lower = ((angles.landmarks[v] - corner) / plane.step for v in ends)
    colour = COLOURS[number]
    tips = []
    for plate in (upper[:2], lower[2:]):
        way = (plate[1] - plate[0]) / max(float(np.linalg.norm(plate[1] - plate[0])), 1e-6)
        reach = LINE_MM / plane.step * way
        line = page.place(np.stack([plate.mean(axis=0) - reach, plate.mean(axis=0) + reach]))
        page.polyline(line, colour, max(2, page.thickness))
        tips.append(line[1])
    text = f"{cobb.degrees[number]:.1f}°"
    middle = np.mean(tips, axis=0)
    for shift in (0.0, 1.3, -1.3, 2.6, -2.6):
        box = page.box_of(text, (float(middle[0]), float(middle[1]) + shift * page.em), page.em, align=0.0)
        if page.is_free(box):
            break
    page.write(text, box, colour, page.em)


def _name(page: Page, plane: Plane, found: VertebraSet) -> None:
    """Names of the levels, beside the bodies; without masks a dot at each centroid."""
    size = max(11, round(0.75 * page.em))
    for label, place in zip(found.labels.tolist(), page.place(plane.to_px(found.centroids)), strict=True):
        if found.masks is None:
            page.dot(place, 0.25 * page.em, colour_of(label))
        anchor = (float(place[0]) - 30.0 / plane.step * page.scale, float(place[1]))
        page.write(level_name(label), page.box_of(level_name(label), anchor, size, align=1.0), WHITE, size)


def _strip(found: VertebraSet, angles: SpineAngles, view: View) -> list[tuple[str, Colour]]:
    side = "patient's right on the left" if view == "coronal" else "front on the left"
    lines: list[tuple[str, Colour]] = [(found.scan_id, WHITE), (f"{view} · {side} · {found.method}", PALE)]
    if view == "coronal" and angles.clinical is not None:
        lines.insert(1, (coronal_summary(angles, angles.clinical), AMBER))
    if found.flags:
        lines.append((f"flags: {', '.join(flag.replace('_', ' ') for flag in found.flags)}", AMBER))
    return lines


def coronal_summary(angles: SpineAngles, cobb: CobbAngles, most: Sequence[int] = (0, 1, 2)) -> str:
    """The coronal angles in one line: "34.2° T6-L1, 20.1° T1-T6 (endplates of masks, clinical definition)"."""
    parts = []
    for number in most:
        ends = angles.ends(cobb, number)
        if ends is not None:
            parts.append(f"{cobb.degrees[number]:.1f}° {ends[0]}–{ends[1]}")
    what = "line through centroids" if angles.source == "centroids" else f"endplates of {angles.source}"
    return f"coronal Cobb {', '.join(parts) or '0°'} ({what}, {cobb.definition} definition)"
