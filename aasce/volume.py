"""A scan, or its labels, on a voxel grid with a known position in space.

World: mm, RAS+, as in NIfTI (x to the right of the patient, y to the front, z to the head). Indices refer to voxel
centres. After every operation on the grid, world positions are unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aasce.types import AasceError, Array

Kind: TypeAlias = Literal["ct", "mr", "label"]
KINDS: tuple[Kind, ...] = ("ct", "mr", "label")

_MIN_SPACING, _MAX_VOXELS = 1e-3, 4e9
_FLATTEST = 1e-3  # smallest sine of the angle between an axis and the plane of the other two


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """A scan or a label map.

    Attributes:
        data: (X, Y, Z); HU (ct) or signal without unit (mr) as float32, labels as integers.
        affine: (4, 4) float64, homogeneous voxel index to world mm, RAS+. May be oblique, mirrored or sheared.
        kind: "ct", "mr" or "label".

    Raises:
        AasceError: data is not 3D, labels are not integers, or the affine is singular.
    """

    data: Array
    affine: Array
    kind: Kind

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise AasceError(f"volume of kind {self.kind!r}: give one of {', '.join(KINDS)}")
        if self.data.ndim != 3 or 0 in self.data.shape:
            raise AasceError(f"volume of shape {self.data.shape}: give three axes (X, Y, Z), none empty")
        if self.kind == "label" and self.data.dtype.kind not in "iub":
            raise AasceError(f"label volume of {self.data.dtype}: labels are integers")
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or (affine[3] != [0, 0, 0, 1]).any():
            raise AasceError("volume: the affine is no (4, 4) matrix with a last row of 0 0 0 1")
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        if (lengths < _MIN_SPACING).any() or abs(np.linalg.det(affine[:3, :3] / lengths)) < _FLATTEST:
            raise AasceError("volume: the affine's axes lie in one plane; write the scan's true axes into it")
        object.__setattr__(self, "affine", affine)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(X, Y, Z) in voxels."""
        x, y, z = self.data.shape
        return int(x), int(y), int(z)

    @property
    def spacing(self) -> NDArray[np.float64]:
        """(3,) mm between neighbouring voxel centres along each axis of the grid."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))

    @property
    def axcodes(self) -> tuple[str, str, str]:
        """Nearest world direction of each axis of the grid: ("R", "A", "S") for a grid parallel to the world."""
        from nibabel.orientations import aff2axcodes  # saves import time where only films are read

        first, second, third = (str(code) for code in aff2axcodes(self.affine))
        return first, second, third

    def to_world(self, index: ArrayLike) -> NDArray[np.float64]:
        """Indices (..., 3), also fractional ones, to mm (..., 3)."""
        return np.asarray(index, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_index(self, world: ArrayLike) -> NDArray[np.float64]:
        """mm (..., 3) to indices (..., 3), not rounded, also outside the grid."""
        inverse = np.linalg.inv(self.affine[:3, :3])
        return np.asarray((np.asarray(world, dtype=np.float64) - self.affine[:3, 3]) @ inverse.T)

    def reorient(self, axcodes: Sequence[str] = ("R", "A", "S")) -> Volume:
        """Swaps and flips axes so that they point in the given directions; nothing is interpolated.

        Args:
            axcodes: three letters, one of R/L, one of A/P, one of S/I, in any order: "LPS", ("P", "I", "R").

        Raises:
            AasceError: letters that name no orientation.
        """
        from nibabel import orientations  # as above

        codes = tuple(str(code).upper() for code in axcodes)
        if sorted(codes, key="RLAPSI".find) not in [[r, a, s] for r in "RL" for a in "AP" for s in "SI"]:
            raise AasceError(f"orientation {''.join(codes)!r}: give one of R/L, one of A/P and one of S/I")
        current = orientations.io_orientation(self.affine)
        change = orientations.ornt_transform(current, orientations.axcodes2ornt(codes))
        data = np.ascontiguousarray(orientations.apply_orientation(self.data, change))
        return Volume(data, self.affine @ orientations.inv_ornt_aff(change, self.shape), self.kind)

    def resample(self, spacing: float | Sequence[float], order: int | None = None) -> Volume:
        """The same field of view at another spacing, with the same axes.

        The outer faces of the first voxels stay in place; the opposite faces move by at most half a new voxel.
        For a coarser spacing, numbers (not labels) are smoothed first to avoid aliasing.

        Args:
            spacing: new mm per voxel, one number or one per axis.
            order: of the spline, 0 (nearest) to 3; when None 0 for labels and 1 for numbers.

        Raises:
            AasceError: the spacing is not positive, or labels would be interpolated.
        """
        wanted = np.broadcast_to(np.asarray(spacing, dtype=np.float64), (3,))
        if not np.isfinite(wanted).all() or (wanted < _MIN_SPACING).any():
            raise AasceError(f"spacing {spacing}: give mm per voxel, above {_MIN_SPACING}")
        order = (0 if self.kind == "label" else 1) if order is None else order
        if self.kind == "label" and order != 0:
            raise AasceError(
                f"labels resampled with order {order}: numbers between two labels mean nothing; use 0"
            )
        ratio = wanted / self.spacing
        shape = np.maximum(np.rint(np.array(self.shape) / ratio), 1)
        if shape.prod() > _MAX_VOXELS:
            raise AasceError(
                f"spacing {spacing} mm: would take {shape.prod():.2g} voxels; choose a coarser one"
            )
        offset = (ratio - 1) / 2  # index of the new first voxel in the old grid
        affine = self.affine @ _scaling(ratio, offset)
        size = tuple(int(n) for n in shape)
        return Volume(_interpolated(self.data, ratio, offset, size, order), affine, self.kind)

    def crop(self, start: Sequence[int], stop: Sequence[int]) -> Volume:
        """Voxels from `start` (included) to `stop` (excluded) along each axis, as far as they lie on the grid.

        Raises:
            AasceError: nothing of the volume is left.
        """
        low = np.clip(np.asarray(start, dtype=int), 0, self.shape)
        high = np.clip(np.asarray(stop, dtype=int), 0, self.shape)
        if (high <= low).any():
            raise AasceError(
                f"crop from {list(start)} to {list(stop)}: leaves nothing of a volume of {self.shape}"
            )
        data = self.data[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
        return Volume(data, self.affine @ _scaling(np.ones(3), low), self.kind)

    def pad(self, before: Sequence[int], after: Sequence[int], value: float | None = None) -> Volume:
        """Voxels added before the first and after the last one along each axis.

        Args:
            before: (3,) counts, not negative.
            after: (3,) counts, not negative.
            value: of the new voxels; by default air (-1000 HU) in a CT, 0 elsewhere.

        Raises:
            AasceError: a negative count.
        """
        counts = np.stack([np.asarray(before, dtype=int), np.asarray(after, dtype=int)], -1)
        if (counts < 0).any():
            raise AasceError(f"pad by {list(before)} and {list(after)}: counts are not negative; use crop")
        fill = value if value is not None else (-1000 if self.kind == "ct" else 0)
        data = np.pad(self.data, [(int(b), int(a)) for b, a in counts], constant_values=fill)
        return Volume(data, self.affine @ _scaling(np.ones(3), -counts[:, 0]), self.kind)


def _scaling(ratio: NDArray[Any], offset: NDArray[Any]) -> NDArray[np.float64]:
    """(4, 4) from indices of a new grid to indices of the old one."""
    matrix = np.diag([*ratio, 1.0]).astype(np.float64)
    matrix[:3, 3] = offset
    return matrix


def _interpolated(
    data: Array, ratio: NDArray[np.float64], offset: NDArray[np.float64], shape: tuple[int, ...], order: int
) -> Array:
    """Samples `data` at `ratio` * index + `offset`; beyond the grid the outermost voxels are repeated."""
    from scipy import ndimage  # as above

    if order > 0:
        data = np.asarray(data, dtype=np.float32)
        blur = np.maximum(ratio - 1, 0) / 2
        if (blur > 0).any():
            data = ndimage.gaussian_filter(data, blur, mode="nearest")
    return np.asarray(ndimage.affine_transform(data, ratio, offset, shape, order=order, mode="nearest"))
