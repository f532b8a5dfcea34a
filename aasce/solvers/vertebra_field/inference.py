"""From a film to its column of vertebrae: a coarse pass finds the spine, fine passes measure it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aasce.geometry.spine import quarter_turns
from aasce.preprocess.augment import mirror_landmarks
from aasce.preprocess.crop import View, letterbox, similarity, spine_view
from aasce.preprocess.intensity import Bytes, standardize, to_uint8
from aasce.solvers.shared.fast import run_each
from aasce.solvers.vertebra_field.network import VertebraFieldNet, to_field
from aasce.solvers.vertebra_field.settings import ViewSettings
from aasce.solvers.vertebra_field.task import prepare_image
from aasce.targets.field import LEVELS, ROOM, Candidates, Column, choose_column, gather_votes
from aasce.types import Orientation, Radiograph, as_float

Floats = NDArray[np.float64]
PASSES: tuple[tuple[bool, float], ...] = ((False, 1.0), (True, 1.0), (True, 0.93), (False, 1.07))
"""(mirrored, scale) of the fine passes; with a setting of 1, 2 or 4 passes, of the first ones."""

CLEAR = 60.0
"""Gain of the first pass's column from which the film is taken as it lies; negatives reach 58 at most.

This constant and the following ones were set by the gains of 161 films of the challenge, which their models were not
trained on, and of 41 films of the whole body.
"""

LOST = 25.0
"""Gain below which a film may be rotated; upside down it reaches 23 at most, on its side almost 0."""

CREDIBLE = 30.0
"""Smallest gain for which another orientation of a film is taken."""

NEGATIVE_COST, TURNED_COST = 10.0, 20.0
"""Difference in gain by which another orientation has to be better: rendered films that end in the chest, which have
small gains anyway, gain up to 16 more upside down."""

BESIDE = 1.5
"""Widths of a vertebra by which another spine's vertebrae lie beside the column."""

WIDE = (1.25, 4.0)
"""Films between these multiples of the width of a canvas as high as the film are also passed in parts. The films of the
challenge and of the whole body are narrower; a film more than twice as wide as high more likely lies on its side."""


@dataclass(frozen=True, slots=True)
class Found:
    """A column of vertebrae and the orientation of the film.

    Attributes:
        column: corners and `spread` in film px; "from the top" is from the head, also on a rotated film.
        view: film px to canvas px of the pass that measured the column.
        negative: whether bone is dark on the film.
        second: gain of the best column beside this one, of another spine on the film; 0 where there is none.
    """

    column: Column
    view: View
    negative: bool = False
    second: float = 0.0

    @property
    def orientation(self) -> Orientation:
        """Orientation of the film."""
        return Orientation(quarter_turns(self.column.corners), self.negative)


def find_spine(
    module: nn.Module, film: Radiograph, views: ViewSettings, as_it_lies: bool = False
) -> Found | None:
    """The coarse and the fine passes over one film; None when no column of vertebrae is found.

    Args:
        module: the network.
        film: as read.
        views: of the solver's settings.
        as_it_lies: assumes that the film is upright and bone bright.
    """
    first = _first_pass(module, to_uint8(film.pixels), views, as_it_lies)
    return None if first is None else refined(module, film, first, views)


def refined(
    module: nn.Module, film: Radiograph, first: Found, views: ViewSettings, passes: int | None = None
) -> Found:
    """The column of fine passes over the part of a film where the coarse pass found one; that one if they find none.

    Args:
        module: the network.
        film: as read.
        first: of the coarse pass.
        views: of the solver's settings.
        passes: how many fine passes; None takes as many as the settings say.
    """
    pixels = to_uint8(film.pixels)
    if first.negative:
        pixels = ~pixels
    view = spine_view(whole_column(first.column), views.fine, views.spacing)
    ways = PASSES[: views.passes if passes is None else passes]
    zooms = [view.then(similarity(_middle(view.size), scale, 0.0, view.size)) for _, scale in ways]
    each = _candidates(module, pixels, [(zoom, way[0]) for zoom, way in zip(zooms, ways, strict=True)])
    candidates = [
        replace(found, corners=view.apply(zoom.undo(found.corners)), spread=found.spread / scale)
        for found, zoom, (_, scale) in zip(each, zooms, ways, strict=True)
    ]
    fine = choose_column(merge_candidates(candidates), room=ROOM)
    if fine is None:
        return first
    fine = replace(fine, corners=view.undo(fine.corners), spread=fine.spread / view.scale)
    return replace(first, column=fine, view=view)


