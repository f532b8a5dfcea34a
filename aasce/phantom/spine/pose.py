"""Where each vertebra stands: the chain of rigid frames that the rest of the body hangs on."""

from __future__ import annotations

from dataclasses import dataclass

import torch

LEVELS: tuple[str, ...] = (
    *(f"C{i}" for i in range(1, 8)),
    *(f"T{i}" for i in range(1, 13)),
    *(f"L{i}" for i in range(1, 6)),
    "S1",
)
"""C1 to L5 and the sacrum, from the top: 25 frames."""


@dataclass(frozen=True, slots=True)
class SpinePose:
    """A rigid frame per level, in the person's frame.

    The person's frame is RAS+ in mm (x to the patient's right, y forward, z up), its origin the middle of the
    sacrum's upper endplate. A vertebra's own frame has its origin in the middle of its body and the same axes when
    the vertebra stands straight.

    Attributes:
        rotation: (25, 3, 3), from a vertebra's frame to the person's.
        centre: (25, 3) mm, the middles of the bodies.
        scale: size of this person beside the average adult; multiplies every length of the templates.
    """

    rotation: torch.Tensor
    centre: torch.Tensor
    scale: float = 1.0

    def place(self, level: str | int, points: torch.Tensor) -> torch.Tensor:
        """Points (N, 3) of a vertebra's frame, mm at scale 1, in the person's frame."""
        index = LEVELS.index(level) if isinstance(level, str) else level
        points = points.to(self.rotation)
        return points * self.scale @ self.rotation[index].T + self.centre[index]


def straight(scale: float = 1.0) -> SpinePose:
    """An upright spine with the spacing and the sagittal curves of the average adult, for tests and templates."""
    from aasce.phantom.spine.statistics import average_pose

    return average_pose(scale)
