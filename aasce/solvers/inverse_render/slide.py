"""Whole random spines matched to a film at every place and size, the other start of the blind fit.

Coarser than the chains of `chain`, but the spines are whole and include severe curves; a vertebra mistaken for its
neighbour cannot bend them.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch

from aasce.phantom.spine.curves import draw_spine
from aasce.solvers.inverse_render.chain import Map, gradients_of
from aasce.solvers.inverse_render.model import FILM_MM, Fitted, SpineModel, camera, render, size_of
from aasce.solvers.inverse_render.prior import shapes


def laid_spines(gradients: tuple[Map, Map], sizes: tuple[float, ...], spines: int, seed: int) -> list[Fitted]:
    """Random spines at the places and sizes where they agree best with a film, best first.

    Each spine is rendered once, scaled to every size and moved over the whole film (normalised correlation of both
    gradients): a search over all sizes and places at the cost of a few template matches.

    Args:
        gradients: (H, W) of the film along x and y.
        sizes: lengths of the column T1 to L5, as shares of H.
        spines: number of spines.
        seed: of the draw.
    """
    rows, largest = gradients[0].shape[0], max(sizes)
    scanner = camera(rows, (rows, rows))
    found: list[Fitted] = []
    for spine in likely_spines(spines, seed):
        spine.size = size_of(largest)
        with torch.no_grad():
            bone = np.asarray(render(spine, scanner).numpy(), np.float32)
        for length in sizes:
            ratio = length / largest
            placed = _slide(bone, ratio, gradients)
            if placed is not None:
                model = spine.copy()
                model.size = size_of(length)
                model.shift = torch.tensor(placed[1], dtype=torch.float32) * FILM_MM / rows / 10
                # By chance alone a spine of half the size, a quarter of the pixels, agrees twice as well.
                found.append(Fitted(model, placed[0] * ratio))
    return sorted(found, key=lambda laid: -laid.agreement)


def likely_spines(count: int, seed: int) -> list[SpineModel]:
    """A straight spine and random ones of all curve types, sides and severities."""
    rng = np.random.default_rng(seed)
    spines = [SpineModel.straight()]
    while len(spines) < count:
        record = draw_spine(rng, float(rng.uniform(10, 65)), irregular=0.0)
        spine = SpineModel.straight()
        angles = (*record.coronal, *record.axial, *record.sagittal)
        spine.shape = shapes().of_angles(torch.tensor(angles, dtype=torch.float32))
        spines.append(spine)
    return spines


def _slide(bone: Map, ratio: float, gradients: tuple[Map, Map]) -> tuple[float, tuple[float, float]] | None:
    """Best agreement over all places where the spine, scaled by `ratio`, lies within the film.

    Args:
        bone: (H, W) rendered with T12 in the middle.
        ratio: at most 1.
        gradients: of the film.

    Returns:
        The agreement, and how far T12 then lies from the film's middle: px to the left and up. None where the
        spine does not fit on the film.
    """
    rows, columns = np.nonzero(bone > 1.0)
    if len(rows) == 0:
        return None
    top, bottom = max(0, rows.min() - 3), min(bone.shape[0], rows.max() + 4)
    left, right = max(0, columns.min() - 3), min(bone.shape[1], columns.max() + 4)
    size = (max(4, round((right - left) * ratio)), max(4, round((bottom - top) * ratio)))
    film = gradients[0].shape
    if size[1] > film[0] or size[0] > film[1]:
        return None
    patch = np.asarray(
        cv2.resize(bone[top:bottom, left:right], size, interpolation=cv2.INTER_AREA), np.float32
    )
    near = np.asarray(cv2.dilate((patch > 1.0).astype(np.float32), np.ones((7, 7), np.uint8)))
    # OpenCV divides by zero where the film has one grey value.
    scores = [
        np.nan_to_num(
            cv2.matchTemplate(whole, part, cv2.TM_CCORR_NORMED, mask=near), nan=-1, posinf=-1, neginf=-1
        )
        for whole, part in zip(gradients, gradients_of(patch), strict=True)
    ]
    score = np.mean(scores, axis=0)
    row, column = np.unravel_index(int(score.argmax()), score.shape)
    middle = np.array([(bone.shape[1] - 1) / 2 - left, (bone.shape[0] - 1) / 2 - top])
    x, y = (middle + 0.5) * size / (right - left, bottom - top) - 0.5 + (column, row)
    # On an AP film the patient's right (+x) lies left, and z runs up.
    return float(score[row, column]), ((film[1] - 1) / 2 - float(x), (film[0] - 1) / 2 - float(y))
