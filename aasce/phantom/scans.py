"""A person as a CT scan: Hounsfield units, a label for every vertebra, centroids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from aasce.phantom.person import Person, Phantom, build_person
from aasce.phantom.spine.pose import LEVELS
from aasce.volume import Volume
from aasce.xray.mesh import Mesh
from aasce.xray.voxels import add_ct_noise, voxelise

VERSE: dict[str, int] = {
    **{f"C{i}": i for i in range(1, 8)},
    **{f"T{i}": 7 + i for i in range(1, 13)},
    **{f"L{i}": 19 + i for i in range(1, 6)},
    "S1": 26,
}
"""Label numbers of VerSe (Sekuboyina et al. 2021, Med Image Anal 73:102166): C1 1 ... T1 8 ... L1 20, sacrum 26."""

_NESTING = ("air", "fat", "soft", "lung", "blood", "cartilage", "cortex", "marrow")
"""Materials from the outside inwards; metal and plastic come last."""

_REACH_MM = (95.0, 95.0, 70.0, 60.0, 45.0)
"""mm of the scan beyond the spine: to either side, behind, in front and above it; below by the sacrum."""


@dataclass(frozen=True, slots=True)
class PhantomScan:
    """One scan.

    Attributes:
        ct: HU, noise included.
        labels: VerSe's numbers, 0 elsewhere.
        centroids: VerSe's json form: the orientation, then {"label", "X", "Y", "Z"} in voxels of a vertebra's body.
    """

    ct: Volume
    labels: Volume
    centroids: list[dict[str, Any]]


def nesting(mesh: Mesh) -> tuple[int, int]:
    """Sorts meshes from the outside inwards."""
    rank = [_NESTING.index(m) if m in _NESTING else len(_NESTING) for m in (mesh.inside, mesh.material)]
    return (rank[1], rank[1]) if rank[1] == len(_NESTING) else (rank[0], rank[1])


def phantom_scan(person: Person, seed: int = 0, spacing: float = 1.5, noise: float = 15.0) -> PhantomScan:
    """Scans a person from the skull's base to the sacrum.

    Args:
        person: who.
        seed: of the noise.
        spacing: mm per voxel.
        noise: HU, standard deviation.
    """
    phantom = build_person(person)
    box = _box(phantom)
    meshes = sorted(phantom.meshes, key=nesting)
    ct = add_ct_noise(voxelise(meshes, spacing, box), np.random.default_rng((seed, 2)), noise)
    bones = [mesh for mesh in meshes if mesh.name in VERSE]
    labels = voxelise(bones, spacing, box, lambda mesh: VERSE[mesh.name], kind="label")
    return PhantomScan(ct, labels, centroids(phantom, labels))


def _box(phantom: Phantom) -> np.ndarray[Any, np.dtype[np.float64]]:
    spine = phantom.pose.centre.double().numpy() / phantom.pose.scale
    side, _, behind, front, above = _REACH_MM
    low = np.array([spine[:, 0].min() - side, spine[:, 1].min() - behind, -95.0])
    high = np.array([spine[:, 0].max() + side, spine[:, 1].max() + front, spine[0, 2] + above])
    return np.stack([low, high]) * phantom.pose.scale


def centroids(phantom: Phantom, grid: Volume) -> list[dict[str, Any]]:
    """The middles of the bodies, C1 to L5, in VerSe's json form."""
    middles = phantom.pose.centre.double().numpy()[:-1]
    index = grid.to_index(middles)
    places = [
        {"label": VERSE[level], "X": round(float(x), 2), "Y": round(float(y), 2), "Z": round(float(z), 2)}
        for level, (x, y, z) in zip(LEVELS[:-1], index, strict=True)
    ]
    return [{"direction": list(grid.axcodes)}, *places]
