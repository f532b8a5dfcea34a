"""Gas in stomach and bowel: a bubble above its fluid level, haustra, single bubbles, and gas mixed with faeces.

A healthy bowel contains 95 ml of gas, 71 to 141 (Bendezu et al. 2015, Neurogastroenterol Motil 27:1249); the colon is
up to 9 cm wide at the caecum, mostly 4 to 6, ascending 203, transverse 198 and descending 160 ml of content (Pritchard
et al. 2014, Neurogastroenterol Motil 26:124).

Frame of the records: mm at scale 1, following the pose: x relative to half of the spine's lateral deviation, y relative
to the spine, z above the sacrum's endplate, with L1 at 168 mm.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from aasce.config import Settings
from aasce.phantom.solids.loft import unit
from aasce.phantom.solids.primitives import Solid, merged, rod, spline, unit_ball
from aasce.phantom.spine.pose import LEVELS, SpinePose
from aasce.types import Array
from aasce.xray.mesh import Mesh

Segment = Literal["ascending", "transverse", "descending", "sigmoid", "rectum", "small"]

_L1_HEIGHT = 168.0
FACES = 3000
"""Largest number of faces of all gas together."""

_COURSE: dict[str, Array] = {
    # x to the right, y forward of the bodies, z; middle line of each segment from its beginning.
    "ascending": np.array([(74, 44, -58), (84, 32, -15), (82, 12, 40), (78, 8, 92), (70, 28, 118)], float),
    "transverse": np.array([(70, 36, 112), (36, 56, 78), (-4, 60, 62), (-44, 50, 88), (-72, 22, 132)], float),
    "descending": np.array(
        [(-74, 8, 150), (-84, -4, 100), (-86, 2, 45), (-84, 26, -5), (-74, 44, -48)], float
    ),
    "sigmoid": np.array([(-70, 44, -56), (-44, 42, -82), (-8, 34, -72), (18, 16, -82), (4, 0, -76)], float),
    "rectum": np.array([(4, -4, -72), (-3, 8, -104), (2, 16, -130)], float),
    "small": np.array([(30, 40, 20), (-30, 44, 30), (-34, 46, -10), (24, 40, -30), (34, 36, 4)], float),
}


class StomachBubble(Settings):
    """Gas in the fundus, below the left dome of the diaphragm.

    Attributes:
        x, y, z: its middle in the frame of the records, mm.
        width, height, depth: mm.
        level: distance of the fluid level below the middle, as a share of half the height: 0 (a half bubble) to 1 (no
            fluid).
        lumps: unevenness of its surface, relative.
        seed: of the unevenness.
    """

    x: float
    y: float
    z: float
    width: float
    height: float
    depth: float
    level: float
    lumps: float
    seed: int


class GasCluster(Settings):
    """Gas in a piece of bowel.

    Attributes:
        segment: of the bowel.
        start, stop: positions as shares of the segment's length.
        look: pattern of the gas: "haustra" a tube with pouches, "bubbles" single ones, "mottled" many small ones.
        count: number of pouches or bubbles.
        radius: mean radius, mm.
        lumps: unevenness of their surface, relative.
        seed: of their positions and unevenness.
    """

    segment: Segment
    start: float
    stop: float
    look: Literal["haustra", "bubbles", "mottled"]
    count: int
    radius: float
    lumps: float
    seed: int


class GasRecord(Settings):
    """All gas below the diaphragm."""

    stomach: StomachBubble | None = None
    clusters: tuple[GasCluster, ...] = ()


_HABITS = (
    # segment, probability of gas, probabilities of haustra, bubbles, mottled; mean and sd of the radius
    ("ascending", 0.65, (0.25, 0.3, 0.45), 12.0, 3.5),
    ("transverse", 0.3, (0.45, 0.4, 0.15), 12.0, 3.0),
    ("descending", 0.5, (0.45, 0.3, 0.25), 9.5, 2.5),
    ("sigmoid", 0.5, (0.3, 0.4, 0.3), 10.0, 3.0),
    ("rectum", 0.5, (0.1, 0.45, 0.45), 12.0, 3.5),
    ("small", 0.22, (0.2, 0.8, 0.0), 6.5, 1.5),
)


def draw_gas(rng: np.random.Generator) -> GasRecord:
    """Draws the usual gas of an upright patient."""
    clusters = []
    for segment, chance, shares, radius, spread in _HABITS:
        if rng.random() > chance:
            continue
        for _ in range(1 + int(rng.random() < 0.35)):
            pattern = str(rng.choice(["haustra", "bubbles", "mottled"], p=shares))
            start, length = float(rng.uniform(0, 0.6)), float(rng.uniform(0.2, 0.55))
            many = {"haustra": (2, 6), "bubbles": (1, 6), "mottled": (12, 34)}[pattern]
            clusters.append(
                GasCluster.model_validate(
                    {
                        "segment": segment,
                        "start": round(start, 3),
                        "stop": round(min(1.0, start + length), 3),
                        "look": pattern,
                        "count": int(rng.integers(*many)),
                        "radius": round(float(np.clip(rng.normal(radius, spread), 4, 19)), 2),
                        "lumps": round(float(rng.uniform(0.08, 0.32)), 3),
                        "seed": int(rng.integers(1 << 31)),
                    }
                )
            )
    return GasRecord(stomach=_draw_stomach(rng) if rng.random() < 0.78 else None, clusters=tuple(clusters))


def _draw_stomach(rng: np.random.Generator) -> StomachBubble:
    width = float(np.clip(rng.normal(62, 15), 30, 92))
    return StomachBubble(
        x=round(float(rng.normal(-52, 7)), 2),
        y=round(float(rng.normal(18, 8)), 2),
        z=round(float(rng.normal(214, 7)), 2),
        width=round(width, 2),
        height=round(width * float(rng.uniform(0.45, 0.95)), 2),
        depth=round(width * float(rng.uniform(0.6, 0.9)), 2),
        level=round(float(rng.uniform(0.02, 0.3) if rng.random() < 0.75 else rng.uniform(0.5, 1.0)), 3),
        lumps=round(float(rng.uniform(0.02, 0.1)), 3),
        seed=int(rng.integers(1 << 31)),
    )


def build_gas(record: GasRecord, pose: SpinePose, dome: Array | None = None) -> list[Mesh]:
    """Meshes of gas, "air" in "soft"; parts beyond `FACES` faces are left out.

    Args:
        record: see `GasRecord`.
        pose: of the spine.
        dome: (3,) mm, top of the left dome of the diaphragm; the stomach's bubble stays below it. None for no limit.
    """
    meshes = []
    dtype = pose.centre.dtype
    left = FACES
    if record.stomach is not None:
        meshes.append(merged("gas stomach", "air", "soft", [_stomach(record.stomach, pose, dome)], dtype))
        left -= 320
    for index, cluster in enumerate(record.clusters):
        solids = []
        for solid in _cluster(cluster, pose):
            if len(solid[1]) <= left:
                solids.append(solid)
                left -= len(solid[1])
        if solids:
            meshes.append(merged(f"gas {cluster.segment} {index}", "air", "soft", solids, dtype))
    return meshes


def in_belly(pose: SpinePose, points: Array) -> Array:
    """Points (N, 3) mm of the frame of the records, transformed to the person's frame."""
    spine = pose.centre.detach().cpu().double().numpy()
    stretch = spine[LEVELS.index("L1"), 2] / (_L1_HEIGHT * pose.scale)
    stretch = float(np.clip(stretch, 0.55, 1.4))
    height = points[:, 2] * pose.scale * np.where(points[:, 2] > 0, stretch, 1.0)
    order = np.argsort(spine[:, 2])
    x = 0.5 * np.interp(height, spine[order, 2], spine[order, 0])
    y = np.interp(height, spine[order, 2], spine[order, 1])
    return np.stack([x + points[:, 0] * pose.scale, y + points[:, 1] * pose.scale, height], -1)


