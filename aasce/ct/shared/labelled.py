"""A patient's scan and its label map, for users who train on their own scans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aasce.ct.base import Grid
from aasce.ct.shared.lookup import Bounds, corners, indices, interpolated, looked_up
from aasce.ct.shared.middles import body_middles
from aasce.readers.scans import read_scan
from aasce.readers.vertebrae import HEAD_TO_FOOT
from aasce.types import AasceError, Array
from aasce.volume import Volume


@dataclass(frozen=True, slots=True, eq=False)
class LabelledScan:
    """A patient's scan and its label map; a `TrainingScan`.

    Attributes:
        scan_id: of the scan.
        ct: HU, any grid.
        labels: labels of VerSe, any grid.
        centroids: by label (3,) world mm.
    """

    scan_id: str
    ct: Volume
    labels: Volume
    centroids: Mapping[int, NDArray[np.float64]]

    @classmethod
    def of(
        cls, scan_id: str, ct: Volume, labels: Volume, centroids: Mapping[int, Array] | None = None
    ) -> LabelledScan:
        """A scan with its labels; without centroids, each is the middle of the mask's deepest part, the body.

        Raises:
            AasceError: the label map holds no vertebra, or labels that are none of VerSe's.
        """
        found = [int(label) for label in np.unique(labels.data) if label]
        unknown = sorted(set(found) - set(HEAD_TO_FOOT))
        if unknown or not found:
            what = f"labels {unknown} are no vertebrae of VerSe" if unknown else "holds no vertebra"
            raise AasceError(f"{scan_id}: the label map {what}; give VerSe's numbers (1 to 26, 28)")
        if centroids is None:
            centroids = body_middles(labels)
        low, high = corners(ct)
        places = {int(label): np.asarray(place, np.float64) for label, place in centroids.items()}
        inside = {n: place for n, place in places.items() if (place >= low).all() and (place <= high).all()}
        return cls(scan_id, ct, Volume(labels.data.astype(np.uint8), labels.affine, "label"), inside)

    @classmethod
    def read(cls, ct: Path, labels: Path, centroids: Mapping[int, Array] | None = None) -> LabelledScan:
        """Reads a scan and its label map from files."""
        return cls.of(ct.name.split(".")[0], read_scan(ct, "ct"), read_scan(labels, "label"), centroids)

    @property
    def bounds(self) -> Bounds:
        return corners(self.ct)

    def sample(self, grid: Grid, rng: np.random.Generator, shift: Array | None = None) -> tuple[Array, Array]:
        """See `TrainingScan.sample`; nothing is drawn."""
        index, _ = indices(grid, self.ct.affine, shift)
        value = interpolated(self.ct, index, float(np.linalg.norm(grid.affine[:3, :3], axis=0).min()))
        index, _ = indices(grid, self.labels.affine, shift)
        return value, looked_up(self.labels.data, index, np.zeros(3))
