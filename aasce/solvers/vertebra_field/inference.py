"""From a film to its column of vertebrae: a coarse look that finds the spine, fine looks that measure it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from aasce.preprocess.augment import mirror_landmarks
from aasce.preprocess.crop import View, letterbox, similarity, spine_view
from aasce.preprocess.intensity import Bytes, standardize, to_uint8
from aasce.solvers.vertebra_field.data import prepare_image
from aasce.solvers.vertebra_field.network import VertebraFieldNet, to_field
from aasce.solvers.vertebra_field.settings import ViewSettings
from aasce.targets.field import LEVELS, Candidates, Column, choose_column, gather_votes
from aasce.types import Radiograph, as_float

Floats = NDArray[np.float64]
PASSES: tuple[tuple[bool, float], ...] = ((False, 1.0), (True, 1.0), (True, 0.93), (False, 1.07))
"""(mirrored, scale) of the fine passes; a setting of 1, 2 or 4 passes takes the first ones."""


@dataclass(frozen=True, slots=True)
class Found:
    """A column in film px, and the spacing of its first look relative to the canvas."""

    column: Column
    view: View


def find_spine(module: nn.Module, film: Radiograph, views: ViewSettings) -> Found | None:
    """Both looks at one film; None when no column of vertebrae is seen.

    Returns:
        The column with corners in film px and `spread` in film px.
    """
    pixels = to_uint8(film.pixels)
    coarse = letterbox(film.size, views.coarse)
    column = choose_column(_see(module, pixels, coarse, mirrored=False))
    if column is None:
        return None
    column = replace(column, corners=coarse.undo(column.corners), spread=column.spread / coarse.scale)
    view = spine_view(_whole(column), views.fine, views.spacing)
    seen = []
    for mirrored, scale in PASSES[: views.passes]:
        middle = (np.array([view.size[1], view.size[0]]) - 1) / 2
        zoom = similarity(middle, scale, 0.0, view.size).matrix
        linear = zoom[:, :2] @ view.matrix[:, :2]
        looked = View(np.column_stack([linear, zoom[:, :2] @ view.matrix[:, 2] + zoom[:, 2]]), view.size)
        found = _see(module, pixels, looked, mirrored)
        seen.append(
            replace(found, corners=view.apply(looked.undo(found.corners)), spread=found.spread / scale)
        )
    fine = choose_column(merge_candidates(seen))
    if fine is None:
        return Found(column, coarse)
    return Found(replace(fine, corners=view.undo(fine.corners), spread=fine.spread / view.scale), view)


@torch.inference_mode()
def _see(module: nn.Module, pixels: Bytes, view: View, mirrored: bool) -> Candidates:
    """Candidates on one canvas, in canvas px of the unmirrored canvas."""
    assert isinstance(module, VertebraFieldNet)
    canvas = prepare_image(np.asarray(view.render(pixels), np.uint8))
    if mirrored:
        canvas = np.ascontiguousarray(canvas[:, ::-1])
    device = next(module.parameters()).device
    tensor = torch.from_numpy(standardize(canvas))[None, None].to(device)
    found = gather_votes(to_field(module.maps(tensor), 0))
    if not mirrored:
        return found
    flipped = mirror_landmarks(found.corners, canvas.shape[1])
    return replace(found, corners=flipped, spread=found.spread[:, [1, 0, 3, 2]])


def merge_candidates(passes: list[Candidates]) -> Candidates:
    """Joins what several passes saw, all in one frame: candidates nearer than half a vertebra are one.

    The joined corners are means weighted by mass and by the inverse square of the expected error; the joined
    mass is the mean over all passes, so that what one pass alone saw weighs less.
    """
    corners = np.concatenate([c.corners for c in passes])
    if not len(corners):
        return passes[0]
    levels, mass, spread = (
        np.concatenate([getattr(c, n) for c in passes]) for n in ("levels", "mass", "spread")
    )
    centres = corners.mean(axis=1)
    height = np.linalg.norm(corners[:, 2:].mean(axis=1) - corners[:, :2].mean(axis=1), axis=1)
    free = np.ones(len(corners), dtype=bool)
    joined: list[tuple[Floats, Floats, float, Floats]] = []
    for index in np.argsort(-mass):
        if not free[index]:
            continue
        near = free & (np.linalg.norm(centres - centres[index], axis=1) < 0.5 * height[index])
        free &= ~near
        weight = mass[near][:, None] / np.maximum(spread[near], 0.05) ** 2
        weight /= weight.sum(axis=0)
        share = mass[near] / mass[near].sum()
        joined.append((
            np.einsum("nk,nkd->kd", weight, corners[near]), share @ levels[near],
            float(mass[near].sum() / len(passes)), (weight * spread[near]).sum(axis=0),
        ))  # fmt: skip
    return Candidates(*(np.stack([np.asarray(j[i]) for j in joined]) for i in range(4)))


def _whole(column: Column) -> Floats:
    """(17, 4, 2) the column continued straight on where levels are missing at an end, to aim the fine look."""
    corners = as_float(column.corners)
    below = LEVELS - column.first - len(corners)
    step_up, step_down = corners[1] - corners[0], corners[-1] - corners[-2]
    up = [corners[0] - step_up * k for k in range(column.first, 0, -1)]
    down = [corners[-1] + step_down * k for k in range(1, below + 1)]
    return np.concatenate([np.array(part).reshape(-1, 4, 2) for part in (up, corners, down)])
