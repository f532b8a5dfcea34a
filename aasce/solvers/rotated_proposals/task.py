"""Training of `rotated_proposals`: augmented films, cut to the refined region as the cord would give it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from aasce.geometry.cobb import cobb_angles, tilt_error, tilts
from aasce.preprocess.crop import View, letterbox, similarity
from aasce.preprocess.intensity import Bytes
from aasce.scoring.metrics import film_smape
from aasce.solvers.rotated_proposals.inference import find_column, labelled_boxes
from aasce.solvers.rotated_proposals.losses import ProposalLoss
from aasce.solvers.rotated_proposals.network import RotatedProposalNet
from aasce.solvers.rotated_proposals.regions import STRIDE, refined_view
from aasce.solvers.rotated_proposals.settings import RotatedProposalsConfig
from aasce.solvers.shared.canvas_task import LOST
from aasce.solvers.shared.film_task import Batch, FilmTask
from aasce.solvers.shared.masks import as_bytes
from aasce.solvers.shared.samples import Drawn, FilmSampler, Floats, Sample, SampleSplit, to_input
from aasce.targets.field import LEVELS
from aasce.targets.heatmap import to_map
from aasce.targets.mask import encode_mask

NEARER = 0.4
"""Largest logarithm by which the whole film is enlarged in samples of the coarse pass: films differ in their width."""

FAILED = 100.0
"""SMAPE of a film without a column in the validation."""


def cord_target(landmarks: Floats, size: tuple[int, int]) -> Bytes:
    """(H/4, W/4) uint8, 255 on the cord: the band of vertebrae and the discs between them.

    Args:
        landmarks: (V, 4, 2) px of the canvas.
        size: (H, W) of the canvas.
    """
    shares = encode_mask(to_map(landmarks, STRIDE), (size[0] // STRIDE, size[1] // STRIDE))
    return as_bytes(1 - shares[0])


class ProposalTask(FilmTask):
    """`trainer.Task` of the network."""

    def __init__(self, config: RotatedProposalsConfig, net: RotatedProposalNet, split: SampleSplit) -> None:
        super().__init__(len(split.train), config.batch, (config.seed, 1))
        self.config, self.split = config, split
        self.sampler = FilmSampler((config.rows, config.rows // 2), config.augment)
        self.module = ProposalLoss(net, config)

    def draw_batch(self, chosen: Sequence[int], rng: np.random.Generator) -> Batch:
        """See `ProposalLoss.forward`."""
        drawn = [self._drawn(self.split.train[index], rng) for index in chosen]
        size = self.config.region.canvas
        upright = self.config.angles == "upright"
        boxes = np.stack([labelled_boxes(points, upright) for _, points in drawn])
        points = np.stack([p for _, p in drawn])
        middle = boxes[..., :2]
        shown = (middle > 0).all(axis=-1) & (middle < [size[1] - 1, size[0] - 1]).all(axis=-1)
        cord = np.stack([cord_target(p, size) for p in points])
        return {
            "image": to_input(np.stack([image for image, _ in drawn])),
            "boxes": torch.from_numpy(boxes.astype(np.float32)),
            "corners": torch.from_numpy(points.astype(np.float32)),
            "shown": torch.from_numpy(shown),
            "cord": torch.from_numpy(cord),
        }

    def _drawn(self, sample: Sample, rng: np.random.Generator) -> tuple[Bytes, Floats]:
        """A canvas (H, W) of an augmented film, and its landmarks there."""
        film = self.sampler.draw(sample, rng)
        view = self._view(film, rng)
        return np.asarray(view.render(film.image), np.uint8), view.apply(film.landmarks)

    def _view(self, film: Drawn, rng: np.random.Generator) -> View:
        """The whole film, as the cord is found on it, or the region around the cord, a little beside its place."""
        s = self.config.region
        middle = (np.array([s.canvas[1], s.canvas[0]]) - 1) / 2
        if rng.random() < s.coarse_share:
            whole = letterbox((film.image.shape[0], film.image.shape[1]), s.canvas)
            nearer = float(np.exp(rng.uniform(0, NEARER)))
            return whole.then(similarity(middle, nearer, 0.0, s.canvas))
        region = refined_view(film.landmarks.mean(axis=1), film.landmarks.reshape(-1, 2), s)
        degrees, scale = rng.normal(0, s.rotation), float(np.exp(rng.normal(0, s.scale)))
        shift = rng.normal(0, s.shift * s.canvas[0], 2)
        return region.then(similarity(middle, scale, degrees, s.canvas, middle + shift))

    def validate(self, module: Any) -> dict[str, float]:
        """Mean error of the tilts in degrees of one pass as "score", SMAPE and the number of failed films beside it."""
        films = self.split.validation
        if not films:
            return {}
        scores = np.array([film_scores(module.net, film, self.config) for film in films])
        missing = float((scores[:, 0] == LOST).sum())
        return {"score": float(scores[:, 0].mean()), "smape": float(scores[:, 1].mean()), "missing": missing}


def film_scores(net: RotatedProposalNet, film: Sample, config: RotatedProposalsConfig) -> tuple[float, float]:
    """Mean error of the tilts in degrees and SMAPE of a film; `LOST` and `FAILED` without 17 vertebrae."""
    found = find_column(net, np.ascontiguousarray(film.pixels[..., 0]), config, passes=1)
    if found is None or len(found.landmarks) != LEVELS:
        return LOST, FAILED
    landmarks = film.view.undo(found.landmarks)
    degrees = cobb_angles(landmarks, film.height).degrees
    smape = float(film_smape(degrees[None], film.angles[None])[0])
    return tilt_error(tilts(found.landmarks), film.landmarks), smape
