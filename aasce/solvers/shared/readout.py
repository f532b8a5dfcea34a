"""What a head predicts of a canvas, and the angles made of it: those it regresses, or those of its tilts.

The head "rows" (`row_head`) predicts where each vertebra is and how it is tilted, and has learned besides which
differences of tilts the challenge calls its first, second and third angle. That rule is known, though, and so is what
uncertain tilts do to it: by the rule, the same tilts give better angles (regressed ones come out too small).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from torch import Tensor

from aasce.geometry.centerline import arc_lengths
from aasce.geometry.cobb import limit_tilts
from aasce.geometry.correction import sliced_angles
from aasce.preprocess.crop import Box, View
from aasce.solvers.shared.heads import HeadSettings, Regressed, RowsHeadSettings
from aasce.solvers.shared.row_head import row_places
from aasce.solvers.shared.samples import Floats, Sample
from aasce.types import Array

STEP = 1e-5
"""Least step from a level to the next, as a share of the canvas's height: arc lengths have to ascend."""


@dataclass(frozen=True, slots=True)
class Readout:
    """What a head predicts of B canvases.

    Attributes:
        angles: (B, 3) degrees, not negative, as regressed.
        tilts: (B, levels) degrees.
        places: (B, levels, 2) where the levels are, as shares (x, y) of the canvas, from the top. Tilts and places are
            None from a head without rows.
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
        y = y + STEP * np.arange(y.shape[1])
        columns = (_numbers(found.columns).mean(axis=1) + 1) / 2
        rows = row_places(columns.shape[1]).double().numpy()
        x = np.stack([np.interp(at, rows, column) for at, column in zip(y, columns, strict=True)])
        return cls(angles, limit_tilts(_numbers(found.tilts)), np.stack([x, y], axis=-1))

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
        """(B, 3) the angles of each canvas, all of one film.

        Args:
            view: film px to canvas px.
            height: rows of the film, or of the rectangle of it that is measured.
            head: its settings, which say whether the angles are those of the tilts or the regressed ones.
            origin: (x, y) film px of the rectangle.
        """
        if not isinstance(head, RowsHeadSettings) or self.tilts is None or self.places is None:
            return self.angles
        if head.angles == "regressed":
            return self.angles
        points = view.undo(self.places * [view.size[1], view.size[0]] - 0.5)
        points = points if origin is None else points - origin
        return np.stack([
            np.asarray(sliced_angles(p, t, arc_lengths(p), height, head.tilt_sd_deg).degrees, np.float64)
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
    """Angles of a canvas and of its mirror image, (2, 3) degrees, and of both together, (3,).

    Args:
        both: of the two canvases, each in its own frame.
        view: film px to canvas px (of any size: places are shares).
        box: the rectangle of the film that the canvas shows; the challenge's rule is measured in it.
        head: see `Readout.degrees`.
    """
    upright, origin, height = both.unmirrored(), np.array(box[:2], np.float64), box[3] - box[1]
    each = upright.degrees(view, height, head, origin)
    return each, upright.mean().degrees(view, height, head, origin)[0]


def sample_angles(readout: Readout, samples: Sequence[Sample], head: HeadSettings) -> Floats:
    """(N, 3) degrees of N kept films, each from its own canvas of the readout."""
    found = [readout.one(k).degrees(sample.view, sample.height, head)[0] for k, sample in enumerate(samples)]
    return np.stack(found)


def _numbers(tensor: Tensor) -> Floats:
    return np.asarray(tensor.detach().double().cpu().numpy(), np.float64)
