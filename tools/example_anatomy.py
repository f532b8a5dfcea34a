"""The bodies that tools/render_examples.py draws: sizes, curves, and where each vertebra lies.

Frame: mm on the film, x right (the patient's left), y down, z towards the sternum. The beam is parallel, so every
size is one in the plane of the film. Vertebral bodies are rounded after the anthropometry of Panjabi et al., Spine
16:888 (1991) and 17:299 (1992), times about 1.1, the magnification of a long film. Attenuation at 60 keV is NIST's
(Hubbell and Seltzer, table 4: ICRU-44 soft tissue 0.2048 cm2/g at 1.06 g/cm3, adipose 0.1974 at 0.95, lung 0.2053
at 0.26, cortical bone 0.3148 at 1.92); spongy bone lies between soft tissue and cortex.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

Floats = NDArray[np.float64]
Pose = tuple[Floats, Floats]  # (3, 3) rotation, (3,) centre in mm

SOFT, FAT, LUNG, CORTEX, TRABECULAR = 0.0217, 0.0188, 0.0053, 0.0604, 0.0290  # 1/mm at 60 keV
HARD, SPONGY = CORTEX - SOFT, TRABECULAR - SOFT  # what bone adds to the soft tissue whose place it takes
T1, S1 = 5, 22  # rows of the tables by level, which begin at C3
BOX = 2.5  # exponent of the superellipse that a vertebral body has in cross-section

# fmt: off
# By level, C3 to S1, mm: height, upper width, lower width, depth, disc below, reach of the transverse process.
HEIGHT, UPPER, LOWER, DEPTH, DISC, REACH = np.array([
    [14, 14, 14, 14, 15, 15.6, 16.6, 17.2, 17.8, 18.2, 18.9, 19.6, 20.3, 21, 21.9, 23.2, 24.6,
     25.8, 26.4, 26.6, 26.7, 26.6, 28],
    [19, 20, 21, 23, 27, 30, 29, 28, 27.6, 28, 29, 30.6, 32, 33.6, 35.2, 38, 41.6, 44, 45.6, 47.6, 50, 52, 54],
    [20, 21, 22, 25, 28, 29.6, 28.6, 28, 28.4, 29.4, 30.8, 32, 33.6, 35.8, 38.2, 41.4, 44.4, 46, 48, 50, 52, 53, 40],
    [16, 16, 17, 18, 19, 20, 21.5, 24, 25.5, 26.5, 28, 29.5, 30.5, 32, 33, 34, 35, 36, 37, 37.5, 38, 38, 34],
    [4.5, 4.5, 4.5, 5, 5, 4.2, 4, 4, 4, 4, 4.3, 4.6, 5, 5.4, 6, 6.6, 7.4, 8.4, 9.2, 10, 10.4, 9.5, 0],
    [0, 0, 0, 0, 8, 26, 25, 24, 22, 21, 20, 19, 17, 15, 12, 8, 7, 17, 21, 26, 22, 20, 0]])
SAGITTAL = PchipInterpolator([0, 4, 5, 11, 17, 19, 21, 22], [-6, 8, 13, 1, -9, -6, 12, 26])  # degrees by level

# By rib, mm: half width of the ring, fall from back to front, fall from spine to flank, end in half turns.
RIBS = np.array([
    [46, 76, 95, 107, 114, 119, 122, 123, 121, 116, 104, 80],
    [42, 52, 58, 62, 66, 70, 74, 78, 84, 92, 104, 110],
    [9, 10, 13, 17, 20, 23, 25, 27, 29, 33, 40, 46],
    [0.80, 0.78, 0.77, 0.77, 0.77, 0.77, 0.76, 0.74, 0.70, 0.66, 0.50, 0.36]])

# Other bones, right half: (anchor, wall mm, attenuation of the inside, knots of x, y, z, radius near y, near z).
BONES: tuple[tuple[str, float, float, list[Any]], ...] = (
    ("chest", 1.7, SPONGY, [(14, 6, 70, 7.5, 7.5), (50, -6, 80, 5, 5), (95, -20, 50, 5.5, 5.5),
                            (148, -26, 20, 6.5, 6.5)]),
    ("chest", 0.8, SPONGY, [(150, 4, 0, 23, 23), (152, 24, 0, 21, 21)]),  # humerus
    ("chest", 3.0, SPONGY, [(152, 10, 0, 13, 13), (172, 120, 0, 11, 11)]),
    ("chest", 1.1, SPONGY, [(132, 20, -30, 3, 7), (120, 60, -45, 2.4, 5), (100, 118, -55, 2, 4)]),  # shoulder blade
    ("chest", 0.8, SPONGY, [(78, 8, -55, 1.6, 3), (84, 60, -60, 1.4, 3), (100, 118, -55, 2, 4)]),
    ("chest", 0.9, SPONGY, [(80, 16, -60, 3, 5), (115, 0, -60, 4, 7), (150, -14, -40, 7, 4)]),
    ("pelvis", 1.0, SPONGY, [(42, 2, -45, 2.6, 4), (62, -26, -35, 2.6, 4), (92, -40, -5, 2.6, 4),
                             (117, -24, 30, 2.6, 4), (121, 6, 52, 2.6, 4), (112, 34, 58, 2.6, 4),
                             (103, 62, 40, 2.6, 4), (100, 84, 22, 2.6, 4)]),
    ("pelvis", 1.3, SPONGY, [(44, 34, -30, 3.5, 5), (62, 62, 0, 3, 5), (64, 92, 30, 4, 6), (42, 122, 60, 6, 5),
                             (6, 134, 75, 8, 5)]),
    ("pelvis", 1.4, SPONGY, [(64, 92, 10, 7, 8), (66, 130, -10, 8, 8), (48, 165, -10, 9, 8)]),
    ("pelvis", 1.0, SPONGY, [(88, 84, 20, 9, 9), (88, 95, 20, 20, 20), (88, 106, 20, 23, 23), (88, 128, 20, 12, 12)]),
    ("pelvis", 1.8, SPONGY, [(92, 108, 20, 15, 15), (112, 128, 15, 14, 14), (134, 150, 5, 17, 17),
                             (136, 230, 0, 14, 14)]),
    *(("pelvis", 0.8, -0.02, [(x, y, -40, 4, 5), (x + 3, y + 3, -40, 4, 5)])  # foramina of the sacrum
      for x, y in ((19, 12), (17, 28), (15, 44), (13, 60))),
    ("pelvis", 0.55, 0.005, [(0, 0, -25, 50, 9), (0, 20, -38, 48, 12), (0, 45, -50, 36, 11), (0, 68, -50, 24, 8),
                             (0, 86, -42, 8, 5)]),
    ("head", 2.4, SPONGY, [(0, 2, 90, 11, 7), (26, -1, 80, 11, 6), (48, -14, 35, 11, 5), (55, -60, 10, 13, 4)]),
    ("head", 2.5, 0.011, [(0, -70, 20, 66, 80), (0, -40, 20, 64, 75), (0, -20, 15, 52, 55), (0, -8, 10, 24, 20)]),
)
# Flat bones, right half: (anchor, line integral, outline of x, y).
PLATES = (
    ("pelvis", 0.30, [(34, 6), (42, 2), (62, -26), (92, -40), (117, -24), (121, 6), (112, 34), (103, 62), (100, 84),
                      (96, 100), (66, 96), (60, 62), (42, 36)]),
    ("pelvis", 0.22, [(60, 84), (98, 80), (114, 100), (110, 124), (74, 134), (56, 112)]),  # around the hip
    ("chest", 0.06, [(78, 8), (84, 60), (100, 118), (120, 60), (132, 18), (112, -2)]),
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Phantom:
    """One example: (index from T1 = 0, degrees) pairs fix the coronal tilts; positive has the right side lower."""

    name: str
    seed: int
    tilts: tuple[tuple[float, float], ...]
    build: float = 1.0  # size of the body
    chest: float = 1.0  # its breadth
    pixel: float = 0.475  # mm


PHANTOMS = (
    Phantom("example-1", 1, ((-5, 0), (0, -4), (5, 21), (11.5, -21), (16, 5), (17, 2))),
    Phantom("example-2", 2, ((-5, 0), (0, -1), (4, -3), (9, -14), (14, 14), (16, 8)), 0.95, 1.04, 0.46),
    Phantom("example-3", 3, ((-5, 0), (0, -5), (4, 25), (10, -30), (15, 20), (17, 3)), 0.97, 0.97, 0.465),
    Phantom("example-4", 4, ((-5, 0), (0, 1), (5, -4), (11, 4), (16, -1), (17, 0)), 1.04, 1.0, 0.48),
)


def superellipse(t: Floats, box: float) -> Floats:
    """Radius at angle t of the curve |x|^box + |y|^box = 1."""
    return np.asarray((np.abs(np.cos(t)) ** box + np.abs(np.sin(t)) ** box) ** (-1 / box))


def spine(phantom: Phantom, width: float) -> list[Pose]:
    """Poses of the vertebrae C3 to S1 on a film of this width in mm."""
    level = np.arange(S1 + 1)
    knots, degrees = np.array(phantom.tilts).T
    tilt, lean = np.radians(PchipInterpolator(knots + T1, degrees)(level)), np.radians(SAGITTAL(level))
    # Vertebrae turn towards the convexity, by 1.6 degrees for each degree of bend between neighbours.
    turn = -1.6 * np.gradient(np.convolve(np.pad(tilt, 1, "edge"), np.ones(3) / 3, "valid"))
    turn[:T1] *= 0.3
    rotations = np.stack([_axes(*angles) for angles in zip(tilt, lean, turn, strict=True)])
    down = rotations[:, :, 1]
    half, disc = phantom.build * HEIGHT[:, None] / 2, phantom.build * DISC[:-1, None]
    step = down[:-1] * (half[:-1] + disc / 2) + down[1:] * (half[1:] + disc / 2)
    centres = np.concatenate([np.zeros((1, 3)), np.cumsum(step, 0)])
    middle = (centres[T1:, 0].mean() + centres[-1, 0]) / 2
    centres += [width / 2 - middle, 46 * phantom.build, -centres[:, 2].mean()]
    return list(zip(rotations, centres, strict=True))


def _axes(tilt: float, lean: float, turn: float) -> Floats:
    c, s = np.cos([tilt, lean, turn]), np.sin([tilt, lean, turn])
    coronal = np.array([[c[0], -s[0], 0], [s[0], c[0], 0], [0, 0, 1]])
    sagittal = np.array([[1, 0, 0], [0, c[1], s[1]], [0, -s[1], c[1]]])
    axial = np.array([[c[2], 0, s[2]], [0, 1, 0], [-s[2], 0, c[2]]])
    return np.asarray(coronal @ sagittal @ axial)


def corners(phantom: Phantom, poses: list[Pose]) -> Floats:
    """(17, 4, 2) mm TL, TR, BL, BR of T1 to L5: where each endplate's projected rim is widest."""
    t = np.linspace(0, 2 * np.pi, 1441)
    found = []
    for level in range(T1, S1):
        rotation, centre = poses[level]
        across = np.array([rotation[1, 1], -rotation[0, 1]])  # on the film, square to the vertebra's own axis
        for wide, y in ((UPPER[level], -HEIGHT[level] / 2), (LOWER[level], HEIGHT[level] / 2)):
            x, z = wide / 2 * np.cos(t), DEPTH[level] / 2 * np.sin(t)
            rho = superellipse(t, BOX)
            rim = phantom.build * np.stack([x * rho, np.full_like(t, y), z * rho], 1)
            seen = (rim @ rotation.T + centre)[:, :2]
            found += [seen[np.argmin(seen @ across)], seen[np.argmax(seen @ across)]]
    return np.reshape(found, (17, 4, 2))
