"""Pose of the spine: one rigid frame per vertebra, to which the rest of the body is attached."""

from __future__ import annotations

from dataclasses import dataclass

import torch

LEVELS: tuple[str, ...] = (
    *(f"C{i}" for i in range(1, 8)),
    *(f"T{i}" for i in range(1, 13)),
    *(f"L{i}" for i in range(1, 6)),
    "S1",
)
"""C1 to L5 and the sacrum, from the top: 25 levels."""

LUMBOSACRAL_DEGREES = 26.0
"""Mean sagittal tilt of the step from L5 to the middle of S1."""
SACRAL_SLOPE_DEGREES = 38.0
"""Mean inclination of the sacral endplate (Vialle et al. 2005, J Bone Joint Surg Am 87:260: 41 +- 8, standing)."""
BODY_OF_S1_MM = 15.0
"""Half the height of the first sacral body."""


@dataclass(frozen=True, slots=True)
class SpinePose:
    """One rigid frame per level, in the person's frame.

    The person's frame is RAS+ in mm (x to the patient's right, y forward, z up) with its origin in the middle of the
    sacrum's upper endplate. A vertebra's own frame has its origin in the middle of its body and, for a vertebra without
    any tilt or rotation, the same axes.

    Attributes:
        rotation: (25, 3, 3), from a vertebra's frame to the person's.
        centre: (25, 3) mm, the middles of the bodies.
        scale: size of this person relative to the average adult; multiplies every length of the templates.
    """

    rotation: torch.Tensor
    centre: torch.Tensor
    scale: float = 1.0

    def place(self, level: str | int, points: torch.Tensor) -> torch.Tensor:
        """Points (N, 3) mm of a vertebra's frame at scale 1, transformed to the person's frame."""
        index = LEVELS.index(level) if isinstance(level, str) else level
        points = points.to(self.rotation)
        return points * self.scale @ self.rotation[index].T + self.centre[index]


def axis_rotation(coronal: torch.Tensor, sagittal: torch.Tensor, axial: torch.Tensor) -> torch.Tensor:
    """Rotations (N, 3, 3) of frames whose up axis has the given tilts on the two orthogonal views.

    Args:
        coronal: (N,) degrees of the up axis seen from the front, positive to the patient's right.
        sagittal: (N,) degrees seen from the side, positive forward.
        axial: (N,) degrees about the up axis, positive counter-clockwise seen from above.
    """
    coronal, sagittal, axial = (torch.deg2rad(v) for v in (coronal, sagittal, axial))
    up = torch.stack([torch.tan(coronal), torch.tan(sagittal), torch.ones_like(axial)], -1)
    up = up / up.norm(dim=-1, keepdim=True)
    front = torch.stack([-torch.sin(axial), torch.cos(axial), torch.zeros_like(axial)], -1)
    front = front - (front * up).sum(-1, keepdim=True) * up
    front = front / front.norm(dim=-1, keepdim=True)
    return torch.stack([torch.linalg.cross(front, up), front, up], -1)


def pose_from_angles(
    spacing: torch.Tensor,
    coronal: torch.Tensor,
    sagittal: torch.Tensor,
    axial: torch.Tensor,
    scale: float = 1.0,
) -> SpinePose:
    """Chains the frames of all levels from the sacrum upwards; differentiable in all of its numbers.

    Args:
        spacing: (24,) mm between the middles of neighbouring bodies, this person's own.
        coronal: (25,) degrees, tilt of each level seen from the front, positive to the patient's right; a step between
            two levels has the mean of their tilts.
        sagittal: (24,) degrees, tilt of each step seen from the side, positive forward; a level has the mean of the
            tilts of its two steps.
        axial: (25,) degrees of axial rotation, positive counter-clockwise seen from above.
        scale: see `SpinePose`.
    """
    step_coronal = torch.deg2rad((coronal[:-1] + coronal[1:]) / 2)
    step_sagittal = torch.deg2rad(sagittal)
    steps = torch.stack([torch.tan(step_coronal), torch.tan(step_sagittal), torch.ones_like(spacing)], -1)
    steps = steps / steps.norm(dim=-1, keepdim=True) * spacing[:, None]
    slope = sagittal.new_tensor([SACRAL_SLOPE_DEGREES - LUMBOSACRAL_DEGREES]) + sagittal[-1:]
    level_sagittal = torch.cat([sagittal[:1], (sagittal[:-1] + sagittal[1:]) / 2, slope])
    rotation = axis_rotation(coronal, level_sagittal, axial)
    sacrum = -rotation[-1, :, 2] * BODY_OF_S1_MM * scale
    above = torch.flip(torch.cumsum(torch.flip(steps, [0]), 0), [0]) + sacrum
    return SpinePose(rotation, torch.cat([above, sacrum[None]]), scale)
