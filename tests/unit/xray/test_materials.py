"""Attenuation coefficients against the printed tables and against one another."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.types import AasceError
from aasce.xray.materials import DENSITY, ENERGIES, MATERIALS, linear_attenuation, mass_attenuation

PHANTOM = (
    "air",
    "fat",
    "soft",
    "lung",
    "blood",
    "cartilage",
    "marrow",
    "cortex",
    "titanium",
    "steel",
    "plastic",
)


def test_every_material_of_the_phantom_falls_with_energy() -> None:
    energies = np.linspace(20, 150, 400)
    for name in PHANTOM:
        assert name in MATERIALS
        assert (np.diff(mass_attenuation(name, energies)) < 0).all()


@pytest.mark.parametrize(
    ("name", "at_60"),
    [("soft", 0.2048), ("cortex", 0.3148), ("fat", 0.1974), ("air", 0.1875), ("aluminium", 0.2778)],
)
def test_printed_values(name: str, at_60: float) -> None:
    assert float(mass_attenuation(name, [60.0])[0]) == pytest.approx(at_60, rel=1e-9)
    assert float(linear_attenuation(name, [60.0])[0]) == pytest.approx(at_60 * DENSITY[name] / 10, rel=1e-9)


def test_braggs_rule_by_hand() -> None:
    # Ti-6Al-4V at 50 keV: 0.90 * 1.213 + 0.06 * 0.3681 + 0.04 * 1.347.
    assert float(mass_attenuation("titanium", [50.0])[0]) == pytest.approx(
        1.0917 + 0.022086 + 0.05388, rel=1e-9
    )


def test_between_the_energies_of_the_table() -> None:
    # Absorption falls as E^-3 beside a scattering that hardly changes: through the table's values at 20 and 30 keV
    # that gives 0.5151 cm2/g for soft tissue and 2.149 for cortex at 25 keV, where straight lines between the
    # logarithms read 0.536 and 2.185.
    for name, by_hand in (("soft", 0.5151), ("cortex", 2.149)):
        assert float(mass_attenuation(name, [25.0])[0]) == pytest.approx(by_hand, rel=0.02)


def test_outside_the_tables_is_refused() -> None:
    assert ENERGIES[0] == 20.0
    with pytest.raises(AasceError, match="20 to 150 keV"):
        mass_attenuation("soft", [10.0])
    with pytest.raises(AasceError, match="did you mean 'marrow'"):
        mass_attenuation("marow", [60.0])