def _lumpy(rng: np.random.Generator, directions: Array, lumps: float) -> Array:
    """Radii (N,), about 1, of a smooth irregular bubble in unit directions (N, 3)."""
    waves = rng.normal(0, 2.1, (5, 3))
    phase = rng.uniform(0, 2 * np.pi, 5)
    return np.asarray(1 + lumps * np.cos(directions @ waves.T + phase).mean(1) * 2)


def _stomach(bubble: StomachBubble, pose: SpinePose, dome: Array | None) -> Solid:
    directions, faces = unit_ball(2)
    rng = np.random.default_rng(bubble.seed)
    shape = directions * _lumpy(rng, directions, bubble.lumps)[:, None]
    low = shape[:, 2] < -bubble.level
    # The fluid level cuts the bubble horizontally: points below it are moved towards the middle.
    shape[low] *= (-bubble.level / shape[low, 2])[:, None]
    half = np.array([bubble.width, bubble.depth, bubble.height]) / 2 * pose.scale
    centre = in_belly(pose, np.array([[bubble.x, bubble.y, bubble.z]]))[0]
    if dome is not None:
        centre[2] = min(centre[2], dome[2] - 6 * pose.scale - half[2])
    return centre + shape * half, faces


def _cluster(cluster: GasCluster, pose: SpinePose) -> list[Solid]:
    rng = np.random.default_rng(cluster.seed)
    course = spline(_COURSE[cluster.segment], 12)
    course = course[int(cluster.start * (len(course) - 3)) : int(cluster.stop * (len(course) - 3)) + 3]
    line = in_belly(pose, course)
    if cluster.look == "haustra":
        return [_haustra(cluster, line, rng, pose.scale)]
    if cluster.look == "mottled":
        return _mottled(cluster, line, rng, pose.scale)
    return _bubbles(cluster, line, rng, pose.scale)


