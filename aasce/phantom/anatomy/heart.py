"""Heart, great vessels and airways: the organs of the mediastinum.

Proportions of a normal frontal film: heart up to half as wide as the chest (cardiothoracic ratio 0.39 +- 0.04 in
films of 50 adults, Diagn Interv Radiol 2006;12:153), aortic knob at T4, carina at T4-T5 with an angle of 58 +- 11
degrees (same series), descending aorta 16 mm beyond the left border of the bodies, windpipe 15 to 25 mm wide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from aasce.config import Settings
from aasce.phantom.anatomy.cage import SIGN, RibCage
from aasce.phantom.solids.loft import bezier, ellipsoid, frames, loft_faces, resample, to_mesh, tube, unit
from aasce.phantom.spine.pose import LEVELS, SpinePose
from aasce.types import Array
from aasce.xray.mesh import Mesh


class HeartRecord(Settings):
    """Numbers of heart and vessels; sizes are factors on the average.

    Attributes:
        size: of the heart.
        upright: degrees by which its long axis is steeper than 38 degrees from the horizontal.
        shift: to the left, mm.
        aorta: calibre of the aorta.
        airway: calibre of the trachea.
    """

    size: float = 1.0
    upright: float = 0.0
    shift: float = 0.0
    aorta: float = 1.0
    airway: float = 1.0


@dataclass(frozen=True, slots=True)
class Mediastinum:
    """Middle lines of the organs, and balls that fill them; mm in the person's frame.

    Attributes:
        centre: (3,), middle of the heart.
        axes: (3, 3), half axes of the heart as rows, right-handed; the last one points to its apex.
        balls: (N, 4), middles and radii of balls that fill vessels and hila.
        aorta: (33, 3), middle line of the aorta from its root to L2.
        windpipe: (12, 3), middle line of the trachea from C4 to the carina.
        bronchi: (2, 6, 3), from the carina towards the hila, right then left.
        hila: (2, 3), right then left.
        scale: of the person.
        record: the numbers it was built from.
    """

    centre: Array
    axes: Array
    balls: Array
    aorta: Array
    windpipe: Array
    bronchi: Array
    hila: Array
    scale: float
    record: HeartRecord

    def reach(self, y: Array, z: Array) -> Array:
        """Lateral extent of the organs at points (2, ...) of y and z: mm to the right, then mm to the left.

        Where there is no organ it is a large negative number.
        """
        sign = SIGN.reshape(2, *([1] * (y.ndim - 1)))
        return np.maximum(self._heart_reach(y, z, sign), self._ball_reach(y, z, sign))

    def _heart_reach(self, y: Array, z: Array, sign: Array) -> Array:
        form = np.linalg.inv(self.axes.T @ self.axes)
        # The heart rests on the diaphragm: below its widest part its extent stays the same.
        low = -0.55 * np.linalg.norm(self.axes[:, 2])
        dy, dz = y - self.centre[1], np.maximum(z - self.centre[2], low)
        # a x^2 + b x + c = 1 along x.
        a = form[0, 0]
        b = 2 * (form[0, 1] * dy + form[0, 2] * dz)
        c = form[1, 1] * dy**2 + 2 * form[1, 2] * dy * dz + form[2, 2] * dz**2 - 1
        root = b**2 - 4 * a * c
        x = (-b + sign * np.sqrt(np.maximum(root, 0))) / (2 * a)
        return np.where(root > 0, sign * (self.centre[0] + x), -1e3)

    def _ball_reach(self, y: Array, z: Array, sign: Array) -> Array:
        x0, y0, z0, radius = self.balls.T
        root = radius**2 - (y[..., None] - y0) ** 2 - (z[..., None] - z0) ** 2
        reach = sign[..., None] * x0 + np.sqrt(np.maximum(root, 0))
        return np.asarray(np.where(root > 0, reach, -1e3).max(-1))


def place_mediastinum(record: HeartRecord, cage: RibCage, pose: SpinePose) -> Mediastinum:
    """Places the organs between spine and sternum, also where these deviate from each other in a scoliosis."""
    scale = cage.scale
    spine = pose.centre.detach().cpu().double().numpy()

    def point(level: float, right: float, ahead: float, towards: float = 0.0) -> Array:
        """A point beside and in front of the spine at a level (7.0 is the middle of T1).

        `towards` is the share by which it follows the sternum's lateral position instead of the spine's.
        """
        base = np.array([np.interp(level, np.arange(len(LEVELS)), spine[:, axis]) for axis in range(3)])
        front = np.interp(base[2], cage.sternum[::-1, 2], cage.sternum[::-1, 0])
        base[0] += towards * (front - base[0])
        return np.asarray(base + scale * np.array([right, ahead, 0.0]))

    centre = point(14.6, -22 - record.shift, 72, 0.6)
    axes = _heart_axes(record) * scale
    aorta = _aorta(point, centre, scale)
    carina = point(10.8, 2, 26, 0.2)
    top = point(3.0, 0, 30)
    middle = point(7.0, 1, 27, 0.1)
    windpipe = resample(bezier([top, 0.4 * top + 0.6 * middle, 0.6 * middle + 0.4 * carina, carina], 40), 12)
    hila = np.stack([point(12.0, 28, 26, 0.4), point(11.8, -28, 24, 0.4)])
    ends = carina + 0.8 * (hila - carina)
    bronchi = bezier(
        [
            np.stack([carina] * 2),
            carina + 0.3 * (ends - carina) + [0, 0, -6 * scale],
            0.3 * carina + 0.7 * ends,
            ends,
        ],
        6,
    )
    trunk = np.linspace(0, 1, 6)[:, None]
    cava = point(9.0, 14, 38, 0.5) * (1 - trunk) + point(13.5, 17, 62, 0.6) * trunk
    outflow = point(11.6, -20, 58, 0.5) * (1 - trunk) + (centre + scale * np.array([0, 8, 26])) * trunk
    atrium = centre + scale * record.size * np.array(
        [[28, -4, 8], [31, -4, -6], [28, -2, -22], [16, -24, 18], [-2, -26, 22]]
    )
    balls = np.concatenate(
        [
            _filled(aorta, 12.5 * scale * record.aorta),
            _filled(cava, 9.5 * scale),
            _filled(outflow, 13.5 * scale),
            _filled(atrium, 19 * scale * record.size),
            _filled(windpipe[4:], 10 * scale),
            _filled(hila, 9 * scale),
            _filled(hila - np.array([0, 0, 15 * scale]), 9 * scale),
            _filled(hila + np.array([0, 0, 12 * scale]), 8 * scale),
        ]
    )
    return Mediastinum(centre, axes, balls, aorta, windpipe, bronchi, hila, scale, record)


def _filled(points: Array, radius: float) -> Array:
    return np.concatenate([points, np.full((len(points), 1), radius)], 1)


def _heart_axes(record: HeartRecord) -> Array:
    """(3, 3) mm, half axes at scale 1; the long axis points to the left, forward and down."""
    fall = np.radians(38 + record.upright)
    ahead = np.radians(35)
    long = np.array([-np.cos(fall) * np.cos(ahead), np.cos(fall) * np.sin(ahead), -np.sin(fall)])
    across = unit(np.cross(long, [0, 1, 0]))
    return record.size * np.stack([44 * across, 39 * np.cross(long, across), 62 * long])


def _aorta(point: object, centre: Array, scale: float) -> Array:
    """(33, 3) mm: up from the heart, over the left main bronchus at T4, and down on the left of the spine to L2."""
    assert callable(point)
    root = centre + scale * np.array([16, 2, 40])
    up = point(10.9, 12, 58, 0.5)
    knob = point(10.1, -11, 36, 0.3)
    down = point(11.3, -19, 12)
    first = bezier(
        [root, root + scale * np.array([4, 4, 20]), up, 0.5 * (up + knob) + scale * np.array([0, 0, 9])], 10
    )
    arch = bezier(
        [first[-1], knob + scale * np.array([0, 6, 8]), down + scale * np.array([-1, 2, 26]), down], 10
    )
    below = np.stack([point(level, side, ahead) for level, side, ahead in _DESCENT])
    return resample(np.concatenate([first, arch[1:], below]), 33)


_DESCENT = (
    (12.5, -20, 14),
    (13.5, -19.5, 16),
    (14.5, -18, 18),
    (15.5, -16, 21),
    (16.5, -13, 25),
    (17.5, -8, 28),
    (18.5, -3, 31),
    (20, 0, 35),
)


def build_mediastinum(parts: Mediastinum, dtype: torch.dtype = torch.float64) -> list[Mesh]:
    """Heart (336 faces), aorta (340), windpipe (240) and bronchi (2 x 96)."""
    scale, record = parts.scale, parts.record
    heart = ellipsoid(parts.centre, parts.axes, 11, 14)
    calibre = scale * record.aorta * np.interp(np.linspace(0, 1, 17), [0, 0.3, 0.5, 1], [14, 12.5, 11.5, 9])
    line = parts.aorta[::2]
    aorta = tube(line, *frames(line, np.array([0.2, 0.9, 0.4])), calibre[:, None] * np.ones(2), 10)
    wide = scale * record.airway * np.interp(np.linspace(0, 1, 12), [0, 0.12, 0.25, 1], [6, 8.5, 9, 9])
    pipe = tube(
        parts.windpipe,
        *frames(parts.windpipe, np.array([1.0, 0, 0])),
        wide[:, None] * np.array([1, 0.85]),
        10,
    )
    meshes = [
        to_mesh("heart", "blood", "soft", heart, loft_faces(11, 14), dtype),
        to_mesh("aorta", "blood", "soft", aorta, loft_faces(17, 10), dtype),
        to_mesh("windpipe", "air", "soft", pipe, loft_faces(12, 10), dtype),
    ]
    for side, name in enumerate(("right", "left")):
        bronchus = parts.bronchi[side].copy()
        # The bronchus starts inside the carina, away from the trachea's end.
        bronchus[0] += 0.5 * (bronchus[1] - bronchus[0])
        calibre = scale * record.airway * (6.8 if name == "right" else 5.8) * np.linspace(1, 0.75, 6)
        tubes = tube(bronchus, *frames(bronchus, np.array([0, 1.0, 0])), calibre[:, None] * np.ones(2), 8)
        meshes.append(to_mesh(f"bronchus {name}", "air", "soft", tubes, loft_faces(6, 8), dtype))
    return meshes
