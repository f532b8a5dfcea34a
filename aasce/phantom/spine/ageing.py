"""Changes of the spine with age: osteophytes, fractures, thinner bone, lower discs.

Rates are rounded from epidemiological studies:

- Fractures: 5.4 % of Americans over 40 have one on lateral images, under 5 % before 60, 11 % at 70 to 79, 18 % from 80
  (Cosman et al., NHANES 2013-14, Osteoporos Int 2017;28:1857), mostly at T7-T8 and T12-L1, wedges first, grade 1 first
  (Melton et al., Am J Epidemiol 1989;129:1000). Grades and types after Genant et al., J Bone Miner Res 1993;8:1137.
- Osteophytes: the first at 20 to 30 years, some in all spines from 40 years on, of 3 mm and more in most spines at 80;
  in the thorax more on the right side than on the left, where the aorta lies (Nathan, J Bone Joint Surg Am
  1962;44:243).
- Discs: their heights at the front decrease with age in the thorax (Fletcher et al., Eur Spine J 2015, CT of 128
  persons); narrowed discs are common from 50 years on at C5-C7 and L4-S1.
- Density of cancellous bone decreases by about half between 30 and 80 years, thickness of the cortex by a quarter
  (Riggs et al., J Bone Miner Res 2004;19:1945).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from aasce.phantom.spine.pose import LEVELS

FractureType = Literal["wedge", "biconcave", "crush"]

GENANT: tuple[tuple[float, float], ...] = ((0.0, 0.20), (0.20, 0.25), (0.25, 0.40), (0.40, 0.75))
"""Share of height lost at grades 0 to 3 (Genant et al., J Bone Miner Res 1993;8:1137)."""

_FRACTURE_AGES = (20.0, 40.0, 55.0, 65.0, 75.0, 85.0, 95.0)
_FRACTURE_RATES = (0.0, 0.015, 0.035, 0.06, 0.11, 0.18, 0.24)
"""Share of persons with at least one fracture, at these ages."""

_FRACTURES_EACH = 1.7
"""Mean number of fractures of a person who has any."""

_WHERE = {
    **{
        "T3": 0.3,
        "T4": 0.5,
        "T5": 0.8,
        "T6": 1.3,
        "T7": 2.0,
        "T8": 2.0,
        "T9": 1.3,
        "T10": 1.0,
        "T11": 1.6,
        "T12": 2.8,
    },
    **{"L1": 3.0, "L2": 1.7, "L3": 1.3, "L4": 0.9, "L5": 0.4},
}
"""Relative frequency of fractures by level."""

_TYPES = (("wedge", 0.56), ("biconcave", 0.28), ("crush", 0.16))
_GRADES = (0.58, 0.30, 0.12)


def fracture_rate(level: str, age: float) -> float:
    """Probability that a vertebra is fractured; 0 from C1 to T2 and for the sacrum."""
    share = _WHERE.get(level, 0.0) / sum(_WHERE.values())
    return float(np.interp(age, _FRACTURE_AGES, _FRACTURE_RATES)) * _FRACTURES_EACH * share


def draw_fracture(rng: np.random.Generator) -> dict[str, Any]:
    """Draws grade (1 to 3), type and loss of height of one fracture, by the names of `VertebraShape`."""
    grade = int(rng.choice(3, p=_GRADES)) + 1
    low, high = GENANT[grade]
    kind = str(rng.choice([name for name, _ in _TYPES], p=[share for _, share in _TYPES]))
    loss = float(rng.uniform(low, min(high, 0.6)))
    return {"fracture_grade": grade, "fracture_type": kind, "fracture_loss": loss}


def draw_osteophytes(level: str, rng: np.random.Generator, age: float) -> dict[str, float]:
    """Draws the sizes in mm of the osteophytes at six places of the rims, by the names of `VertebraShape`."""
    burden = float(np.clip((age - 25) / 55, 0, 1.1))
    place = {"C": 0.7, "T": 0.8, "L": 1.0, "S": 0.5}[level[0]]
    if level in ("C5", "C6", "T8", "T9", "T10", "L3", "L4", "L5"):
        place *= 1.4
    right = 1.5 if level[0] == "T" and int(level[1:]) >= 4 else 1.0
    mean = {"right": 1.1 * right, "left": 1.1 / right, "front": 1.6}
    return {
        f"lip_{plate}_{side}": float(min(rng.gamma(0.9, burden**1.5 * place * m + 1e-9), 7.0))
        for plate in ("superior", "inferior")
        for side, m in mean.items()
    }


def signs_of_age(level: str, rng: np.random.Generator, age: float, cortex: float = 1.0) -> dict[str, Any]:
    """Draws the numbers of a `VertebraShape` that depend on age.

    Args:
        level: "C1" to "S1".
        rng: source of every draw.
        age: years.
        cortex: factor on the thickness of the cortex that this vertebra would have at 30 years.
    """
    loss = float(np.clip((age - 30) / 50, 0, 1.2))
    out: dict[str, Any] = dict(draw_osteophytes(level, rng, age)) if level != "C1" else {}
    out["cortex"] = float(np.clip(cortex * (1 - 0.25 * loss), 0.3, 2.0))
    density = (1 - 0.5 * loss) * np.exp(0.15 * rng.standard_normal())
    out["marrow_density"] = float(np.clip(density, 0.35, 1.5))
    if rng.random() < fracture_rate(level, age):
        out |= draw_fracture(rng)
    return out


def draw_disc_factors(rng: np.random.Generator, age: float) -> dict[str, float]:
    """Draws a factor on the height of the disc below each level, C2 to L5.

    It is about 1 in a healthy adult, more before growth ends, and less for worn discs.
    """
    young = float(np.clip((20 - age) / 8, 0, 1))
    worn = float(np.clip((age - 40) / 50, 0, 1))
    out = {}
    for level in LEVELS[1:-1]:
        prone = level in ("C5", "C6", "L4", "L5")
        factor = (1 + 0.10 * young) * (1 - 0.10 * worn) * float(np.exp(0.07 * rng.standard_normal()))
        if rng.random() < worn * (0.5 if prone else 0.15):
            factor *= float(rng.uniform(0.3, 0.8))
        out[level] = float(np.clip(factor, 0.2, 1.4))
    return out
