"""X-ray attenuation of the body's materials.

Mass attenuation coefficients mu/rho with coherent scattering, cm2/g, from J. H. Hubbell and S. M. Seltzer, "Tables of
X-Ray Mass Attenuation Coefficients and Mass Energy-Absorption Coefficients", NISTIR 5632 / NIST Standard Reference
Database 126: table 3 for elements, table 4 for mixtures. Between the table's energies log(mu/rho) is interpolated by a
cubic spline over log(energy): within 1 % of finer tables, where linear interpolation is 3 % too high at 25 keV.

Mixtures that are not in table 4 are the weighted sums of their elements (Bragg's rule). Compositions: cartilage and
spongiosa from ICRU Report 46 (1992), the alloys from ASTM F136 (Ti-6Al-4V) and ASTM F138 (316L steel).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

from aasce.config import nearest
from aasce.types import AasceError

ENERGIES: tuple[float, ...] = (20.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0, 150.0)
"""keV of the tables below. No material here has an absorption edge between them (that of molybdenum is at 20 keV)."""

_ELEMENTS: dict[str, tuple[float, ...]] = {
    "H": (0.3695, 0.3570, 0.3458, 0.3355, 0.3260, 0.3091, 0.2944, 0.2651),
    "C": (0.4420, 0.2562, 0.2076, 0.1871, 0.1753, 0.1610, 0.1514, 0.1347),
    "N": (0.6178, 0.3066, 0.2288, 0.1980, 0.1817, 0.1639, 0.1529, 0.1353),
    "O": (0.8651, 0.3779, 0.2585, 0.2132, 0.1907, 0.1678, 0.1551, 0.1361),
    "Na": (2.057, 0.7197, 0.3969, 0.2804, 0.2268, 0.1796, 0.1585, 0.1335),
    "Mg": (2.763, 0.9306, 0.4881, 0.3292, 0.2570, 0.1951, 0.1686, 0.1394),
    "Al": (3.441, 1.128, 0.5685, 0.3681, 0.2778, 0.2018, 0.1704, 0.1378),
    "Si": (4.464, 1.436, 0.7012, 0.4385, 0.3207, 0.2228, 0.1835, 0.1448),
    "P": (5.352, 1.700, 0.8096, 0.4916, 0.3494, 0.2324, 0.1865, 0.1432),
    "S": (6.708, 2.113, 0.9872, 0.5849, 0.4053, 0.2585, 0.2020, 0.1506),
    "Cl": (7.739, 2.425, 1.117, 0.6483, 0.4395, 0.2696, 0.2050, 0.1480),
    "K": (10.93, 3.413, 1.541, 0.8679, 0.5678, 0.3251, 0.2345, 0.1582),
    "Ca": (13.06, 4.080, 1.830, 1.019, 0.6578, 0.3656, 0.2571, 0.1674),
    "Ti": (15.85, 4.972, 2.214, 1.213, 0.7661, 0.4052, 0.2721, 0.1649),
    "V": (17.68, 5.564, 2.472, 1.347, 0.8438, 0.4371, 0.2877, 0.1682),
    "Cr": (20.38, 6.434, 2.856, 1.550, 0.9639, 0.4905, 0.3166, 0.1788),
    "Mn": (22.53, 7.141, 3.169, 1.714, 1.060, 0.5306, 0.3367, 0.1838),
    "Fe": (25.68, 8.176, 3.629, 1.958, 1.205, 0.5952, 0.3717, 0.1964),
    "Ni": (32.20, 10.34, 4.600, 2.474, 1.512, 0.7306, 0.4440, 0.2208),
    "Mo": (80.54, 28.10, 12.94, 7.037, 4.274, 1.962, 1.096, 0.4208),
}

_MIXTURES: dict[str, tuple[float, ...]] = {
    "air": (0.7779, 0.3538, 0.2485, 0.2080, 0.1875, 0.1662, 0.1541, 0.1356),
    "fat": (0.5677, 0.3063, 0.2396, 0.2123, 0.1974, 0.1800, 0.1688, 0.1500),
    "soft": (0.8230, 0.3790, 0.2688, 0.2264, 0.2048, 0.1823, 0.1693, 0.1492),
    "lung": (0.8316, 0.3815, 0.2699, 0.2270, 0.2053, 0.1826, 0.1695, 0.1493),
    "blood": (0.8428, 0.3852, 0.2715, 0.2278, 0.2057, 0.1827, 0.1695, 0.1492),
    "cortex": (4.001, 1.331, 0.6655, 0.4242, 0.3148, 0.2229, 0.1855, 0.1480),
    "plastic": (0.5714, 0.3032, 0.2350, 0.2074, 0.1924, 0.1751, 0.1641, 0.1456),
}
"""Table 4: air; adipose, soft, lung tissue, whole blood and cortical bone (ICRU-44); polymethyl methacrylate."""

_WEIGHTS: dict[str, dict[str, float]] = {
    "cartilage": {
        "H": 0.096, "C": 0.099, "N": 0.022, "O": 0.744, "Na": 0.005, "P": 0.022, "S": 0.009, "Cl": 0.003,
    },
    "marrow": {
        "H": 0.085, "C": 0.404, "N": 0.028, "O": 0.367, "Na": 0.001, "Mg": 0.001, "P": 0.034, "S": 0.002,
        "Cl": 0.002, "K": 0.001, "Ca": 0.074, "Fe": 0.001,
    },
    "titanium": {"Ti": 0.90, "Al": 0.06, "V": 0.04},
    "steel": {"Fe": 0.65, "Cr": 0.175, "Ni": 0.125, "Mo": 0.025, "Mn": 0.0175, "Si": 0.0075},
    "aluminium": {"Al": 1.0},
}  # fmt: skip

DENSITY: dict[str, float] = {
    "air": 0.001205,
    "fat": 0.95,
    "soft": 1.06,
    "lung": 0.26,
    "blood": 1.06,
    "cartilage": 1.10,
    "marrow": 1.18,
    "cortex": 1.85,
    "titanium": 4.43,
    "steel": 8.0,
    "plastic": 1.19,
    "aluminium": 2.699,
}
"""g/cm3 by material: NIST's table 2, except lung (inflated, ICRU-46) and cortex (1.85, with its pores); ICRU-46 for
cartilage and marrow (spongiosa); data sheets for the alloys."""

MATERIALS: tuple[str, ...] = tuple(DENSITY)
"""Names of materials that a mesh may be made of."""


def check_material(name: str) -> None:
    """Raises AasceError, with the nearest known name, for an unknown material."""
    if name not in DENSITY:
        raise AasceError(
            f"material {name!r}: is unknown{nearest(name, MATERIALS)}; known: {', '.join(MATERIALS)}"
        )


def mass_attenuation(material: str, energies: ArrayLike) -> NDArray[np.float64]:
    """mu/rho in cm2/g at energies (E,) keV.

    Raises:
        AasceError: an unknown material, or an energy outside 20 to 150 keV.
    """
    energies = np.asarray(energies, dtype=np.float64)
    if energies.size and not (energies.min() >= ENERGIES[0] and energies.max() <= ENERGIES[-1]):
        raise AasceError(
            f"energies of {energies.min():g} to {energies.max():g} keV: the tables hold 20 to 150 keV"
        )
    values: NDArray[np.float64] = np.exp(_spline(material)(np.log(energies)))
    return values


def linear_attenuation(material: str, energies: ArrayLike) -> NDArray[np.float64]:
    """mu in 1/mm at energies (E,) keV, for the material's usual density."""
    return mass_attenuation(material, energies) * (DENSITY[material] / 10)


@cache
def _spline(material: str) -> CubicSpline:
    check_material(material)
    if material in _MIXTURES:
        values = np.array(_MIXTURES[material])
    else:
        weights = _WEIGHTS[material]
        values = np.array(list(weights.values())) @ np.array([_ELEMENTS[name] for name in weights])
    return CubicSpline(np.log(ENERGIES), np.log(values))
