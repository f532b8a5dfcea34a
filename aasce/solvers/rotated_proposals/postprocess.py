"""From the detections of several passes to one column of vertebrae, and how good detections are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from aasce.preprocess.augment import mirror_landmarks
from aasce.preprocess.crop import View
from aasce.preprocess.intensity import Bytes
from aasce.solvers.rotated_proposals.regions import STRIDE
from aasce.solvers.shared.rotated import rotated_iou
from aasce.solvers.shared.samples import Floats
from aasce.targets.field import LEVELS, ROOM, Candidates, Column, choose_column
from aasce.types import Array

NEAR = 0.5
"""Detections of several passes nearer than this share of a vertebra's height are of one vertebra."""

ROOM_AT_END = 1.1
"""Steps from the middle of a column's last vertebra to the cord's end from which another vertebra stands there: half a
step belongs to the last one, and a whole one would take one and a half."""


@dataclass(frozen=True, slots=True)
class Detections:
    """What one pass finds on a canvas.

    Attributes:
        boxes: (N, 5) px, best first.
        scores: (N,) in [0, 1].
        corners: (N, 4, 2) px.
        spread: (N, 4) px, spread of each corner's heatmap.
        cord: (h, w) uint8, 1 on the cord, at a quarter of the canvas.
    """

    boxes: Floats
    scores: Floats
    corners: Floats
    spread: Floats
    cord: Bytes

    def kept(self, which: Array) -> Detections:
        """Those that `which` (N,) is true for."""
        return replace(
            self, boxes=self.boxes[which], scores=self.scores[which], corners=self.corners[which],
            spread=self.spread[which],
        )  # fmt: skip

    def mirrored(self, width: int) -> Detections:
        """The same on the mirror image of a canvas of that width."""
        boxes = self.boxes * [-1, 1, 1, 1, -1] + [width - 1, 0, 0, 0, 0]
        corners = mirror_landmarks(self.corners, width)
        cord = np.ascontiguousarray(self.cord[:, ::-1])
        return Detections(boxes, self.scores, corners, self.spread[:, [1, 0, 3, 2]], cord)


def to_view(found: Detections, zoomed: View, view: View) -> Candidates:
    """Detections on the canvas of one view as candidates on that of another one, of any level.

    Args:
        found: on the canvas of `zoomed`.
        zoomed, view: of one film.
    """
    corners = view.apply(zoomed.undo(found.corners)) if len(found.scores) else np.zeros((0, 4, 2))
    spread = found.spread * (view.scale / zoomed.scale)
    return Candidates(corners, np.zeros((len(found.scores), LEVELS)), found.scores, spread)


def joined_passes(passes: Sequence[Candidates]) -> Candidates:
    """One candidate for each vertebra: corners and spread are means weighted by score.

    A candidate's mass is the sum of its best score in each pass over the number of passes, so that what one pass alone
    finds counts less.
    """
    corners, scores, spread = (
        np.concatenate([getattr(c, n) for c in passes]) for n in ("corners", "mass", "spread")
    )
    owner = np.repeat(np.arange(len(passes)), [len(c.mass) for c in passes])
    centres = corners.mean(axis=1)
    height = np.linalg.norm(corners[:, 2:].mean(axis=1) - corners[:, :2].mean(axis=1), axis=1)
    free = np.ones(len(corners), bool)
    groups: list[tuple[Floats, float, Floats]] = []
    for index in np.argsort(-scores, kind="stable"):
        if not free[index]:
            continue
        near = free & (np.linalg.norm(centres - centres[index], axis=1) < NEAR * height[index])
        near[index] = True
        free &= ~near
        share = scores[near] / scores[near].sum()
        best = [scores[near & (owner == k)].max(initial=0.0) for k in range(len(passes))]
        mean = np.einsum("n,nkd->kd", share, corners[near])
        groups.append((mean, float(np.mean(best)), share @ spread[near]))
    if not groups:
        return Candidates(np.zeros((0, 4, 2)), np.zeros((0, LEVELS)), np.zeros(0), np.zeros((0, 4)))
    mass = np.array([g[1] for g in groups])
    return Candidates(
        np.stack([g[0] for g in groups]), np.zeros((len(groups), LEVELS)), mass, np.stack([g[2] for g in groups])
    )  # fmt: skip


def column_of(passes: Sequence[Candidates]) -> Column | None:
    """The column of at most 17 vertebrae; None if fewer than four stand in one.

    By `targets.field.choose_column`: spacing and direction decide which detections are left out, gaps are filled in
    between (mass 0) where there is room for a vertebra, and of more than 17 the least sure ones at an end go.
    """
    return choose_column(joined_passes(passes), room=ROOM)


def extended(column: Column, cord: Bytes) -> Column:
    """A column of fewer than 17 vertebrae, continued where the cord continues beyond its ends.

    Vertebrae are repeated by the last step in a straight line, with mass 0, while most of another one fits on the cord.

    Args:
        column: on the canvas.
        cord: (h, w) uint8 at a quarter of the canvas.
    """
    rows = np.flatnonzero(cord.any(axis=1))
    if not len(rows):
        return column
    top, bottom = STRIDE * rows[0], STRIDE * (rows[-1] + 1)
    while len(column.corners) < LEVELS:
        up, down = (column.corners[end, :, 1].mean() for end in (0, -1))
        step_up, step_down = (column.corners[end] - column.corners[end + 1] for end in (0, -2))
        above, below = (up - top) / abs(step_up[:, 1].mean()), (bottom - down) / abs(step_down[:, 1].mean())
        if max(above, below) < ROOM_AT_END:
            break
        column = _repeated(column, 0, step_up) if above >= below else _repeated(column, -1, -step_down)
    return column


def _repeated(column: Column, end: int, step: Floats) -> Column:
    """The column with its vertebra at `end` (0 or -1) once more, one step (4, 2) px further."""
    at = 0 if end == 0 else len(column.corners)
    return replace(
        column,
        corners=np.insert(column.corners, at, column.corners[end] + step, axis=0),
        spread=np.insert(column.spread, at, column.spread[end], axis=0),
        mass=np.insert(column.mass, at, 0.0),
    )


class DetectionCounts(NamedTuple):
    """Counts over films.

    Attributes:
        hits: detections of a labelled vertebra, each vertebra counted once.
        detections: of all films. vertebrae: labelled ones.
    """

    hits: int = 0
    detections: int = 0
    vertebrae: int = 0

    def plus(self, other: DetectionCounts) -> DetectionCounts:
        """Both together."""
        return DetectionCounts(*(a + b for a, b in zip(self, other, strict=True)))

    @property
    def recall(self) -> float:
        """Share of the vertebrae that are detected."""
        return self.hits / max(self.vertebrae, 1)

    @property
    def precision(self) -> float:
        """Share of the detections that are of a vertebra of their own."""
        return self.hits / max(self.detections, 1)


def count_detections(boxes: Array, truth: Array, least: float = 0.5) -> DetectionCounts:
    """Compares detections, the best first, with labelled boxes; each labelled box counts for one detection.

    Args:
        boxes: (N, 5) px. truth: (V, 5) px.
        least: smallest overlap (IoU) of a hit.
    """
    overlap = rotated_iou(torch.as_tensor(boxes), torch.as_tensor(truth)).numpy().copy()
    hits = 0
    for row in overlap:
        if len(row) and row.max() >= least:
            hits += 1
            overlap[:, int(row.argmax())] = 0.0
    return DetectionCounts(hits, len(boxes), len(truth))
