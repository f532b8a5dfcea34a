"""Cobb angles and measures of each vertebra of a scan, from its endplates or, for want of masks, its centroids.

Two kinds of angle. In the coronal plane: the endplates' left and right ends are projected along the world's y axis to
a frontal film in mm, as a parallel beam from the front would show them, and `aasce.geometry.cobb` measures these
landmarks by the same rules as a film's. In space: the largest angle between an upper and a lower endplate's normals,
which holds kyphosis and lordosis too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import splev, splprep

from aasce.ct.base import Surface, VertebraSet
from aasce.ct.endplates import Body, Endplate, Frame, find_body, front_of, upright_axes
from aasce.ct.shared.middles import body_middles
from aasce.geometry.cobb import cobb_angles
from aasce.readers.vertebrae import HEAD_TO_FOOT, VERSE, level_name
from aasce.types import AasceError, Array, CobbAngles
from aasce.volume import Volume

Floats = NDArray[np.float64]
Source: TypeAlias = Literal["surfaces", "masks", "centroids"]

TRUNK: tuple[int, ...] = tuple(
    label
    for label in HEAD_TO_FOOT
    if HEAD_TO_FOOT.index(label) >= HEAD_TO_FOOT.index(VERSE["T1"]) and label != 26
)
"""T1 to L6: the vertebrae between which a film's Cobb angles are measured."""
WITHOUT_BODY = (VERSE["C1"], VERSE["C2"], VERSE["S1"])
"""No body between two endplates: the atlas, the axis with its dens, the sacrum."""

LOCALISATION_SD_MM = 0.7
"""By which a smooth line may miss the centroids; see `tangents`."""
SURFACE_MM = 0.75
"""Voxels of a surface, from which its endplates are measured as those of a mask."""
BOX_MM = (20.0, 10.0)
"""Half width and half height of the boxes that stand for bodies where only centroids are known."""


@dataclass(frozen=True, slots=True, eq=False)
class VertebraMeasures:
    """One vertebra.

    Attributes:
        label: of VerSe.
        centroid: (3,) world mm.
        volume_ml: of the whole vertebra; None without a mask.
        body: endplates and heights; None where they cannot be measured.
    """

    label: int
    centroid: Floats
    volume_ml: float | None = None
    body: Body | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SpineAngles:
    """The angles of a scan.

    Attributes:
        source: what the coronal angles were measured on: endplates of "surfaces" or "masks", else "centroids".
        labels: of the vertebrae in `landmarks`, from the head.
        landmarks: (V, 4, 2) mm on a frontal film, x to its right (the patient's left), y down, corners TL, TR, BL, BR.
        clinical, challenge: coronal Cobb angles by the two definitions; None for fewer than two vertebrae.
        space: degrees, the largest angle in space between an upper and a lower endplate; None without endplates.
        space_ends: labels of its upper and lower end vertebra.
        centroid_line: coronal Cobb angles by the clinical definition from the line through the centroids alone.
        line_labels: of the vertebrae that `centroid_line` counts.
        vertebrae: all of the scan, from the head.
    """

    source: Source
    labels: tuple[int, ...]
    landmarks: Floats
    clinical: CobbAngles | None
    challenge: CobbAngles | None
    space: float | None
    space_ends: tuple[int, int] | None
    centroid_line: CobbAngles | None
    line_labels: tuple[int, ...]
    vertebrae: tuple[VertebraMeasures, ...]

    def ends(
        self, angles: CobbAngles, number: int, labels: Sequence[int] | None = None
    ) -> tuple[str, str, str] | None:
        """Names of upper end vertebra, lower end vertebra and apex of one of three angles; None where it is zero.

        Args:
            angles: of this spine.
            number: 0 to 2.
            labels: of the vertebrae that the angles count; those of the landmarks when None.
        """
        pair, apex = angles.end_vertebrae[number], angles.apices[number]
        if pair is None or apex is None or pair[0] == pair[1]:
            return None
        counted = self.labels if labels is None else labels
        upper, lower, top = (level_name(counted[k]) for k in (*pair, apex))
        return upper, lower, top


