"""Chains of seventeen vertebrae on a film, one start of the blind fit: template matching and dynamic programming.

Each vertebra of the mean spine, with parts of its neighbours and rotated by several tilts, is matched at every place
of the film (normalised correlation of both gradients). Single matches are not reliable; the best chain of seventeen
with the spacing and the changes of tilt of spines is found exactly by dynamic programming, as in pictorial structures
(Felzenszwalb and Huttenlocher, IJCV 2005).
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
"""Degrees by which the templates are rotated."""

BEND = 0.03
"""Cost, in correlation, of a change of tilt by one step of `TILTS` from a vertebra to the next."""

LEAN = 0.02
"""Cost, in correlation, of a tilt of 20 degrees; it grows with the square of the tilt."""

ROOM = 1.5
"""Height and width of a template, in spacings and in widths of the vertebra."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A column on the film.

    Attributes:
        corners: (17, 4, 2) px of the film on which it was found.
        score: mean correlation of its vertebrae, less the costs of tilts and bends.
    """

    corners: Floats
    score: float


@dataclass(frozen=True, slots=True)
class _Mean:
    """The X-ray of the straight spine from the front, and px centres (17, 2) and widths (17,) of its vertebrae."""

    bone: Map
    centres: Floats
    widths: Floats


def _mean(rows: int, length: float) -> _Mean:
    """The mean spine whose column takes `length` of the `rows` of a square film."""
    spine = SpineModel.straight()
    spine.size = size_of(length)
    # T12 is in the lower half of a spine; moved up, all of a long spine is on the film.
    spine.shift = torch.tensor([0.0, -0.14 * length * FILM_MM / 10])
    scanner = camera(rows, (rows, rows))
    with torch.no_grad():
        bone, corners = render(spine, scanner).numpy(), landmarks(spine, scanner).double().numpy()
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
        The best one; None where nothing on the film is similar to a vertebra.
    """
    rows = gradients[0].shape[0]
    mean = _mean(rows, length)
    spacing = np.diff(mean.centres[:, 1])
    matches = [_matches(mean, level, gradients) for level in range(len(mean.centres))]
    scores = [matches[0]]
    for level in range(1, len(matches)):
        scores.append(matches[level] + _best_above(scores[-1], float(spacing[level - 1])))
    return _traced(scores, spacing, mean)


def _matches(mean: _Mean, level: int, gradients: tuple[Map, Map]) -> Map:
    """(tilts, H, W) correlation of a vertebra centred at each px, less the cost of its tilt."""
    spacing = float(np.gradient(mean.centres[:, 1])[level])
    half = (max(3, round(ROOM * spacing / 2)), max(3, round(ROOM * mean.widths[level] / 2)))
    found = []
    for tilt in TILTS:
        x, y = mean.centres[level]
        # Cut out of the rotated X-ray, so that the corners of the patch show the neighbours and no empty area.
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
        # OpenCV divides by zero where the film has one grey value.
        total += np.nan_to_num(np.clip(alike, -1, 1), nan=0.0) / 2
    return total


def _step(spacing: float, upper: int, lower: int) -> tuple[float, float]:
    """px (x, y) from a vertebra to the next one, by their tilts."""
    turn = np.radians((TILTS[upper] + TILTS[lower]) / 2)
    return -spacing * float(np.sin(turn)), spacing * float(np.cos(turn))


def _neighbours(tilt: int) -> range:
    return range(max(0, tilt - 1), min(len(TILTS), tilt + 2))


def _best_above(before: Map, spacing: float) -> Map:
    """(tilts, H, W) best score of the vertebra above, for each place and tilt of this one."""
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


def _traced(scores: list[Map], spacing: Floats, mean: _Mean) -> Chain | None:
    """The best chain, followed from its last vertebra to the first."""
    last = tuple(int(i) for i in np.unravel_index(int(scores[-1].argmax()), scores[-1].shape))
    best = float(scores[-1][last])
    if best <= 0:
        return None
    path = [last]
    for level in range(len(scores) - 2, -1, -1):
        path.append(_predecessor(scores[level], path[-1], float(spacing[level])))
    path.reverse()
    centres = np.array([(column, row) for _, row, column in path], np.float64)
    tilts = np.array([TILTS[tilt] for tilt, _, _ in path], np.float64)
    return Chain(_boxes(centres, tilts, mean.widths), best / len(scores))


def _predecessor(scores: Map, place: tuple[int, ...], spacing: float) -> tuple[int, ...]:
    """Tilt, row and column of the best vertebra above one at `place`."""
    tilt, row, column = place
    choices = []
    for upper in _neighbours(tilt):
        x, y = _step(spacing, upper, tilt)
        for r in range(row - round(y) - 1, row - round(y) + 2):
            for c in range(column - round(x) - 1, column - round(x) + 2):
                if 0 <= r < scores.shape[1] and 0 <= c < scores.shape[2]:
                    value = float(scores[upper, r, c]) - BEND * abs(tilt - upper)
                    choices.append((value, upper, r, c))
    return max(choices)[1:]


def _boxes(centres: Floats, tilts: Floats, widths: Floats) -> Floats:
    """(17, 4, 2) px corners of vertebrae of given centres (17, 2), tilts (17,) in degrees and widths (17,)."""
    corners = slice_landmarks(centres, tilts, arc_lengths(centres), 1.0)
    across = corners[:, [1, 3]] - corners[:, [0, 2]]
    middle = (corners[:, [1, 3]] + corners[:, [0, 2]]) / 2
    wide = across * widths[:, None, None] / 2
    return np.stack([middle[:, 0] - wide[:, 0], middle[:, 0] + wide[:, 0],
                     middle[:, 1] - wide[:, 1], middle[:, 1] + wide[:, 1]], axis=1)  # fmt: skip
