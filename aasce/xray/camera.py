"""Geometry of a film: the projection of points onto it, and the ray of each pixel.

Three frames. The world is the person's (RAS+ mm). The beam's frame has its origin in the source, u to the right and
v down on the film as seen from the source, w along the beam towards the film. Pixels are (x, y), y down, the centre
of the first pixel at (0, 0).

The patient's pose belongs to the camera: the patient is rotated and moved in a fixed beam, so that a gradient with
respect to the pose follows from the gradient with respect to the points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias, TypeVar

import torch

from aasce.types import AasceError

Numbers: TypeAlias = Sequence[float] | torch.Tensor
View: TypeAlias = Literal["AP", "PA"]

_AXES: dict[str, list[list[float]]] = {
    # Rows: the film's right, the film's down, the beam's direction, each in the world. Determinant +1.
    "AP": [[-1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, -1.0, 0.0]],
    "PA": [[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]],
}
_NEAREST = 0.01  # share of the source-image distance; no point may be nearer to the source


class Camera(Protocol):
    """Geometry of a film, as the renderer needs it.

    Attributes:
        size: (H, W) of the film.
        pitch: mm per pixel on the film.
        distance: mm from the source to the film.
        reference: mm from the source to the plane from which depths are measured, in the middle of the body.
    """

    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def pitch(self) -> float: ...
    @property
    def reference(self) -> float: ...
    @property
    def distance(self) -> float: ...

    def place(self, points: torch.Tensor) -> torch.Tensor:
        """Points (..., 3) mm of the world to the beam's frame (u, v, w) mm."""

    def project(self, points: torch.Tensor) -> torch.Tensor:
        """Points (..., 3) mm of the world to pixels (..., 2), x right, y down."""

    def rays(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Origin (H, W, 3) mm and unit direction (H, W, 3) of every pixel's ray in the world."""

    def ray_length(self) -> torch.Tensor:
        """(H, W) mm from the source to the film."""

    def edges(self, points: torch.Tensor) -> torch.Tensor:
        """Points (..., 3) mm of the world to (a, y, b): y in pixels, a and b linear in y along straight edges."""

    def crossing(self, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(a, b) of a point to its column x and its depth rho = (w - reference) / w, linear in x within a row."""

    def stretch(self) -> torch.Tensor:
        """(H, W) or (1, W): length along each pixel's ray per mm of depth w."""


def rotation_matrix(degrees: torch.Tensor) -> torch.Tensor:
    """Rotation of the patient: (..., 3) degrees of pitch, roll and yaw to (..., 3, 3) = yaw @ pitch @ roll.

    Pitch is about x (positive: the head moves backward), roll about y (positive: the head moves to the patient's
    right), yaw about z (positive: the patient turns to the left). All three follow the right-hand rule.
    """
    pitch, roll, yaw = torch.deg2rad(degrees).unbind(-1)
    return _turn(yaw, 0, 1) @ _turn(pitch, 1, 2) @ _turn(roll, 2, 0)


def _turn(angle: torch.Tensor, first: int, second: int) -> torch.Tensor:
    """Rotation by `angle` rad from axis `first` towards axis `second`."""
    cells = [torch.ones_like(angle) if i % 4 == 0 else torch.zeros_like(angle) for i in range(9)]
    cells[4 * first] = cells[4 * second] = angle.cos()
    cells[3 * second + first] = angle.sin()
    cells[3 * first + second] = -angle.sin()
    return torch.stack(cells, -1).view(*angle.shape, 3, 3)


@dataclass(frozen=True, eq=False)
class _Film:
    """Common part of both geometries: field of view, view and the patient's pose.

    Args:
        size: (H, W) px.
        box: (x_min, x_max, z_min, z_max) mm of the world: the field of view in the body's plane y = `plane`. If its
            shape differs from the film's, the film shows more, around the same middle.
        view: "AP" source in front of the patient, whose right is on the left of the film; "PA" source behind the
            patient, whose right is on the right. Both are the film as seen from the source.
        distance: mm from source to film.
        gap: mm from the plane y = `plane` to the film.
        plane: y of that plane in mm; by default that of the sacrum's endplate.
        rotation: (3,) degrees of pitch, roll, yaw of the patient (see `rotation_matrix`) about the middle of the box
            in that plane; a tensor may require a gradient, and may be (B, 3) for B poses at once (not for `rays`).
        shift: (3,) or (B, 3) mm by which the patient is moved; may be a tensor as well.

    Raises:
        AasceError: an unknown view, an empty box, or a gap that is not smaller than the distance.
    """

    size: tuple[int, int]
    box: tuple[float, float, float, float]
    view: View = "AP"
    distance: float = 1830.0
    gap: float = 150.0
    plane: float = 0.0
    rotation: Numbers = (0.0, 0.0, 0.0)
    shift: Numbers = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if self.view not in _AXES:
            raise AasceError(f"view {self.view!r}: is neither 'AP' nor 'PA'")
        left, right, bottom, top = self.box
        if right <= left or top <= bottom or min(self.size) < 1:
            raise AasceError(
                f"film of {self.size} px over {self.box} mm: give (H, W) and (x_min, x_max, z_min, z_max)"
            )
        if not 0.0 <= self.gap < self.distance:
            raise AasceError(
                f"body {self.gap} mm from the film, source {self.distance}: the gap is the smaller one"
            )

    @property
    def reference(self) -> float:
        """Distance in mm from the source to the plane of the body."""
        return self.distance - self.gap

    @property
    def body_pitch(self) -> float:
        """Size of a pixel in mm, in the plane of the body."""
        left, right, bottom, top = self.box
        return max((right - left) / self.size[1], (top - bottom) / self.size[0])

    @property
    def magnification(self) -> float:
        """Magnification of the plane of the body on a flat film."""
        return self.distance / self.reference

    def place(self, points: torch.Tensor) -> torch.Tensor:
        """Points (..., 3) mm of the world to the beam's frame (u, v, w) mm, in the points' precision."""
        rotation, shift, pivot = self._pose(points)
        moved = shift if shift.ndim == 1 else shift.unsqueeze(-2)
        turned = (points - pivot) @ rotation.mT + moved
        axes = turned.new_tensor(_AXES[self.view])
        return turned @ axes.T + axes.new_tensor([0.0, 0.0, self.reference])

    def unplace(self, points: torch.Tensor) -> torch.Tensor:
        """The inverse of `place` for one pose."""
        rotation, shift, pivot = self._pose(points)
        turned = (points - points.new_tensor([0.0, 0.0, self.reference])) @ points.new_tensor(
            _AXES[self.view]
        )
        return (turned - shift) @ rotation + pivot

    def _pose(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        left, right, bottom, top = self.box
        pivot = like.new_tensor([(left + right) / 2, self.plane, (bottom + top) / 2])
        rotation = torch.as_tensor(self.rotation, dtype=like.dtype, device=like.device)
        shift = torch.as_tensor(self.shift, dtype=like.dtype, device=like.device)
        return rotation_matrix(rotation), shift, pivot

    def _pixels(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(1, W) and (H, 1) mm of the pixels' centres from the middle, in the plane of the body."""
        height, width = self.size
        u = (torch.arange(width, dtype=like.dtype, device=like.device) - (width - 1) / 2) * self.body_pitch
        v = (torch.arange(height, dtype=like.dtype, device=like.device) - (height - 1) / 2) * self.body_pitch
        return u[None], v[:, None]

    def _like(self) -> torch.Tensor:
        """A tensor of the pose's precision and device; float64 on the CPU if the pose is plain numbers."""
        for value in (self.rotation, self.shift):
            if isinstance(value, torch.Tensor):
                return value.detach()
        return torch.zeros(0, dtype=torch.float64)

    def _in_front(self, beam: torch.Tensor) -> torch.Tensor:
        """The points' depths w.

        Raises:
            AasceError: a point is behind the source or very near to it.
        """
        depth = beam[..., 2]
        if depth.numel() and not bool(depth.detach().amin() > _NEAREST * self.distance):
            raise AasceError(
                f"the source is inside the body or in front of part of it (nearest point at "
                f"{float(depth.detach().amin()):.0f} mm); move it away: a larger distance (now {self.distance:.0f} mm)"
            )
        return depth

    def _world_rays(self, origin: torch.Tensor, through: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        start, end = self.unplace(origin), self.unplace(through)
        return start, torch.nn.functional.normalize(end - start, dim=-1)


@dataclass(frozen=True, eq=False)
class ConeBeam(_Film):
    """One exposure of a long flat film, the focus opposite the film's middle.

    Default distances are those of upright full-spine radiography: source to film 1830 mm (72 inches), the spine about
    150 mm in front of the film. See `_Film` for the arguments.
    """

    @property
    def pitch(self) -> float:
        """Size of a pixel in mm on the film."""
        return self.body_pitch * self.magnification

    def project(self, points: torch.Tensor) -> torch.Tensor:
        """Points (..., 3) mm of the world to pixels (..., 2); differentiable in the points and the pose."""
        return self.edges(points)[..., :2]

    def edges(self, points: torch.Tensor) -> torch.Tensor:
        """(x, y, rho): straight lines stay straight on the film, and 1/w is linear on it."""
        beam = self.place(points)
        depth = self._in_front(beam)
        scale = self.reference / (self.body_pitch * depth)
        height, width = self.size
        x = beam[..., 0] * scale + (width - 1) / 2
        y = beam[..., 1] * scale + (height - 1) / 2
        return torch.stack([x, y, (depth - self.reference) / depth], -1)

    def crossing(self, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(x, rho) unchanged, since `edges` gives them already."""
        return a, b

    def stretch(self, like: torch.Tensor | None = None) -> torch.Tensor:
        """(H, W) length of each pixel's ray per mm of depth."""
        u, v = self._pixels(self._like() if like is None else like)
        return torch.sqrt(1 + (u * u + v * v) / self.reference**2)

    def ray_length(self, like: torch.Tensor | None = None) -> torch.Tensor:
        """(H, W) distance in mm from the focus to each pixel."""
        return self.stretch(like) * self.distance

    def rays(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Origin and unit direction (H, W, 3) of every pixel's ray in the world."""
        u, v = (mm.expand(self.size) for mm in self._pixels(self._like()))
        through = torch.stack([u, v, torch.full_like(u, self.reference)], -1)
        return self._world_rays(torch.zeros_like(through), through)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> ConeBeam:
        """The same camera with the pose's tensors on another device or in another precision."""
        return _moved(self, device, dtype)


@dataclass(frozen=True, eq=False)
class SlotScanner(_Film):
    """A slot scanner (EOS): a horizontal fan beam, source and slot moving together along the body.

    Rows are parallel, so there is no magnification along z. Columns are scaled to the plane of the body, so that a
    pixel is square there. Default distances are those of EOS: source to detector 1300 mm, to the isocentre 987 mm
    (Dubousset et al. 2005, "A new 2D and 3D imaging approach to musculoskeletal physiology and pathology").
    """

    distance: float = 1300.0
    gap: float = 313.0

    @property
    def pitch(self) -> float:
        """Size of a pixel in mm: along z everywhere, along x in the plane of the body."""
        return self.body_pitch

    def project(self, points: torch.Tensor) -> torch.Tensor:
        """Points (..., 3) mm of the world to pixels (..., 2); differentiable in the points and the pose."""
        a, y, b = self.edges(points).unbind(-1)
        return torch.stack([self.crossing(a, b)[0], y], -1)

    def edges(self, points: torch.Tensor) -> torch.Tensor:
        """(u, y, w - reference): a straight edge is curved on the film, but straight in these coordinates."""
        beam = self.place(points)
        depth = self._in_front(beam)
        y = beam[..., 1] / self.body_pitch + (self.size[0] - 1) / 2
        return torch.stack([beam[..., 0], y, depth - self.reference], -1)

    def crossing(self, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(u, w - reference) of a point to (x, rho)."""
        depth = b + self.reference
        x = a / depth * (self.reference / self.body_pitch) + (self.size[1] - 1) / 2
        return x, b / depth

    def stretch(self, like: torch.Tensor | None = None) -> torch.Tensor:
        """(1, W) length of each pixel's ray per mm of depth; the same in every row."""
        u, _ = self._pixels(self._like() if like is None else like)
        return torch.sqrt(1 + (u / self.reference) ** 2)

    def ray_length(self, like: torch.Tensor | None = None) -> torch.Tensor:
        """(H, W) distance in mm from the source to the slot."""
        return (self.stretch(like) * self.distance).expand(self.size)

    def rays(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Origin and unit direction (H, W, 3) of every pixel's ray in the world."""
        u, v = (mm.expand(self.size) for mm in self._pixels(self._like()))
        origin = torch.stack([torch.zeros_like(u), v, torch.zeros_like(u)], -1)
        return self._world_rays(origin, torch.stack([u, v, torch.full_like(u, self.reference)], -1))

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> SlotScanner:
        """The same camera with the pose's tensors on another device or in another precision."""
        return _moved(self, device, dtype)


F = TypeVar("F", bound=_Film)


def _moved(camera: F, device: torch.device | str, dtype: torch.dtype | None) -> F:
    rotation = torch.as_tensor(camera.rotation, device=device, dtype=dtype)
    shift = torch.as_tensor(camera.shift, device=device, dtype=dtype)
    return replace(camera, rotation=rotation, shift=shift)
