"""What a regressor says of a canvas, and the answer made of it: the angles it learned, or those of its tilts.

A head with rows (`solvers.rows`) says where each vertebra stands and how it is tilted, and has learned besides which
differences of tilts the challenge calls its first, second and third angle. That rule is known, though, and so is what
doubt does to it: measured by it, the same tilts give the better answer (the learned angles come out too small).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from torch import Tensor

from aasce.geometry.centerline import arc_lengths
from aasce.geometry.correction import sliced_angles
from aasce.preprocess.crop import Box, View
from aasce.solvers.shared.heads import Regressed
from aasce.solvers.shared.row_head import HeadSettings, row_places
from aasce.solvers.shared.samples import Floats, Sample
from aasce.types import Array

APART = 1e-5
"""Least step from a level to the next, as a share of the canvas's height: arc lengths have to ascend."""


@dataclass(frozen=True, slots=True)
class Readout:
    """What a head says of B canvases.

    Attributes:
        angles: (B, 3) degrees, not negative, as it learned them.
        tilts: (B, levels) degrees.
        places: (B, levels, 2) where the levels stand, as shares (x, y) of the canvas, from the top. Tilts and places
            are None from a head without rows.
    """

    angles: Floats
    tilts: Floats | None = None
    places: Floats | None = None

    @classmethod
    def of(cls, found: Regressed) -> Self:
        """Of a head's output."""
        angles = np.maximum(_numbers(found.angles), 0.0)
        if found.tilts is None or found.places is None or found.columns is None:
            return cls(angles)
        y = np.maximum.accumulate(_numbers(found.places), axis=1)
        y = y + APART * np.arange(y.shape[1])
        columns = (_numbers(found.columns).mean(axis=1) + 1) / 2
        rows = row_places(columns.shape[1]).double().numpy()
        x = np.stack([np.interp(at, rows, column) for at, column in zip(y, columns, strict=True)])
        return cls(angles, np.clip(_numbers(found.tilts), -80, 80), np.stack([x, y], axis=-1))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Of several batches, one."""
        tilts = [p.tilts for p in parts if p.tilts is not None]
        places = [p.places for p in parts if p.places is not None]
        angles = np.concatenate([p.angles for p in parts])
        return cls(angles, np.concatenate(tilts), np.concatenate(places)) if tilts else cls(angles)

    @property
    def finite(self) -> bool:
        """Whether all of it is a number."""
        parts = (self.angles, self.tilts, self.places)
        return all(np.isfinite(part).all() for part in parts if part is not None)

    def degrees(self, view: View, height: int, head: HeadSettings, origin: Array | None = None) -> Floats:
        """(B, 3) the answer to each canvas, all of one film.

        Args:
            view: film px to canvas px.
            height: rows of the film, or of the rectangle of it that is measured.
            head: says whether angles are measured or those learned.
            origin: (x, y) film px of the rectangle.
        """
        if head.answer == "learned" or self.tilts is None or self.places is None:
            return self.angles
        points = view.undo(self.places * [view.size[1], view.size[0]] - 0.5)
        points = points if origin is None else points - origin
        return np.stack([
            np.asarray(sliced_angles(p, t, arc_lengths(p), height, head.doubt).degrees, np.float64)
            for t, p in zip(self.tilts, points, strict=True)
        ])  # fmt: skip

    def one(self, index: int) -> Self:
        """Of one canvas of the batch."""
        part = slice(index, index + 1)
        if self.tilts is None or self.places is None:
            return type(self)(self.angles[part])
        return type(self)(self.angles[part], self.tilts[part], self.places[part])

    def unmirrored(self) -> Self:
        """Of a canvas and of its mirror image, both in the frame of the canvas."""
        if self.tilts is None or self.places is None:
            return self
        tilts, places = self.tilts * [[1.0], [-1.0]], self.places.copy()
        places[1, :, 0] = 1.0 - places[1, :, 0]
        return type(self)(self.angles, tilts, places)

    def mean(self) -> Self:
        """Of all canvases together, as one."""
        means = [None if p is None else p.mean(axis=0, keepdims=True) for p in (self.tilts, self.places)]
        return type(self)(self.angles.mean(axis=0, keepdims=True), *means)


def pass_angles(both: Readout, view: View, box: Box, head: HeadSettings) -> tuple[Floats, Floats]:
    """Angles of a canvas and of its mirror image, (2, 3) degrees, and of both together, (3,), the answer.

    Args:
        both: of the two canvases, each in its own frame.
        view: film px to canvas px (of any size: places are shares).
        box: the rectangle of the film that the canvas shows; the challenge's rule is measured in it.
        head: see `Readout.degrees`.
    """
    upright, origin, height = both.unmirrored(), np.array(box[:2], np.float64), box[3] - box[1]
    each = upright.degrees(view, height, head, origin)
    return each, upright.mean().degrees(view, height, head, origin)[0]


def item_angles(said: Readout, items: Sequence[Sample], head: HeadSettings) -> Floats:
    """(N, 3) degrees of N kept films, each read from its own pixels."""
    found = [said.one(index).degrees(item.view, item.height, head)[0] for index, item in enumerate(items)]
    return np.stack(found)


def _numbers(tensor: Tensor) -> Floats:
    return np.asarray(tensor.detach().double().cpu().numpy(), np.float64)
