"""The hip bones, attached to the sacrum.

Sizes of the template, an average adult standing upright:
- bi-iliac breadth 280 mm (Ruff et al. 2005, J Hum Evol 48:381, for how it varies); women are drawn narrower;
- anterior superior spines 225 to 236 mm apart (Malay, Chinese and Indian scans: women 225 +- 20, men 227 +- 13), hip
  centres 36 % of that to either side, 19 % behind and 30 % below them (Bell et al. 1990, J Biomech 23:617), 89 mm from
  the middle plane (Rabari et al. 2017, Int J Res Orthop 3:298: 91.5 and 95.0 mm on films, magnified);
- inlet 130 to 135 mm wide, its conjugate 105 (women) to 116 mm (the scans above); tuberosities 115 mm apart,
  top of the symphysis 15 mm below the hip centres;
- height 4.65 femoral heads (Chinese films, Eur J Orthop Surg Traumatol 2014;24:947: 0.215), here 214 mm;
- cortex 1.1 to 1.6 mm, more in the roof of the socket (Anderson et al. 2005, J Biomech Eng 127:364: 1.41 +- 0.49 mm).
The hip axis lies 26 mm in front of the middle of the sacrum's endplate at a sacral slope of 38 degrees, which makes a
pelvic tilt of 13 and an incidence of 51 degrees (Vialle et al. 2005, J Bone Joint Surg Am 87:260: 13 +- 6, 55 +- 11).
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator

from aasce.config import Settings
from aasce.phantom.solids.loft import smoothstep
from aasce.phantom.solids.primitives import mesh_of, stored, thinned
from aasce.phantom.spine.pose import BODY_OF_S1_MM, LEVELS, SACRAL_SLOPE_DEGREES, SpinePose
from aasce.types import Array
from aasce.xray.mesh import Mesh

HIP_CENTRE = np.array([89.0, 26.0, -117.0])
"""Middle of the template's acetabulum, mm."""
_PIVOT = np.array([0.0, -32.0, -26.0])
"""Point on the axis through both sacroiliac joints, about which the hip bones tilt against the sacrum, mm."""
_FOLLOWS = 0.4
"""Share of the sacral slope's deviation that the hip bones follow; the rest changes the pelvic incidence."""
_CORTEX_MM = 1.4

SIDES = ("right", "left")


class PelvisRecord(Settings):
    """Numbers of the hip bones; sizes are factors on the average.

    Attributes:
        width: breadth between the iliac crests.
        inlet: breadth of the inlet.
        outlet: breadth between the ischial tuberosities.
        height: from crest to tuberosity.
        depth: from front to back.
        flare: degrees by which the wings are inclined outward.
        tilt: degrees by which the hip bones tilt forward, in addition to the tilt that follows from the sacral slope.
        cortex: thickness of the cortex.
        uneven: share by which the right bone is larger than the left one.
    """

    width: float = 1.0
    inlet: float = 1.0
    outlet: float = 1.0
    height: float = 1.0
    depth: float = 1.0
    flare: float = 0.0
    tilt: float = 0.0
    cortex: float = 1.0
    uneven: float = 0.0


def draw_pelvis(rng: np.random.Generator, age: float = 15.0, female: bool = True) -> PelvisRecord:
    """Draws hip bones by age in years and sex; women's are lower and wider in inlet and outlet, at equal stature."""
    child = float(np.clip((15 - age) / 6, 0, 1))
    sex = 1.0 if female else -1.0
    thin = 0.012 * max(0.0, age - 50)
    return PelvisRecord(
        width=_near(rng, 1.0 + 0.012 * sex - 0.03 * child, 0.04),
        inlet=_near(rng, 1.0 + 0.035 * sex - 0.02 * child, 0.04),
        outlet=_near(rng, 1.0 + 0.07 * sex, 0.05),
        height=_near(rng, 1.0 - 0.025 * sex, 0.03),
        depth=_near(rng, 1.0 - 0.01 * sex, 0.035),
        flare=round(float(np.clip(rng.normal(0, 3), -7, 7)), 2),
        tilt=round(float(np.clip(rng.normal(3 if age < 25 else 0, 4), -10, 12)), 2),
        cortex=_near(rng, 1.0 - 0.12 * child - thin, 0.1, 0.55, 1.35),
        uneven=round(float(rng.normal(0, 0.008)), 4),
    )


def _near(
    rng: np.random.Generator, mean: float, spread: float, low: float = 0.85, high: float = 1.17
) -> float:
    return round(float(np.clip(rng.normal(mean, spread), low, high)), 4)


