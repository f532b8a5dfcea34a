"""CT scan of a person: Hounsfield units, vertebra labels and centroids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from aasce.phantom.person import Person, Phantom, build_person
from aasce.phantom.spine.pose import LEVELS
from aasce.readers.centroids import verse_form
from aasce.readers.vertebrae import VERSE
from aasce.volume import Volume
from aasce.xray.mesh import Mesh
from aasce.xray.voxels import add_ct_noise, voxelise

_NESTING = ("air", "fat", "soft", "lung", "blood", "cartilage", "cortex", "marrow")
"""Materials in nesting order, the outermost first; metal and plastic follow after these."""

_SIDE_MM, _BEHIND_MM, _FRONT_MM, _ABOVE_MM, _BELOW_MM = 95.0, 70.0, 60.0, 45.0, 95.0
"""mm by which the scan extends beyond the middles of the bodies; below, from the sacrum's endplate."""


@dataclass(frozen=True, slots=True)
class PhantomScan:
    """One CT scan with labels.

    Attributes:
        ct: HU, with noise.
        labels: labels of VerSe, 0 elsewhere.
        centroids: in the JSON form of VerSe: the orientation, then {"label", "X", "Y", "Z"} in voxels for each body.
    """

    ct: Volume
    labels: Volume
    centroids: list[dict[str, Any]]


def nesting(mesh: Mesh) -> tuple[int, int]:
    """Sort key by which outer meshes come before the meshes inside them."""
    rank = [_NESTING.index(m) if m in _NESTING else len(_NESTING) for m in (mesh.inside, mesh.material)]
    return (rank[1], rank[1]) if rank[1] == len(_NESTING) else (rank[0], rank[1])


def phantom_scan(person: Person, seed: int = 0, spacing: float = 1.5, noise: float = 15.0) -> PhantomScan:
    """CT scan of a person from the base of the skull to the sacrum.

    Args:
        person: see `Person`.
        seed: of the noise.
        spacing: mm per voxel.
        noise: standard deviation of the noise, HU.
    """
    phantom = build_person(person)
    box = _box(phantom)
    meshes = sorted(phantom.meshes, key=nesting)
    ct = add_ct_noise(voxelise(meshes, spacing, box), np.random.default_rng((seed, 2)), noise)
    bones = [mesh for mesh in meshes if mesh.name in VERSE]
    labels = voxelise(bones, spacing, box, lambda mesh: VERSE[mesh.name], kind="label")
    return PhantomScan(ct, labels, centroids(phantom, labels))


def _box(phantom: Phantom) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(2, 3) mm, lower and upper corner of the scan."""
    spine = phantom.pose.centre.double().numpy() / phantom.pose.scale
    low = np.array([spine[:, 0].min() - _SIDE_MM, spine[:, 1].min() - _BEHIND_MM, -_BELOW_MM])
    high = np.array([spine[:, 0].max() + _SIDE_MM, spine[:, 1].max() + _FRONT_MM, spine[0, 2] + _ABOVE_MM])
    return np.stack([low, high]) * phantom.pose.scale


def centroids(phantom: Phantom, grid: Volume) -> list[dict[str, Any]]:
    """The middles of the bodies, C1 to L5, in the JSON form of VerSe.

    Args:
        phantom: the person.
        grid: the scan, whose voxels are counted.
    """
    middles = phantom.pose.centre.double().numpy()[:-1]
    return verse_form(
        {VERSE[level]: middle for level, middle in zip(LEVELS[:-1], middles, strict=True)}, grid
    )