def _haustra(cluster: GasCluster, line: Array, rng: np.random.Generator, scale: float) -> Solid:
    """A tube with pouches, whose radius alternately increases and decreases."""
    count = 6 * cluster.count + 1
    place = np.linspace(0, len(line) - 1, count)
    axis = np.stack([np.interp(place, np.arange(len(line)), line[:, k]) for k in range(3)], -1)
    phase = np.linspace(0, cluster.count, count)
    width = 0.42 + 0.58 * np.abs(np.sin(np.pi * phase)) ** 0.6
    width *= np.interp(phase, np.arange(cluster.count + 1), rng.uniform(0.75, 1.2, cluster.count + 1))
    width[0] = width[-1] = 0.12
    side = rng.normal(0, 1, (cluster.count + 1, 3))
    sway = np.stack([np.interp(phase, np.arange(cluster.count + 1), side[:, k]) for k in range(3)], -1)
    axis = axis + sway * cluster.radius * cluster.lumps * scale
    solid, faces = rod(axis, cluster.radius * scale * width, 10)
    return solid, faces


def _bubbles(cluster: GasCluster, line: Array, rng: np.random.Generator, scale: float) -> list[Solid]:
    """Single bubbles along the bowel that do not overlap."""
    directions, faces = unit_ball(2 if cluster.radius > 11 and cluster.count < 4 else 1)
    solids: list[Solid] = []
    taken: list[tuple[Array, float]] = []
    for _ in range(3 * cluster.count):
        if len(solids) == cluster.count:
            break
        centre = line[rng.integers(len(line))] + rng.normal(0, 0.35, 3) * cluster.radius * scale
        axes = cluster.radius * scale * np.clip(rng.normal(0.9, 0.25, 3), 0.45, 1.35)
        if any(np.linalg.norm(centre - other) < 0.8 * (axes.mean() + size) for other, size in taken):
            continue
        taken.append((centre, float(axes.mean())))
        turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        shape = directions * _lumpy(rng, directions, cluster.lumps)[:, None]
        solids.append((centre + (shape * axes) @ turn, faces))
    return solids


def _mottled(cluster: GasCluster, line: Array, rng: np.random.Generator, scale: float) -> list[Solid]:
    """Small bubbles of gas in faeces that fill the bowel."""
    directions, faces = unit_ball(0)
    solids = []
    for _ in range(cluster.count):
        away = unit(rng.normal(size=3)) * cluster.radius * rng.random() ** (1 / 3) * 1.25
        axes = np.clip(rng.lognormal(0.85, 0.45, 3), 1.0, 6.0) * scale
        centre = line[rng.integers(len(line))] + away * scale
        solids.append((centre + directions * axes, faces))
    return solids
