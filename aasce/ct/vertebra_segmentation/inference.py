"""The probability of one vertebra around its centroid, and the map of all vertebrae on the scan's own grid."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from aasce.ct.base import Grid
from aasce.ct.shared.grids import Floats, Shares, onto_scan
from aasce.ct.shared.unet import passed
from aasce.ct.vertebra_segmentation.network import VertebraNet
from aasce.ct.vertebra_segmentation.settings import VertebraSegmentationConfig
from aasce.volume import Volume

STEPS = 250
"""Steps in which probabilities are kept, in one byte a voxel: a scan may have 260 million."""


def centroid_heatmap(point: Floats, shape: tuple[int, ...], sigma: float) -> Shares:
    """(X, Y, Z) Gaussian of height 1.

    Args:
        point: (3,) index of the centroid.
        shape: (X, Y, Z).
        sigma: voxels.
    """
    x, y, z = (np.exp(-0.5 * ((np.arange(n) - p) / sigma) ** 2) for n, p in zip(shape, point, strict=True))
    return np.asarray(x[:, None, None] * y[:, None] * z, np.float32)


def coronal_lean(centroids: Floats) -> Floats:
    """(V,) degrees by which the line through the centroids leans in the coronal plane at each of them.

    Args:
        centroids: (V, 3) world mm, along the spine. The lean is positive where the line goes towards +x on its way
            up; 0 for a single vertebra.
    """
    if len(centroids) < 2:
        return np.zeros(len(centroids))
    along = np.gradient(centroids, axis=0)
    up = np.where(along[:, 2:] < 0, -along, along)
    return np.degrees(np.arctan2(up[:, 0], up[:, 2]))


def probability(net: VertebraNet, hu: Shares, config: VertebraSegmentationConfig) -> Shares:
    """(X, Y, Z) probability that a voxel is of the vertebra in the middle.

    Args:
        net: in evaluation mode.
        hu: (X, Y, Z), the centroid in the middle.
        config: of the method.
    """
    middle = (np.array(hu.shape) - 1) / 2
    heat = centroid_heatmap(middle, hu.shape, config.mask.sigma / config.spacing)
    values = torch.from_numpy(np.stack([config.intensity.scaled(hu), heat]))[None]
    found = np.asarray(passed(net, values).sigmoid()[0].numpy(), np.float32)
    return largest_part(found, config.mask.threshold) if config.mask.largest_part else found


def largest_part(share: Shares, threshold: float) -> Shares:
    """The same probabilities, 0 in all connected parts above the threshold but the largest."""
    parts, count = ndimage.label(share >= threshold)
    if count < 2:
        return share
    sizes = np.bincount(parts.ravel())[1:]
    return np.where((parts == 0) | (parts == 1 + int(np.argmax(sizes))), share, np.float32(0))


def merged_masks(
    scan: Volume,
    crops: Iterable[tuple[int, Grid]],
    read: Callable[[Grid], Shares],
    threshold: float = 0.5,
) -> tuple[Volume, dict[int, float]]:
    """Labels on the scan's own grid: in each voxel the vertebra of the highest probability, if that is high enough.

    Args:
        scan: gives the grid.
        crops: label and grid of each vertebra.
        read: probability (X, Y, Z) on a grid.
        threshold: lowest probability of a vertebra.

    Returns:
        Labels, uint8, and by label the mean probability of the voxels that were a vertebra's when it was read; 0 where
        it had none. Of equal probabilities the first one counts.
    """
    labels = np.zeros(scan.shape, np.uint8)
    best: NDArray[np.uint8] = np.zeros(scan.shape, np.uint8)
    sure = {}
    for label, grid in crops:
        found = onto_scan(read(grid), grid, scan)
        sure[label] = 0.0
        if found is None:
            continue
        box, share = found
        steps = np.rint(share * STEPS).astype(np.uint8)
        wins = (share >= threshold) & (steps > best[box])
        labels[box][wins] = label
        best[box][wins] = steps[wins]
        if wins.any():
            sure[label] = float(share[wins].mean())
    return Volume(labels, scan.affine, "label"), sure