def build_pelvis(record: PelvisRecord, pose: SpinePose) -> list[Mesh]:
    """Both hip bones, 1800 faces each, with their marrow, 1000 each: "hip right", "hip right/marrow", ...

    They follow the sacrum's obliquity and rotation fully, and its slope partly. Differentiable in the pose.
    """
    outer, faces = stored("hip")
    inner, inner_faces = thinned("hip/marrow", record.cortex, _CORTEX_MM), stored("hip/marrow")[1]
    dtype = pose.centre.dtype
    meshes = []
    for index, side in enumerate(SIDES):
        bone = _placed(record, pose, outer, index)
        marrow = _placed(record, pose, inner, index)
        turn = slice(None, None, -1 if index else 1)
        meshes.append(mesh_of(f"hip {side}", "cortex", "soft", bone, faces[:, turn], dtype))
        meshes.append(mesh_of(f"hip {side}/marrow", "marrow", "cortex", marrow, inner_faces[:, turn], dtype))
    return meshes


def hip_centres(record: PelvisRecord, pose: SpinePose) -> torch.Tensor:
    """Middles of both acetabula (2, 3) in mm of the person's frame, right then left."""
    return torch.cat([_placed(record, pose, HIP_CENTRE[None], index) for index in (0, 1)])


def _placed(record: PelvisRecord, pose: SpinePose, points: Array, index: int) -> torch.Tensor:
    """Template points (N, 3) mm of the right bone, for the right (0) or left (1) bone, in the person's frame."""
    # The acetabulum moves as a whole, so that it stays round.
    near = 1 - smoothstep(30.0, 65.0, np.linalg.norm(points - HIP_CENTRE, axis=1))[:, None]
    shaped = _shaped(record, points) * (1 - near) + near * (
        points - HIP_CENTRE + _shaped(record, HIP_CENTRE[None])
    )
    if index:
        shaped = shaped * [-1.0, 1.0, 1.0]
    shaped = (shaped - _PIVOT) * (1 + record.uneven * (0.5 - index))
    sacrum = pose.rotation[LEVELS.index("S1")]
    endplate = pose.centre[LEVELS.index("S1")] + sacrum[:, 2] * BODY_OF_S1_MM * pose.scale
    upright = _upright(sacrum)
    slope = torch.rad2deg(torch.atan2(sacrum[:, 2] @ upright[:, 1], sacrum[:, 2] @ upright[:, 2]))
    pivot = upright @ _tip(slope - SACRAL_SLOPE_DEGREES) @ torch.as_tensor(_PIVOT).to(sacrum)
    turn = upright @ _tip(_FOLLOWS * (slope - SACRAL_SLOPE_DEGREES) + record.tilt)
    return (torch.as_tensor(shaped).to(sacrum) @ turn.T + pivot) * pose.scale + endplate


def _shaped(record: PelvisRecord, points: Array) -> Array:
    """Stretches the template smoothly to the breadths of crest, inlet and outlet, height and depth."""
    x, y, z = points.T
    heights = [-200.0, -165.0, -110.0, -70.0, -15.0, 20.0, 60.0]
    middle = (record.inlet + record.outlet) / 2
    rim = (record.inlet + record.width) / 2
    widths = [record.outlet, record.outlet, middle, record.inlet, rim, record.width, record.width]
    wide = x * PchipInterpolator(heights, widths)(z)
    rise = np.maximum(z + 75, 0)
    lean = np.tan(np.radians(record.flare)) * rise**2 / (rise + 40)
    return np.stack([wide + lean * np.clip(x / 60, 0, 1), y * record.depth, z * record.height], -1)


def _upright(sacrum: torch.Tensor) -> torch.Tensor:
    """Frame (3, 3) with the sacrum's lateral axis, and otherwise as upright as possible."""
    right = sacrum[:, 0]
    up = torch.zeros_like(right)
    up[2] = 1.0
    up = up - right[2] * right
    up = up / up.norm()
    return torch.stack([right, torch.linalg.cross(up, right), up], -1)


def _tip(degrees: torch.Tensor) -> torch.Tensor:
    """Rotation (3, 3) about x that tilts the up axis forward."""
    angle = torch.deg2rad(degrees)
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    cosine, sine = angle.cos(), angle.sin()
    return torch.stack([one, zero, zero, zero, cosine, sine, zero, -sine, cosine]).reshape(3, 3)
