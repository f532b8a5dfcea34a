"""The fit: shape and appearance of the spine by gradient descent, from coarse to fine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aasce.ct.template import losses
from aasce.ct.template.appearance import AppearanceModel
from aasce.ct.template.distance import signed_distance, vertex_normals
from aasce.ct.template.image import LowPassed, SpineImage
from aasce.ct.template.meshes import TemplateMesh
from aasce.ct.template.model import SpineModel, correspondence
from aasce.ct.template.optimizer import AdamVector
from aasce.ct.template.placement import place, with_neighbours
from aasce.ct.template.sampling import sample_points
from aasce.ct.template.settings import Stage, TemplateConfig
from aasce.solvers.shared.trainer import seeded
from aasce.volume import Volume

CONTRAST = 0.05
"""Intensity (50 HU in a window of 1000 HU) by which bone outshines what is around it where the surface is right."""

CONTRAST_MM = 1.5
"""Distance from the surface, to both sides, at which the contrast is looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class FittedSpine:
    """What the fit found.

    Attributes:
        meshes: the templates.
        vertices: for each vertebra (V, 3) world mm.
        contrast: (N,) share of a vertebra's vertices at which the inside is brighter than the outside.
    """

    meshes: list[TemplateMesh]
    vertices: list[NDArray[np.float64]]
    contrast: NDArray[np.float64]


class SpineFit:
    """Shape, appearance and the scan of one fit.

    Args:
        scan: HU.
        labels: (N,) of VerSe, from the head.
        centroids: (N, 3) world mm.
        config: see `TemplateConfig`.
        device: to compute on.
    """

    def __init__(
        self,
        scan: Volume,
        labels: NDArray[np.int64],
        centroids: NDArray[np.float64],
        config: TemplateConfig,
        device: str = "cpu",
    ) -> None:
        self.config, self.device = config, device
        self.image = SpineImage.of(scan, centroids, config.window, device)
        self.given = labels
        if config.neighbours:
            labels, centroids = with_neighbours(labels, centroids)
        self.labels = labels
        self.model = SpineModel(labels.tolist(), place(labels, centroids), config.modes).to_device(device)
        with seeded(config.seed):  # the first weights of f_theta
            self.appearance = AppearanceModel(config.appearance, labels.tolist()).to(device)
        self.rng = torch.Generator().manual_seed(config.seed)
        starts = range(min(2, len(labels)))
        self.halves = [losses.EverySecond.of(self.model, start) for start in starts]
        first, second = correspondence(self.model.meshes)
        self.pairs = torch.as_tensor(first, device=device), torch.as_tensor(second, device=device)
        self.painter = torch.optim.Adam(self.appearance.parameters(), config.appearance.lr)

    def run(self) -> FittedSpine:
        """Warms the appearance up, then goes through the stages."""
        view = self.image.low_passed(self.config.stages[0].blur)
        for _ in range(self.config.appearance.warmup):
            self._descend(view, None)
        for stage in self.config.stages:
            view = self.image.low_passed(stage.blur)
            mover = self._mover(stage)
            for _ in range(stage.steps):
                self._descend(view, mover)
        return self._result(view)

    def _mover(self, stage: Stage) -> AdamVector:
        """The optimiser of A_i and U_i in a stage; its moments start anew with the scan that it sees."""
        config = self.config
        scale = self.model.update_scale(stage.alpha if config.spectral_update else 0.0)
        groups = [
            {"params": [self.model.affine], "lr": stage.affine},
            {"params": [self.model.spectral], "lr": stage.spectral, "scale": scale},
        ]
        return AdamVector(groups, weight_decay=config.weight_decay, vectorwise=config.vectorwise)

    def _descend(self, view: LowPassed, mover: AdamVector | None) -> None:
        """One step of the appearance, and of the shape unless there is no mover."""
        self.painter.zero_grad()
        if mover is None:
            self._image_loss(view, self.model.vertices().detach()).backward()  # type: ignore[no-untyped-call]
        else:
            mover.zero_grad()
            self.loss(view).backward()  # type: ignore[no-untyped-call]
            mover.step()
        self.painter.step()

    def loss(self, view: LowPassed) -> Tensor:
        """The weighted sum of all losses at new points."""
        weight, model = self.config.loss, self.model
        vertices = model.vertices()
        total = vertices.sum() * 0
        if weight.image:
            total = total + weight.image * self._image_loss(view, vertices)
        if weight.edge:
            edge = losses.edge_loss(vertices, model.vertices(spectral=False).detach(), model.edges)
            total = total + weight.edge * edge
        if weight.normal:
            _, gradient, within = view.sample(vertices)
            normal = losses.normal_loss(vertices, model.topology.faces, gradient, within)
            total = total + weight.normal * normal
        if weight.overlap:
            near = self.config.sampling.candidates
            total = total + weight.overlap * losses.overlap_loss(vertices, model.slices, self.halves, near)
        if weight.variance:
            total = total + weight.variance * losses.variance_loss(model.shape_change(), *self.pairs)
        return total

    def _image_loss(self, view: LowPassed, vertices: Tensor) -> Tensor:
        sampling = self.config.sampling
        with torch.no_grad():
            points = sample_points(self.model, vertices, sampling, self.rng)
            intensity, _, within = view.sample(points)
        distance, face = signed_distance(points, vertices, self.model.topology, sampling.candidates)
        rendered = self.appearance(distance, self.model.owner[face])
        return losses.image_loss(rendered, intensity, within)

    @torch.no_grad()
    def _result(self, view: LowPassed) -> FittedSpine:
        vertices = self.model.vertices()
        normals = vertex_normals(vertices, self.model.topology.faces)
        inside, _, _ = view.sample(vertices - CONTRAST_MM * normals)
        outside, _, _ = view.sample(vertices + CONTRAST_MM * normals)
        bright = (inside - outside > CONTRAST).double()
        given = [index for index, label in enumerate(self.labels.tolist()) if label in self.given]
        parts = [self.model.slices[index] for index in given]
        found = [vertices[part].double().cpu().numpy() for part in parts]
        contrast = np.array([float(bright[part].mean()) for part in parts])
        return FittedSpine([self.model.meshes[index] for index in given], found, contrast)
