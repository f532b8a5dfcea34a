"""Sizes of the vertebrae by level: means and spreads in mm and degrees, from published anthropometry.

The values are rounded means of an adult of average stature, men and women together, close to the series below and
smoothed along the spine; they are not copied from any table.

- Endplate widths and depths, pedicle widths, canal, transverse span: after Panjabi et al., Spine 1991;16:888
  (thoracic), Spine 1992;17:299 (lumbar), Spine 1991;16:861 (cervical). The upper endplates of T1 and T2 are 3
  to 4 mm wider, because they include the lateral lips, which a film shows as the endplate's corners, as in
  Masharawi et al., Clin Anat 2008;21:46, where T1 is wider than T4.
- Pedicle heights: half way between Panjabi's (nearly 17 mm at T11-T12) and CT (7.2 mm at T1, 11.7 at T12:
  Demiroz and Erdem, Turk Neurosurg 2020). Angles after Zindrick et al., Spine 1987;12:160: 30 degrees at T1,
  falling to 0 at T12, then rising to 26 at L5.
- Body heights: within 1.3 mm of Panjabi's at the back from T3 to T10. Those of T1, T2 and from T11 down are
  raised by up to 2.5 mm towards Busscher et al., Eur Spine J 2010;19:1104, and Berry et al., Spine 1987;12:362,
  because half heights and discs must add up to the spacing between bodies in living people (1,947 CT scans,
  `aasce.phantom.spine.statistics`); with Panjabi's own, lumbar discs would be 12.5 mm high. Front over back: 0.93 in
  the middle of the kyphosis, 0.92 at T11 and T12, 0.94 at L1 (0.92, 0.90, 0.89 by MRI: Surg Radiol Anat
  2011;33:223, patients included), 1.13 at L5 (30.3 over 26.3 mm in a CT series of Maori and Europeans,
  Int J Spine Surg).
- Disc heights, rim to rim at the front and at the back edge: what remains of the spacing. CT means at mid-disc,
  where the hollow endplates add 1 to 2 mm: 8.0, 9.2, 10.6, 11.3, 11.4 and 10.5 mm from T12-L1 to L5-S1
  (Jentzsch et al., BMC Med Imaging 2024;24:213), 2.7 mm at T4-T5 to 5.4 at T10-T11 (Fletcher et al., Eur Spine J
  2015); on specimens 4.5 to 7.2 mm through the thorax (Kunkel et al., J Anat 2011;219:375). Cervical discs, 5 mm,
  are interpolated between these and the spacing; how front and back differ follows the mean curves.
- Hollows of the endplates: 1.5 to 2 mm above and 2 to 3 mm below in the lumbar spine (van der Houwen et al., Ann
  Biomed Eng 2010;38:33); interpolated to 1 mm at T1. Waist: interpolated from lumbar mid-body widths.
- Spinous processes: inclination by level from anatomical atlases, steepest (58 degrees) at T7; lengths such that the
  total reaches Panjabi's (about 50 mm at T1, 70 at L3). Interpolated within regions.
- C1: a ring; its "body" is the ring around the dens: 71 to 79 mm wide, canal 28 by 27 mm (Patel and Gupta, Int J Res
  Med Sci). C2: its frame's origin is 13.4 mm above the lower endplate, at the foot of the dens, as in the scans'
  keypoints (24.7 mm to C3 and 17.5 mm to C1).
- S1: the whole sacrum, its "body" the first segment. Endplate 50 by 33.5 mm; wings 104 to 109 mm wide, height 98
  to 107 mm (normal sacra of Oman Med J 2018); first foramina 13 by 12 mm in front (J Clin Diagn Res 2018;12:AC01),
  8.5 mm wide and 23.5 mm from the middle at the back (Korean J Pain 2023;36:98).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache

from aasce.phantom.spine.pose import LEVELS

_MEANS = """
C1     42    42    20    20    12    10     0     0     8     8     0  27.5  29.5    76     8    10     0     0     0
C2     33    18    14  15.6    20    20   5.6   4.4   7.9     9    30    24    19    52    20    18   0.5   1.6  0.08
C3   17.2  18.2    15  15.6  12.4  12.8     6   4.8   5.6   7.4    41  23.6  15.6    53    14    20   0.6   1.7  0.07
C4     18  18.6  15.3  15.9    12  12.4   5.7   4.5   5.4   7.4    43  24.4  15.4  54.5    14    22   0.6   1.8  0.07
C5   18.6    20  15.4    17  11.7  12.3   5.5   4.3   5.6     7    44    25  15.5  56.5    16    24   0.6   1.8  0.07
C6     20  22.4  16.4  17.9  11.9  12.5   5.7   4.5     6   7.3    40  25.4  15.6    59    22    24   0.6   1.7  0.07
C7   23.6  25.6  17.6  17.2  13.3  13.9   5.8     5   6.9   7.5    33  24.4  15.4    67    31    24   0.7   1.4  0.07
T1   28.6  28.6  17.8  18.8  15.2    16     5   4.8   8.3     9    30  21.8    16    75    33    25   0.9   1.2  0.07
T2   27.4  27.4  19.4  20.8  16.3  16.9   4.5   4.5   7.6    10    24  19.5  15.6  69.4    31    32   0.9   1.2  0.07
T3     26  26.4  21.8  22.6  16.5  17.1   4.2   4.3   6.4  10.4    19    18  15.7  63.5    31    40     1   1.2  0.07
T4   25.4  26.4  23.3  24.2  16.5  17.3   4.4   4.6   5.5  10.6    15  17.2  15.8  61.5    32    47     1   1.3  0.08
T5   25.6  27.2  24.3  25.4    17    18   4.3   4.5   5.5  10.6    13    17    16  61.2    35    53   1.1   1.4  0.08
T6   26.4  28.3    26  26.9  17.3  18.5   4.4   4.6   5.8  10.8    11  17.2    16    61    38    57   1.2   1.5  0.08
T7   27.8  29.3  27.4  28.3  17.6    19   4.6   4.9     6    11    10  17.3    16  60.4    39    58   1.2   1.6  0.09
T8   29.5  30.7  27.9  29.2  18.2  19.4   4.8     5   6.6  11.3     9  17.5  15.9  59.9    38    56   1.3   1.7  0.09
T9   30.6    33  29.3  30.6  18.9  19.9   5.5   5.5   7.4  11.9     8  17.9  15.7  59.4    34    48   1.3   1.8  0.09
T10  31.9  35.4  30.5  31.4  19.9  20.9   6.2   6.1   8.2  12.6     6  18.2  15.7    57    29    37   1.4   1.9   0.1
T11  34.9  38.8  31.9  31.8    21  22.8   7.1   6.8   8.9  13.8     2  19.6  16.1    52    25    25   1.5   2.1   0.1
T12  38.6  41.6  32.8  33.4  22.6  24.6   8.4   7.4   8.6  13.8     0  22.2  17.4    47    25    15   1.6   2.3  0.11
L1   41.2  43.3  34.1  34.8  24.4    26   9.9   7.8   8.6  14.4     9  23.7    18    70    30     8   1.7   2.5  0.12
L2   42.6  45.5  34.6  34.9  25.7  26.5    11   8.1   8.8  14.2    11  23.8  17.4    77    32     6   1.8   2.7 0.125
L3   44.1  47.4  35.2  34.8  26.4  26.4    12   8.1  10.4    14    14  24.3  17.2    86    33     5   1.8   2.8  0.13
L4   46.6  49.2  35.5  34.4  26.9  26.1  12.6   7.5  13.6  14.4    18  25.4  17.8    82    30     5   1.8   2.7  0.13
L5   47.3  49.4  34.7  33.6  27.6  24.4  12.6   6.4    18    16    26  27.1  18.2    89    23    10   1.8   2.4  0.12
S1     50    20  33.5    14       32    28     0     0    20    20    35    31    15   108    12    20   1.2     0  0.05
"""

"""One row per level, columns in the order of `Dimensions`."""

_AXIS_BELOW_MM = 13.4
"""Distance from the origin of C2, at the foot of the dens, down to its lower endplate."""

_SPREAD = {
    "upper_width": 0.070,
    "lower_width": 0.070,
    "upper_depth": 0.075,
    "lower_depth": 0.075,
    "front_height": 0.060,
    "back_height": 0.055,
    "disc_front": 0.20,
    "disc_back": 0.20,
    "pedicle_width": 0.18,
    "pedicle_height": 0.11,
    "canal_width": 0.08,
    "canal_depth": 0.09,
    "transverse_span": 0.08,
    "spinous_length": 0.12,
    "upper_concavity": 0.35,
    "lower_concavity": 0.35,
    "waist": 0.25,
}
"""Coefficient of variation between adults; it includes differences of stature (about 0.05)."""

_SPREAD_DEGREES = {"pedicle_angle": 4.0, "spinous_drop": 6.0}


@dataclass(frozen=True, slots=True)
class Dimensions:
    """Sizes of one level, mm unless another unit is given.

    Attributes:
        upper_width, lower_width: lateral width of the upper and of the lower endplate, over the rim.
        upper_depth, lower_depth: depth of the upper and of the lower endplate in the middle plane, over the rim.
        front_height, back_height: rim to rim of the body at its front and at its back edge.
        disc_front, disc_back: the disc below this level, rim to rim at its edges.
        pedicle_width, pedicle_height: of the narrowest section.
        pedicle_angle: degrees by which a pedicle, followed forward, approaches the middle plane.
        canal_width, canal_depth: of the vertebral canal.
        transverse_span: from tip to tip of the transverse processes (sacrum: of the wings).
        spinous_length: from the canal's rear wall to the tip.
        spinous_drop: degrees below the horizontal.
        upper_concavity, lower_concavity: depth of the endplates' hollows.
        waist: share by which the body is narrower at half its height than at its rims.
    """

    upper_width: float
    lower_width: float
    upper_depth: float
    lower_depth: float
    front_height: float
    back_height: float
    disc_front: float
    disc_back: float
    pedicle_width: float
    pedicle_height: float
    pedicle_angle: float
    canal_width: float
    canal_depth: float
    transverse_span: float
    spinous_length: float
    spinous_drop: float
    upper_concavity: float
    lower_concavity: float
    waist: float

    @property
    def height(self) -> float:
        """Mean of the heights at the front and at the back."""
        return (self.front_height + self.back_height) / 2

    @property
    def depth(self) -> float:
        """Mean depth of the two endplates."""
        return (self.upper_depth + self.lower_depth) / 2

    @property
    def disc(self) -> float:
        """Mean height of the disc below."""
        return (self.disc_front + self.disc_back) / 2


@cache
def means() -> dict[str, Dimensions]:
    """Mean sizes of C1 to S1, by level."""
    rows = {line.split()[0]: line.split()[1:] for line in _MEANS.strip().splitlines()}
    return {level: Dimensions(*map(float, rows[level])) for level in LEVELS}


@cache
def deviations() -> dict[str, Dimensions]:
    """Standard deviations between adults, in the units of the means."""
    return {level: Dimensions(**_deviation(mean)) for level, mean in means().items()}


def _deviation(mean: Dimensions) -> dict[str, float]:
    names = [field.name for field in fields(Dimensions)]
    return {n: _SPREAD_DEGREES.get(n, _SPREAD.get(n, 0.0) * getattr(mean, n)) for n in names}


def body_height(level: str) -> tuple[float, float]:
    """Mean height of a body at its (front, back) edge, mm."""
    size = means()[level]
    return size.front_height, size.back_height


def disc_height(level: str) -> tuple[float, float]:
    """Mean height of the disc below a level at its (front, back) edge, mm; (0, 0) below C1 and below the sacrum."""
    size = means()[level]
    return size.disc_front, size.disc_back


def reach(level: str) -> tuple[float, float]:
    """Distances in mm from the frame's origin (up to the upper, down to the lower) endplate, means of front and back.

    Half the height each, except for C2, whose origin is at the foot of the dens.
    """
    height = means()[level].height
    below = _AXIS_BELOW_MM if level == "C2" else height / 2
    return height - below, below


def spacing(level: str) -> float:
    """Mean distance from a level's origin to that of the level below, mm; 17.5 from C1 to C2, which has no disc.

    Raises:
        ValueError: the level is the sacrum.
    """
    index = LEVELS.index(level)
    if index == len(LEVELS) - 1:
        raise ValueError(f"{level} is the last level; no spacing below it")
    if level == "C1":
        return _ATLAS_TO_AXIS_MM
    return reach(level)[1] + means()[level].disc + reach(LEVELS[index + 1])[0]


_ATLAS_TO_AXIS_MM = 17.5
