"""Regions around single vertebrae, cut from one canvas of the film."""

from __future__ import annotations

import numpy as np

from aasce.preprocess.crop import View, similarity
from aasce.solvers.coarse_to_fine.settings import LocalSettings
from aasce.solvers.shared.samples import Floats


def local_spacings(places: Floats) -> Floats:
    """(V,) px between neighbouring vertebrae at each vertebra: a straight line through the steps of the column.

    Vertebrae grow steadily from T1 to L5, so that the line is surer than a single step.

    Args:
        places: (V, 2) px from the top, V at least 3.
    """
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    at = np.arange(len(steps)) + 0.5
    usual = float(np.median(steps))
    kept = (steps > 0.4 * usual) & (steps < 2.2 * usual)
    line = np.polyfit(at[kept], steps[kept], 1) if kept.sum() > 2 else np.array([0.0, usual])
    return np.asarray(np.clip(np.polyval(line, np.arange(len(places))), 0.5 * usual, 2 * usual).clip(min=1.0))


def region_views(places: Floats, spacings: Floats, settings: LocalSettings) -> list[View]:
    """From the canvas to the region around each vertebra.

    Args:
        places: (V, 2) px of the canvas, the middle of each region.
        spacings: (V,) px of the canvas from one vertebra to the next.
        settings: size of a region and its spacing.
    """
    scales = settings.spacing / spacings if settings.spacing else np.ones(len(places))
    return [
        similarity(place, float(scale), 0.0, settings.region)
        for place, scale in zip(places, scales, strict=True)
    ]
