"""Augmentation that moves film and landmarks together (albumentations).

Cobb angles need no rule here, as they are measured on the moved landmarks. `augment` makes sure that no landmark is
lost and that left and right corners are renamed when the film is mirrored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aasce.types import Array, as_float

if TYPE_CHECKING:
    import albumentations as A

Floats = NDArray[np.float64]


def intensity_pipeline(strength: float = 1.0) -> A.Compose:
    """Random exposure, contrast, processing, blur, noise and hidden patches for (H, W) uint8 films.

    Args:
        strength: factor on the ranges and probabilities; 0 changes nothing.
    """
    import albumentations as A  # takes most of a second, and only training needs it

    s = strength
    return A.Compose(
        [
            A.RandomGamma(gamma_limit=(int(100 - 45 * s), int(100 + 60 * s)), p=0.6 * s),
            A.RandomBrightnessContrast(0.25 * s, 0.3 * s, p=0.5 * s),
            A.OneOf([A.CLAHE(clip_limit=(1.0, 6.0), p=1.0), A.Equalize(p=0.4)], p=0.35 * s),
            A.OneOf(
                [
                    A.GaussianBlur(blur_limit=(3, 5), p=1.0),
                    A.Sharpen(alpha=(0.2, 0.6), lightness=(0.8, 1.1), p=1.0),
                    A.Downscale(scale_range=(0.5, 0.8), p=1.0),
                ],
                p=0.3 * s,
            ),
            A.GaussNoise(std_range=(0.01, 0.05), p=0.3 * s),
            A.CoarseDropout(
                num_holes_range=(1, 4), hole_height_range=(8, 40), hole_width_range=(8, 40), fill="random_uniform",
                p=0.25 * s,
            ),
        ],
    )  # fmt: skip


def geometric_pipeline(
    scale: tuple[float, float] = (0.85, 1.25), rotation: float = 45.0, mirror: float = 0.5
) -> A.Compose:
    """Random isotropic scaling, rotation and mirroring with landmarks, which keep the angles between vertebrae.

    Args:
        scale: smallest and largest scale.
        rotation: largest rotation, degrees.
        mirror: share of mirrored samples.
    """
    import albumentations as A  # as above

    affine = A.Affine(scale=scale, rotate=(-rotation, rotation), keep_ratio=True, balanced_scale=True, p=1.0)
    return A.Compose(
        [A.HorizontalFlip(p=mirror), affine],
        keypoint_params=A.KeypointParams(format="xy", remove_invisible=False),
    )


def reseed(pipeline: A.Compose, rng: np.random.Generator) -> None:
    """Seeds a pipeline from `rng`, so that a sample depends only on its seed."""
    pipeline.set_random_seed(int(rng.integers(2**31)))


def augment(pipeline: A.Compose, image: Array, landmarks: Array) -> tuple[Array, Floats]:
    """Runs a pipeline with keypoints over a film and its landmarks.

    Args:
        pipeline: a Compose with xy keypoint parameters.
        image: (H, W) or (H, W, C).
        landmarks: (V, 4, 2) px.

    Returns:
        The moved film and (V, 4, 2) px landmarks, TL, TR, BL, BR as they lie on the moved film.

    Raises:
        ValueError: the pipeline lost or added a landmark.
    """
    result: dict[str, Any] = pipeline(image=image, keypoints=as_float(landmarks).reshape(-1, 2))
    points = as_float(np.asarray(result["keypoints"]))
    if points.shape != (landmarks.shape[0] * 4, 2):
        raise ValueError(
            f"augmentation turned {landmarks.shape[0] * 4} landmarks into {len(points)}; set remove_invisible=False"
        )
    return result["image"], relabel_mirrored(landmarks, points.reshape(-1, 4, 2))


def handedness(landmarks: Array) -> float:
    """Sign of (TR - TL) x (BL - TL), by majority: +1 on a film, -1 if left and right are exchanged."""
    p = as_float(landmarks)
    right, down = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]
    return float(np.sign(np.median(right[:, 0] * down[:, 1] - right[:, 1] * down[:, 0])))


def relabel_mirrored(before: Array, after: Array) -> Floats:
    """Swaps left and right corners of (V, 4, 2) `after` if the film was mirrored on the way from `before`."""
    moved = as_float(after)
    return moved[:, [1, 0, 3, 2]] if handedness(before) * handedness(moved) < 0 else moved


def mirror_landmarks(landmarks: Array, width: int) -> Floats:
    """(..., V, 4, 2) px landmarks on the mirrored film.

    Args:
        landmarks: (..., V, 4, 2) px.
        width: of the film, px.
    """
    points = as_float(landmarks)[..., [1, 0, 3, 2], :].copy()
    points[..., 0] = width - 1 - points[..., 0]
    return points
