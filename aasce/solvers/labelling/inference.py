"""From a canvas to centroids: the networks over it and its mirror image, both in px of the canvas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from aasce.preprocess.crop import View, similarity
from aasce.preprocess.intensity import Bytes
from aasce.solvers.labelling.network import LabellingNet
from aasce.solvers.labelling.postprocess import LevelCurve, features, fit_levels
from aasce.solvers.labelling.settings import TRUNK, LabellingConfig
from aasce.solvers.shared.samples import Floats
from aasce.solvers.shared.tta import network_pass, with_mirror
from aasce.targets.heatmap import from_map


@dataclass(frozen=True, slots=True)
class Centroids:
    """Centroids of one or more passes over a canvas, all in its frame.

    Attributes:
        points: (passes, levels, 2) px, C1 (or T1) to L5.
        seen: (passes, levels) how clearly a vertebra is seen at each, from about 0 to 1.
        tilts: (passes, 17) degrees of T1 to L5; None without a map of tilts.
    """

    points: Floats
    seen: Floats
    tilts: Floats | None

    @property
    def mean(self) -> Centroids:
        """All passes as one."""
        tilts = None if self.tilts is None else self.tilts.mean(axis=0, keepdims=True)
        return Centroids(self.points.mean(axis=0)[None], self.seen.mean(axis=0)[None], tilts)

    def one(self, index: int) -> Centroids:
        """A single pass."""
        part = slice(index, index + 1)
        return Centroids(self.points[part], self.seen[part], None if self.tilts is None else self.tilts[part])

    def undone(self, view: View) -> Centroids:
        """The same in px of what a view shows; no view here turns."""
        return replace(self, points=view.undo(self.points))

    @property
    def trunk(self) -> Floats:
        """(17, 2) px of T1 to L5, the first pass."""
        return self.points[0, -TRUNK:]

    @property
    def finite(self) -> bool:
        """Whether all of it is a number."""
        parts = (self.points, self.seen, self.tilts)
        return all(np.isfinite(part).all() for part in parts if part is not None)

    def curve(self, smoothing: float) -> LevelCurve:
        """The smoothed curve through T1 to L5 of the first pass."""
        return fit_levels(self.trunk, self.seen[0, -TRUNK:], smoothing)

    def tilt_share(self, share: float) -> float | None:
        """Share of the tilts beside the tangents; None without tilts."""
        return None if self.tilts is None else share

    def features(self, curve: LevelCurve) -> Floats:
        """(17,) or (34,) degrees of the first pass, see `postprocess.features`."""
        return features(curve.tangents, None if self.tilts is None else self.tilts[0])


def centroids_on(
    net: LabellingNet, canvas: Bytes, config: LabellingConfig, fast: bool = False, scale: float = 1.0
) -> Centroids:
    """Centroids of a canvas and of its mirror image.

    Args:
        net: the networks.
        canvas: (H, W) uint8.
        config: of the solver.
        fast: see `network_pass`.
        scale: of the canvas about its middle before the networks see it; the centroids are those of the canvas.
    """
    middle = (np.array([canvas.shape[1], canvas.shape[0]]) - 1) / 2
    view = similarity(middle, scale, 0.0, (canvas.shape[0], canvas.shape[1]))
    shown = canvas if scale == 1 else np.asarray(view.render(canvas), np.uint8)
    found = network_pass(net, with_mirror(shown), fast, lambda images: net.points(images, config.corrector))
    points, seen, tilts = found
    centroids = from_map(_numbers(points), config.network.stride)
    centroids[1, :, 0] = canvas.shape[1] - 1 - centroids[1, :, 0]
    tilts = None if tilts is None else _numbers(tilts) * [[1.0], [-1.0]]
    return Centroids(centroids, _numbers(seen), tilts).undone(view)


def mean_of(passes: Sequence[Centroids]) -> Centroids:
    """Means of the same passes at several scales, all in one frame."""
    tilts = [p.tilts for p in passes if p.tilts is not None]
    return Centroids(
        np.mean([p.points for p in passes], axis=0),
        np.mean([p.seen for p in passes], axis=0),
        np.mean(tilts, axis=0) if tilts else None,
    )


def _numbers(found: Tensor) -> Floats:
    return np.asarray(found.double().cpu().numpy(), np.float64)
