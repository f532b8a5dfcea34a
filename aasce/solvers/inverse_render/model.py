"""The spine that is fitted to a film: a likely shape given by few numbers, its X-ray and its landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from aasce.phantom.spine.pose import LEVELS, SpinePose, pose_from_angles
from aasce.phantom.spine.statistics import scan_statistics
from aasce.phantom.spine.vertebra import build_vertebra
from aasce.phantom.truth import corners_3d
from aasce.solvers.inverse_render.prior import LEANS, TILTS, TURNS, shapes
from aasce.types import VERTEBRAE
from aasce.xray.camera import SlotScanner
from aasce.xray.raster import path_length

SHOWN: tuple[str, ...] = VERTEBRAE
"""Levels whose bones are rendered."""

RIM = tuple(
    f"{plate}_{side}" for plate in ("superior", "inferior") for side in ("left", "right", "front", "back")
)
"""Points of a vertebral body from which its corners on a film are found."""

FILM_MM = 600.0
"""Height in mm that a film is assumed to have before the fit finds its size."""

MEAN_COLUMN_MM = 440.0
"""Length of T1 to L5 of the mean adult, which is that of `SpineModel.size` 0."""

FAR_MM, GAP_MM = 4000.0, 600.0
CORTEX = 1.6
"""Weight of a mm of cortex beside one of marrow on a film of 70 kV (their attenuation, less that of soft tissue)."""

WEDGING = 0.4
"""Degrees between a body's endplates per degree of tilt gained a level, the mean of the phantom's."""


@dataclass(frozen=True, slots=True)
class Bones:
    """Mean vertebrae of all shown levels, joined; N vertices.

    Attributes:
        outer, marrow: (N, 3) mm in each vertebra's own frame.
        faces: (F, 3).
        level: (N,) index of LEVELS of each vertex.
        corners: (17 * 8, 3) mm, of T1 to L5 in turn the points RIM in its own frame.
        corner_level: (17 * 8,) index of LEVELS of each.
        half: (25,) mm, half the height of each shown level's body.
    """

    outer: Tensor
    marrow: Tensor
    faces: Tensor
    level: Tensor
    corners: Tensor
    corner_level: Tensor
    half: Tensor


@lru_cache(maxsize=1)
def bones() -> Bones:
    """The mean vertebrae, built once, float32."""
    outer, marrow, faces, level, corners = [], [], [], [], []
    half = torch.ones(len(LEVELS))
    start = 0
    for name in SHOWN:
        model, index = build_vertebra(name), LEVELS.index(name)
        outer.append(model.outer.float())
        marrow.append(model.marrow.float())
        faces.append(model.faces + start)
        level.append(torch.full((len(model.outer),), index))
        corners += [model.points[point].float() for point in RIM]
        half[index] = model.points["superior_left"][2].abs().float()
        start += len(model.outer)
    corner_level = torch.tensor([LEVELS.index(name) for name in VERTEBRAE]).repeat_interleave(len(RIM))
    return Bones(
        torch.cat(outer), torch.cat(marrow), torch.cat(faces), torch.cat(level),
        torch.stack(corners), corner_level, half,
    )  # fmt: skip


@dataclass
class SpineModel:
    """The numbers that are fitted; each is in units of its own plausible spread, so that one step size fits all.

    Attributes:
        size: logarithm of mm of the film per mm of the mean adult, over 0.1.
        shift: (2,) x and z of T12 from the film's middle, over 10 mm of the film.
        shape: (74,) tilts, rotations and leans along the principal components of `prior.shapes`.
        step: (24,) logarithm of spacing over the mean's, in units of the scans' spread.
        wide: (2,) logarithm of the vertebrae's width over the mean's, at T1 and L5, over 0.08.
    """

    size: Tensor
    shift: Tensor
    shape: Tensor
    step: Tensor
    wide: Tensor

    @classmethod
    def straight(cls) -> SpineModel:
        """The mean spine in the middle of a film."""
        return cls(*(torch.zeros(n) for n in (1, 2, 74, 24, 2)))

    def tensors(self) -> list[Tensor]:
        """All numbers, in the order of the attributes."""
        return [self.size, self.shift, self.shape, self.step, self.wide]

    def copy(self, gradient: bool = False) -> SpineModel:
        """The same numbers in tensors of their own."""
        return SpineModel(*(t.detach().clone().requires_grad_(gradient) for t in self.tensors()))

    def coronal(self) -> Tensor:
        """(25,) degrees."""
        return shapes().angles(self.shape)[TILTS]

    def pose(self) -> SpinePose:
        """The frames of all levels in mm of the film, its middle the origin; x to the film's left (AP)."""
        real = scan_statistics()
        angles = shapes().angles(self.shape)
        coronal, axial, sagittal = angles[TILTS], angles[TURNS], angles[LEANS]
        mean, spread = (torch.as_tensor(v, dtype=angles.dtype) for v in (real.spacing_mean, real.spacing_sd))
        scale = torch.exp(0.1 * self.size)
        spacing = scale * mean * torch.exp(self.step * spread / mean)
        pose = pose_from_angles(spacing, coronal, sagittal, axial)
        middle = pose.centre[LEVELS.index("T12")]
        place = torch.stack([10 * self.shift[0], middle.new_zeros(()), 10 * self.shift[1]])
        return SpinePose(pose.rotation, pose.centre - middle + place)

    def widths(self) -> Tensor:
        """(25,) factor of the vertebrae's width and depth, running evenly from T1 to L5."""
        first, last = LEVELS.index("T1"), LEVELS.index("L5")
        share = ((torch.arange(len(LEVELS)) - first) / (last - first)).clamp(0, 1)
        return torch.exp(0.1 * self.size + 0.08 * (self.wide[0] * (1 - share) + self.wide[1] * share))

    def heights(self) -> Tensor:
        """(25,) factor of the vertebrae's height: that of the two steps beside them."""
        real = scan_statistics()
        spread = torch.as_tensor(real.spacing_sd / real.spacing_mean, dtype=self.step.dtype)
        growth = self.step * spread
        both = torch.cat([growth[:1], (growth[:-1] + growth[1:]) / 2, growth[-1:]])
        return torch.exp(0.1 * self.size + both)

    def place(self, local: Tensor, level: Tensor, pose: SpinePose) -> Tensor:
        """Points (N, 3) of the frames of levels (N,) in mm of the film."""
        width, height = self.widths()[level], self.heights()[level]
        # Where the spine bends its bodies are wedged, taller on the convex side.
        share = torch.tanh(local[:, 2] / bones().half[level])
        wedge = torch.deg2rad(WEDGING / 2 * torch.gradient(self.coronal())[0])[level]
        local = torch.stack([local[:, 0], local[:, 1], local[:, 2] + share * wedge * local[:, 0]], -1)
        sized = local * torch.stack([width, width, height], -1)
        return torch.einsum("nij,nj->ni", pose.rotation[level], sized) + pose.centre[level]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted spine and how well its X-ray agrees with the film, -1 to 1."""

    model: SpineModel
    agreement: float


def size_of(length: float) -> Tensor:
    """`SpineModel.size` of a column T1 to L5 of this length, as a share of the film's height."""
    return torch.tensor([float(np.log(length * FILM_MM / MEAN_COLUMN_MM)) / 0.1])