def first_pass(module: nn.Module, film: Radiograph, views: ViewSettings) -> Found | None:
    """Column and orientation from the coarse pass alone; None if no column is found."""
    return _first_pass(module, to_uint8(film.pixels), views, as_it_lies=False)


def _first_pass(module: nn.Module, pixels: Bytes, views: ViewSettings, as_it_lies: bool) -> Found | None:
    """The film as it lies; where no column is found clearly, also in parts, then as a negative and rotated."""
    size = (pixels.shape[0], pixels.shape[1])
    whole = letterbox(size, views.coarse)
    plain = _column_on(module, pixels, whole, False)
    if as_it_lies or _gain(plain) >= CLEAR:
        return plain
    parts = wide_parts(size, views.coarse)
    seen = [plain, *(_column_on(module, pixels, part, False) for part in parts)]
    best = _with_second(max(seen, key=_gain), seen)
    most = _gain(best)
    if most >= CLEAR:
        return best
    ways = [(canvas, True, NEGATIVE_COST) for canvas in (whole, *parts)]
    if most < LOST:
        for turns, negative in itertools.product((2, 1, 3), (False, True)):
            cost = TURNED_COST + NEGATIVE_COST * negative
            ways.append((letterbox(size, views.coarse, turns), negative, cost))
    for canvas, negative, cost in ways:
        other = _column_on(module, pixels, canvas, negative)
        if _gain(other) >= CREDIBLE and _gain(other) - cost > most:
            best, most = other, _gain(other) - cost
    return best


def _column_on(module: nn.Module, pixels: Bytes, canvas: View, negative: bool) -> Found | None:
    """The column on one canvas of a film, in film px."""
    (candidates,) = _candidates(module, ~pixels if negative else pixels, [(canvas, False)])
    column = _aimed(candidates)
    if column is None:
        return None
    corners, spread = canvas.undo(column.corners), column.spread / canvas.scale
    return Found(
        replace(column, corners=corners, spread=spread), canvas, negative, second_gain(candidates, column)
    )


def second_gain(candidates: Candidates, column: Column) -> float:
    """Gain of the best column of the candidates beside a column, 0 or more.

    Args:
        candidates: of one canvas.
        column: chosen from them, in px of the canvas.
    """
    beside = is_beside(candidates.corners, column.corners)
    names = ("corners", "levels", "mass", "spread")
    other = choose_column(Candidates(*(getattr(candidates, name)[beside] for name in names)))
    return 0.0 if other is None else max(other.gain, 0.0)


def is_beside(corners: Floats, column: Floats) -> NDArray[np.bool_]:
    """(K,) which vertebrae lie farther aside from a column than those of one spine do.

    Args:
        corners: (K, 4, 2) px.
        column: (V, 4, 2) px, from the top.
    """
    centre, line = corners.mean(axis=1), column.mean(axis=1)
    width = float(np.median(np.linalg.norm(column[:, 1] - column[:, 0], axis=1)))
    order = np.argsort(line[:, 1])
    aside = np.abs(centre[:, 0] - np.interp(centre[:, 1], line[order, 1], line[order, 0]))
    return np.asarray(aside > BESIDE * width)


def _with_second(best: Found | None, seen: list[Found | None]) -> Found | None:
    """The best column with the gain of the best one beside it on any of the canvases."""
    if best is None:
        return None
    gains = [best.second]
    for found in seen:
        if found is not None:
            away = is_beside(found.column.corners, best.column.corners).mean() > 0.5
            gains.append(found.column.gain if away else found.second)
    return replace(best, second=max(gains))