def measure_spine(found: VertebraSet) -> SpineAngles:
    """Measures every vertebra, and the Cobb angles of the spine.

    Coronal angles are those of T1 to L6 where two or more of these are there, else of all vertebrae.

    Args:
        found: vertebrae with masks or surfaces; from centroids alone the angles are those of a line.

    Raises:
        AasceError: there is no vertebra.
    """
    if not len(found.labels):
        raise AasceError(
            f"{found.scan_id}: {found.failure or 'no vertebra found'}, so that nothing can be measured"
        )
    vertebrae = tuple(_measures(found))
    bodies = {v.label: v.body for v in vertebrae if v.body is not None}
    line_labels, landmarks = _trunk(_line_landmarks(found))
    clinical, challenge = _both(landmarks)
    labels, line = line_labels, clinical
    source: Source = "centroids"
    if len(bodies) >= 2:
        source = "surfaces" if found.surfaces else "masks"
        labels, landmarks = _trunk({label: film_corners(body) for label, body in bodies.items()})
        clinical, challenge = _both(landmarks)
    space, ends = _in_space(bodies)
    return SpineAngles(
        source, labels, landmarks, clinical, challenge, space, ends, line, line_labels, vertebrae
    )


def tangents(centroids: Array, sd_mm: float = LOCALISATION_SD_MM) -> Floats:
    """(V, 3) unit vectors towards the head of a smooth line through centroids, at each of them.

    The line is a cubic spline (of lower degree through less than four points) that misses the centroids by no more
    than their own uncertainty: Dierckx 1982, smoothing by the sum of squared residuals.

    Args:
        centroids: (V, 3) world mm from the head; missing levels in between do no harm.
        sd_mm: standard deviation of a centroid's coordinate.
    """
    points = np.asarray(centroids, np.float64)
    if len(points) < 2:
        return np.tile([0.0, 0.0, 1.0], (len(points), 1))
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    degree = min(3, len(points) - 1)
    spline, _ = splprep(points.T, u=length, k=degree, s=3 * len(points) * sd_mm**2)
    down = np.stack(splev(length, spline, der=1), -1)
    return np.asarray(-down / np.linalg.norm(down, axis=1, keepdims=True))


def film_corners(body: Body) -> Floats:
    """(4, 2) mm on a frontal film: TL, TR, BL, BR of a body.

    The rim of an endplate is an ellipse. Its ends are the points that lie farthest apart on the film, which on a
    rotated vertebra are not the anatomical left and right (as `aasce.phantom.truth.corners_3d` has it).
    """
    return np.concatenate([_film_ends(plate) for plate in (body.upper, body.lower)])


def _film_ends(plate: Endplate) -> Floats:
    """(2, 2) mm: the left and the right end of an endplate on a frontal film."""
    phase = np.arctan2(plate.along[0], plate.across[0])
    reach = plate.across * np.cos(phase) + plate.along * np.sin(phase)
    ends = to_film(np.stack([plate.centre - reach, plate.centre + reach]))
    return ends[np.argsort(ends[:, 0])]


def to_film(points: Array) -> Floats:
    """(..., 3) world mm to (..., 2) mm on a frontal film: the patient's right on its left, y down."""
    points = np.asarray(points, np.float64)
    return np.stack([-points[..., 0], -points[..., 2]], -1)


def _both(landmarks: Floats) -> tuple[CobbAngles | None, CobbAngles | None]:
    """By the clinical and by the challenge's definition, on a film that ends at the outermost landmarks."""
    if len(landmarks) < 2:
        return None, None
    on_film = landmarks - landmarks.reshape(-1, 2).min(axis=0)
    height = int(np.ceil(on_film[..., 1].max()))
    return cobb_angles(on_film, height, "clinical"), cobb_angles(on_film, height, "challenge")


def _trunk(corners: Mapping[int, Floats]) -> tuple[tuple[int, ...], Floats]:
    """Labels and (V, 4, 2) mm of T1 to L6, of all where these are fewer than two."""
    labels = [label for label in HEAD_TO_FOOT if label in corners and label in TRUNK]
    if len(labels) < 2:
        labels = [label for label in HEAD_TO_FOOT if label in corners]
    return tuple(labels), np.array([corners[label] for label in labels]).reshape(-1, 4, 2)