def camera(rows: int, size: tuple[int, int]) -> SlotScanner:
    """A camera far away whose film is that of a film (H, W), brought to `rows` rows."""
    columns = max(8, round(rows * size[1] / size[0]))
    half = FILM_MM / 2 * columns / rows
    return SlotScanner((rows, columns), (-half, half, -FILM_MM / 2, FILM_MM / 2), "AP", FAR_MM, GAP_MM)


def render(model: SpineModel, scanner: SlotScanner, pose: SpinePose | None = None) -> Tensor:
    """(H, W) bone in mm of marrow, cortex counted by its attenuation; differentiable in the model."""
    parts = bones()
    pose = pose or model.pose()
    outer = model.place(parts.outer, parts.level, pose)
    marrow = model.place(parts.marrow, parts.level, pose)
    return (1 + CORTEX) * path_length((outer, parts.faces), scanner) - CORTEX * path_length(
        (marrow, parts.faces), scanner
    )


def landmarks(model: SpineModel, scanner: SlotScanner) -> Tensor:
    """(17, 4, 2) px of the camera's film, T1 to L5, each TL, TR, BL, BR; differentiable."""
    parts, pose = bones(), model.pose()
    placed = model.place(parts.corners, parts.corner_level, pose).reshape(len(VERTEBRAE), len(RIM), 3)
    points = {
        name: dict(zip(RIM, rim.unbind(), strict=True))
        for name, rim in zip(VERTEBRAE, placed.unbind(), strict=True)
    }
    return scanner.project(corners_3d(points, scanner))
