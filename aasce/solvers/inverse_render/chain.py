"""Where a spine may stand on a film: the best chain of vertebrae, found for all places, tilts and sizes at once.

Every vertebra of the mean spine, seen with its neighbours and turned by several tilts, is looked for all over the film
(normalised correlation of both gradients). Alone none can be trusted; a chain of seventeen at the spacing and with the
change of tilt of spines is found by dynamic programming, in the manner of pictorial structures (Felzenszwalb and
Huttenlocher, IJCV 2005), exactly and without a start.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from aasce.geometry.centerline import arc_lengths, slice_landmarks
from aasce.solvers.inverse_render.model import FILM_MM, SpineModel, camera, landmarks, render, size_of
from aasce.types import Array

Floats = NDArray[np.float64]
Map = NDArray[np.float32]

TILTS = tuple(range(-40, 41, 8))
"""Degrees that a vertebra is looked for at."""

BEND = 0.03
"""What a change of tilt by one step from a vertebra to the next costs, in correlation."""

LEAN = 0.02
"""What a vertebra tilted by 20 degrees costs; it grows with the square of the tilt."""

ROOM = 1.5
"""Height and width of what is looked for, in spacings and in widths of the vertebra."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A column on the film.

    Attributes:
        corners: (17, 4, 2) px of the film it was looked for on.
        score: mean correlation of its vertebrae, less what its bends cost.
    """

    corners: Floats
    score: float


@dataclass(frozen=True, slots=True)
class _Mean:
    """The straight spine seen from the front: its picture, and centres (17, 2), width (17,) of its vertebrae."""

    bone: Map
    centres: Floats
    widths: Floats


def _mean(rows: int, length: float) -> _Mean:
    """The mean spine whose column takes `length` of the `rows` of a square film."""
    spine = SpineModel.straight()
    spine.size = size_of(length)
    # T12 stands low on a spine; lifted, the whole of a long one is on the film.
    spine.shift = torch.tensor([0.0, -0.14 * length * FILM_MM / 10])
    seen = camera(rows, (rows, rows))
    with torch.no_grad():
        bone, corners = render(spine, seen).numpy(), landmarks(spine, seen).double().numpy()
    return _Mean(bone, corners.mean(axis=1), np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1))


def gradients_of(image: Array) -> tuple[Map, Map]:
    """(H, W) Sobel gradients along x and y."""
    return (
        np.asarray(cv2.Sobel(image, cv2.CV_32F, 1, 0), np.float32),
        np.asarray(cv2.Sobel(image, cv2.CV_32F, 0, 1), np.float32),
    )


def best_chain(gradients: tuple[Map, Map], length: float) -> Chain | None:
    """The best column T1 to L5 of one size.

    Args:
        gradients: (H, W) of the film along x and y.
        length: of the straight column, as a share of H.

    Returns:
        None where nothing on the film looks like a vertebra.
    """
    rows = gradients[0].shape[0]
    mean = _mean(rows, length)
    spacing = np.diff(mean.centres[:, 1])
    seen = [_responses(mean, level, gradients) for level in range(len(mean.centres))]
    scores = [seen[0]]
    for level in range(1, len(seen)):
        scores.append(seen[level] + _reached(scores[-1], float(spacing[level - 1])))
    return _traced(scores, seen, spacing, mean)


def _responses(mean: _Mean, level: int, gradients: tuple[Map, Map]) -> Map:
    """(tilts, H, W) correlation of a vertebra centred at each px, less what its tilt costs."""
    spacing = float(np.gradient(mean.centres[:, 1])[level])
    half = (max(3, round(ROOM * spacing / 2)), max(3, round(ROOM * mean.widths[level] / 2)))
    found = []
    for tilt in TILTS:
        x, y = mean.centres[level]
        # The patch is cut out of the turned picture, so that its corners show neighbours and not nothing.
        turn = cv2.getRotationMatrix2D((float(x), float(y)), -tilt, 1.0)
        turn[:, 2] += np.array([half[1] + 1, half[0] + 1]) - (x, y)
        patch = cv2.warpAffine(mean.bone, turn, (2 * half[1] + 3, 2 * half[0] + 3), flags=cv2.INTER_LINEAR)
        found.append(_correlation(np.asarray(patch, np.float32), gradients) - LEAN * (tilt / 20) ** 2)
    return np.stack(found)


def _correlation(patch: Map, gradients: tuple[Map, Map]) -> Map:
    total = np.zeros(gradients[0].shape, np.float32)
    for axis, whole in enumerate(gradients):
        part = gradients_of(patch)[axis][1:-1, 1:-1]
        rows, columns = part.shape[0] // 2, part.shape[1] // 2
        around = cv2.copyMakeBorder(whole, rows, rows, columns, columns, cv2.BORDER_CONSTANT, value=(0.0,))
        alike = cv2.matchTemplate(around, np.ascontiguousarray(part), cv2.TM_CCORR_NORMED)
        # Where the film is flat the library divides by zero.
        total += np.nan_to_num(np.clip(alike, -1, 1), nan=0.0) / 2
    return total


def _step(spacing: float, upper: int, lower: int) -> tuple[float, float]:
    """px (x, y) from a vertebra to the next one, by their tilts."""
    turn = np.radians((TILTS[upper] + TILTS[lower]) / 2)
    return -spacing * float(np.sin(turn)), spacing * float(np.cos(turn))


def _neighbours(tilt: int) -> range:
    return range(max(0, tilt - 1), min(len(TILTS), tilt + 2))


def _reached(before: Map, spacing: float) -> Map:
    """(tilts, H, W) the best score of a vertebra above, for each place and tilt of this one."""
    loose = [np.asarray(cv2.dilate(one, np.ones((3, 3), np.uint8)), np.float32) for one in before]
    size = (before.shape[2], before.shape[1])
    result = np.full(before.shape, -np.inf, np.float32)
    for tilt in range(len(TILTS)):
        for upper in _neighbours(tilt):
            x, y = _step(spacing, upper, tilt)
            move = np.array([[1, 0, round(x)], [0, 1, round(y)]], np.float32)
            moved = cv2.warpAffine(loose[upper], move, size, flags=cv2.INTER_NEAREST, borderValue=(-1e3,))
            np.maximum(result[tilt], moved - BEND * abs(tilt - upper), out=result[tilt])
    return result


def _traced(scores: list[Map], seen: list[Map], spacing: Floats, mean: _Mean) -> Chain | None:
    """Back from the best last vertebra to the first."""
    tilt, row, column = (int(i) for i in np.unravel_index(int(scores[-1].argmax()), scores[-1].shape))
    best = float(scores[-1][tilt, row, column])
    if best <= 0:
        return None
    path = [(tilt, row, column)]
    for level in range(len(scores) - 2, -1, -1):
        choices = []
        for upper in _neighbours(tilt):
            x, y = _step(float(spacing[level]), upper, tilt)
            for r in range(row - round(y) - 1, row - round(y) + 2):
                for c in range(column - round(x) - 1, column - round(x) + 2):
                    if 0 <= r < seen[0].shape[1] and 0 <= c < seen[0].shape[2]:
                        value = float(scores[level][upper, r, c]) - BEND * abs(tilt - upper)
                        choices.append((value, upper, r, c))
        _, tilt, row, column = max(choices)
        path.append((tilt, row, column))
    path.reverse()
    centres = np.array([(c, r) for _, r, c in path], np.float64)
    tilts = np.array([TILTS[t] for t, _, _ in path], np.float64)
    corners = slice_landmarks(centres, tilts, arc_lengths(centres), 1.0)
    across = corners[:, [1, 3]] - corners[:, [0, 2]]
    middle = (corners[:, [1, 3]] + corners[:, [0, 2]]) / 2
    wide = across * mean.widths[:, None, None] / 2
    sized = np.stack([middle[:, 0] - wide[:, 0], middle[:, 0] + wide[:, 0],
                      middle[:, 1] - wide[:, 1], middle[:, 1] + wide[:, 1]], axis=1)  # fmt: skip
    return Chain(sized, best / len(scores))