def _line_landmarks(found: VertebraSet) -> dict[int, Floats]:
    """By label the corners of boxes on the line through the centroids, at right angles to it."""
    corners = {}
    for label, place, up in zip(
        found.labels.tolist(), found.centroids, tangents(found.centroids), strict=True
    ):
        up_film = to_film(up)
        up_film /= max(float(np.linalg.norm(up_film)), 1e-6)
        right_film = np.array([-up_film[1], up_film[0]])
        across, along = BOX_MM[0] * right_film, BOX_MM[1] * up_film
        middle = to_film(place)
        corners[label] = np.stack([middle + s * across + t * along for t in (1, -1) for s in (-1, 1)])
    return corners


def _in_space(bodies: Mapping[int, Body]) -> tuple[float | None, tuple[int, int] | None]:
    """The largest angle between the upper endplate of a vertebra and the lower endplate of one below it."""
    labels = [label for label in HEAD_TO_FOOT if label in bodies]
    if len(labels) < 2:
        return None, None
    upper = np.stack([bodies[label].upper.normal for label in labels])
    lower = np.stack([bodies[label].lower.normal for label in labels])
    angle = np.degrees(np.arccos(np.clip(upper @ lower.T, -1, 1)))
    angle[np.tril_indices(len(labels))] = -1.0
    first, last = (int(k) for k in np.unravel_index(int(angle.argmax()), angle.shape))
    return float(angle[first, last]), (labels[first], labels[last])


def _measures(found: VertebraSet) -> Iterator[VertebraMeasures]:
    boxes: Sequence[tuple[slice, ...] | None] = ()
    if found.masks is not None:
        boxes = ndimage.find_objects(found.masks.data)
    for label, place, up in zip(
        found.labels.tolist(), found.centroids, tangents(found.centroids), strict=True
    ):
        if label in found.surfaces:
            mask = _voxelised(found.surfaces[label])
        elif found.masks is not None and label <= len(boxes) and boxes[label - 1] is not None:
            mask = _cut_out(found.masks, label, boxes[label - 1])
        else:
            yield VertebraMeasures(label, place)
            continue
        volume = float(np.count_nonzero(mask.data)) * abs(float(np.linalg.det(mask.affine[:3, :3]))) / 1000
        yield VertebraMeasures(label, place, volume, _body(mask, label, up))


def _body(mask: Volume, label: int, up: Floats) -> Body | None:
    if label in WITHOUT_BODY or not mask.data.any():
        return None
    # Centroids may be off by some mm, as located ones are.
    place = body_middles(Volume(mask.data * np.uint8(label), mask.affine, "label"))[label]
    return find_body(mask, Frame(place, upright_axes(up, front_of(mask, place, up))))


def _cut_out(masks: Volume, label: int, box: tuple[slice, ...] | None) -> Volume:
    """The mask of one vertebra with 3 mm around it, but nothing beyond the scan's border."""
    assert box is not None
    margin = np.ceil(3.0 / masks.spacing).astype(int)
    low = [part.start - int(m) for part, m in zip(box, margin, strict=True)]
    cut = masks.crop(low, [part.stop + int(m) for part, m in zip(box, margin, strict=True)])
    return Volume((cut.data == label).astype(np.uint8), cut.affine, "label")


def _voxelised(surface: Surface) -> Volume:
    import torch  # a light command that measures masks starts without it

    from aasce.xray.mesh import Mesh
    from aasce.xray.voxels import voxelise

    mesh = Mesh(
        "vertebra",
        "cortex",
        "soft",
        torch.from_numpy(np.asarray(surface.vertices, np.float64)),
        torch.from_numpy(np.asarray(surface.faces, np.int64)),
    )
    low, high = surface.vertices.min(axis=0), surface.vertices.max(axis=0)
    return voxelise([mesh], SURFACE_MM, [low - 2, high + 2], lambda _: 1, kind="label")
