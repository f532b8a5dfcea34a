"""The scan around the spine as tensors: low-passed intensity and its gradient at any point of the world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn.functional import grid_sample

from aasce.types import AasceError
from aasce.volume import Volume

MARGIN_MM = 75.0
"""By which the scan is kept around the middles of the bodies: a spinous process and the points around it."""

FINEST_MM = 1.0
"""Voxels below this are merged: the template has no finer detail."""


@dataclass(frozen=True, slots=True, eq=False)
class LowPassed:
    """The scan at one low-pass.

    Attributes:
        channels: (1, 4, X, Y, Z) intensity, and its gradient in 1/mm along the world's axes.
        to_index: (3, 4) world mm to voxels.
    """

    channels: Tensor
    to_index: Tensor

    def sample(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Trilinear interpolation, differentiable in the points.

        Args:
            points: (P, 3) world mm.

        Returns:
            (P,) intensity, (P, 3) gradient, (P,) bool: within the scan.
        """
        shape = torch.tensor(self.channels.shape[2:], device=points.device)
        index = points @ self.to_index[:, :3].T + self.to_index[:, 3]
        within = ((index >= 0) & (index <= shape - 1)).all(-1)
        place = (2 * index / (shape - 1) - 1).flip(-1)[None, None, None]
        found = grid_sample(self.channels, place, padding_mode="border", align_corners=True)[0, :, 0, 0]
        return found[0], found[1:].T, within


def cropped(scan: Volume, centroids: NDArray[np.float64]) -> Volume:
    """The scan up to MARGIN_MM around (N, 3) centroids in world mm."""
    corners = np.stack(np.meshgrid(*[[-MARGIN_MM, MARGIN_MM]] * 3), -1).reshape(-1, 3)
    index = scan.to_index(centroids[:, None] + corners).reshape(-1, 3)
    return scan.crop(np.floor(index.min(0)).astype(int), np.ceil(index.max(0)).astype(int) + 1)


@dataclass(frozen=True, slots=True, eq=False)
class SpineImage:
    """The scan around the spine, at its full resolution or FINEST_MM.

    Attributes:
        intensity: (X, Y, Z), the window is [0, 1].
        affine: (4, 4) voxel to world mm.
        device: of what is sampled.
    """

    intensity: NDArray[np.float32]
    affine: NDArray[np.float64]
    device: str = "cpu"

    @classmethod
    def of(
        cls, scan: Volume, centroids: NDArray[np.float64], window: tuple[float, float], device: str
    ) -> SpineImage:
        """Crops a scan to the spine.

        Args:
            scan: HU.
            centroids: (N, 3) world mm.
            window: HU, limits of the intensity.
            device: of what is sampled.

        Raises:
            AasceError: the scan has a single slice.
        """
        part = cropped(scan, centroids)
        if (part.spacing < FINEST_MM).any():
            part = part.resample(np.maximum(part.spacing, FINEST_MM).tolist())
        if min(part.shape) < 2:
            raise AasceError(
                f"scan of {scan.shape} voxels: a template needs two slices or more along each axis"
            )
        low, high = window
        scaled = np.clip((np.asarray(part.data, np.float32) - low) / (high - low), 0, 1)
        return cls(scaled, part.affine, device)

    def low_passed(self, blur: float) -> LowPassed:
        """The scan after a Gaussian of `blur` mm."""
        spacing = np.linalg.norm(self.affine[:3, :3], axis=0)
        smooth = ndimage.gaussian_filter(self.intensity, blur / spacing, mode="nearest")
        inverse = np.linalg.inv(self.affine)[:3]
        gradient = np.einsum("aw,axyz->wxyz", inverse[:, :3].astype(np.float32), np.gradient(smooth))
        channels = np.concatenate([smooth[None], gradient])[None]
        return LowPassed(
            torch.as_tensor(channels, dtype=torch.float32, device=self.device),
            torch.as_tensor(inverse, dtype=torch.float32, device=self.device),
        )