def _gain(found: Found | None) -> float:
    return -np.inf if found is None else found.column.gain


def wide_parts(film: tuple[int, int], canvas: tuple[int, int]) -> list[View]:
    """Views of parts of a wide film, as high as the film, that overlap by at least half; [] if it is not wide.

    A wide film (two radiographs side by side, or one with much around the body) becomes too small on a canvas that
    holds all of it. Parts are not rotated: a film that is cut short is wide, too, and would sometimes be taken as
    upside down.

    Args:
        film: (H, W).
        canvas: (H, W).
    """
    height, width = film
    scale = canvas[0] / height
    shown = canvas[1] / scale
    if not WIDE[0] * shown < width <= WIDE[1] * shown:
        return []
    aside = np.linspace(-1, 1, int(np.ceil(2 * width / shown)) - 1) * (width - shown) / 2
    middle = (np.array([width, height]) - 1) / 2
    return [similarity(middle + np.array([x, 0.0]), scale, 0.0, canvas) for x in aside]


def _middle(canvas: tuple[int, int]) -> Floats:
    """(2,) px of the middle of an (H, W) canvas."""
    return (np.array([canvas[1], canvas[0]]) - 1) / 2


def _aimed(candidates: Candidates) -> Column | None:
    """The column that the fine passes are aimed at.

    One or two vertebrae squeezed in take the place of missed ones and do no harm; with more, the film ends before the
    spine does, and the squeezed ones would make the spacing too small.
    """
    column = choose_column(candidates)
    return column if column is None or column.squeezed < 3 else choose_column(candidates, room=ROOM)


@torch.inference_mode()
def _candidates(module: nn.Module, pixels: Bytes, ways: Sequence[tuple[View, bool]]) -> list[Candidates]:
    """Candidates on each of several canvases of one size, in px of the unmirrored canvas.

    Args:
        module: the network.
        pixels: (H, W) of the film.
        ways: film to canvas, and whether the canvas is passed mirrored.
    """
    assert isinstance(module, VertebraFieldNet)
    device = next(module.parameters()).device
    inputs = [_input(pixels, view, mirrored).to(device) for view, mirrored in ways]
    maps = run_each(module, inputs, "maps")
    return [_decoded(found, *way) for found, way in zip(maps, ways, strict=True)]


def _input(pixels: Bytes, view: View, mirrored: bool) -> Tensor:
    """(1, 1, H, W) the network's input."""
    canvas = prepare_image(np.asarray(view.render(pixels), np.uint8))
    if mirrored:
        canvas = np.ascontiguousarray(canvas[:, ::-1])
    return torch.from_numpy(standardize(canvas))[None, None]


def _decoded(maps: dict[str, Tensor], view: View, mirrored: bool) -> Candidates:
    """Candidates of one canvas's maps, mirrored back."""
    found = gather_votes(to_field(maps, 0))
    if not mirrored:
        return found
    flipped = mirror_landmarks(found.corners, view.size[1])
    return replace(found, corners=flipped, spread=found.spread[:, [1, 0, 3, 2]])


def merge_candidates(passes: list[Candidates]) -> Candidates:
    """Joins the candidates of several passes; those nearer than half a vertebra are one.

    The joined corners are means weighted by mass and by the inverse square of the expected error; the joined mass is
    the mean over all passes, so that a candidate of a single pass counts less.

    Args:
        passes: candidates of each pass, all in one frame.
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


def whole_column(column: Column) -> Floats:
    """(17, 4, 2) the column, continued in a straight line where levels are missing at an end."""
    corners = as_float(column.corners)
    below = LEVELS - column.first - len(corners)
    step_up, step_down = corners[1] - corners[0], corners[-1] - corners[-2]
    up = [corners[0] - step_up * k for k in range(column.first, 0, -1)]
    down = [corners[-1] + step_down * k for k in range(1, below + 1)]
    return np.concatenate([np.array(part).reshape(-1, 4, 2) for part in (up, corners, down)])
