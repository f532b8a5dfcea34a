"""Beer-Lambert against beams worked out by hand; the tube's spectrum against its laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from aasce.types import AasceError
from aasce.xray.transmission import Spectrum, transmission, tungsten_spectrum

LINE = Spectrum(np.array([60.0]), np.array([1.0]))


def of(**paths: float) -> dict[str, torch.Tensor]:
    return {name: torch.full((2, 3), path, dtype=torch.float64) for name, path in paths.items()}


def test_narrow_beam_of_one_energy_by_hand() -> None:
    # 60 keV through 10 cm of soft tissue and 1 cm of cortex, against the air they displace, in 1/cm:
    # 0.2048 * 1.06 = 0.217088, 0.3148 * 1.85 = 0.58238, 0.1875 * 0.001205 = 0.0002259.
    signal = transmission(of(soft=100.0, cortex=10.0), LINE)
    assert signal.shape == (2, 3)
    assert float(signal[0, 0]) == pytest.approx(math.exp(-2.17088 - 0.58238 + 11 * 0.0002259375), rel=1e-9)


def test_two_energies_are_weighed() -> None:
    # 2 cm of PMMA at 60 and 100 keV, weights 1/4 and 3/4: 0.1924 * 1.19 * 2 = 0.457912, 0.1641 * 1.19 * 2 = 0.390558.
    spectrum = Spectrum(np.array([60.0, 100.0]), np.array([0.25, 0.75]))
    air = [2 * 0.001205 * value for value in (0.1875, 0.1541)]
    expected = 0.25 * math.exp(-0.457912 + air[0]) + 0.75 * math.exp(-0.390558 + air[1])
    assert float(transmission(of(plastic=20.0), spectrum)[0, 0]) == pytest.approx(expected, rel=1e-9)


def test_open_beam_is_one_and_air_changes_nothing() -> None:
    spectrum = tungsten_spectrum(90, 3.0)
    assert torch.allclose(transmission(of(air=1800.0), spectrum), torch.ones(2, 3, dtype=torch.float64))
    with_air, without = (transmission(of(soft=150.0) | extra, spectrum) for extra in (of(air=1650.0), {}))
    assert torch.equal(with_air, without)


def test_beam_hardens() -> None:
    spectrum = tungsten_spectrum(90, 3.0)
    thin, thick = (
        float(-transmission(of(soft=depth), spectrum)[0, 0].log()) / depth for depth in (10.0, 300.0)
    )
    assert 0.015 < thick < thin < 0.030


def test_gradient_of_the_signal_by_hand() -> None:
    # d exp(-mu L) / dL = -mu exp(-mu L).
    maps = of(soft=50.0)
    maps["soft"].requires_grad_()
    signal = transmission(maps, LINE)
    signal.sum().backward()
    mu = 0.0217088 - 0.1875 * 0.0001205
    assert maps["soft"].grad is not None
    assert float(maps["soft"].grad[0, 0]) == pytest.approx(-mu * float(signal.detach()[0, 0]), rel=1e-9)


def test_many_pixels_in_pieces_equal_few() -> None:
    spectrum = tungsten_spectrum(80, 2.5)
    paths = torch.linspace(0, 300, 400_001, dtype=torch.float64)
    whole = transmission({"soft": paths}, spectrum)
    assert torch.equal(whole[250_000:250_010], transmission({"soft": paths[250_000:250_010]}, spectrum))


def test_few_energies_stand_for_the_whole_spectrum() -> None:
    depth = torch.linspace(0, 350, 50, dtype=torch.float64)
    body = {"soft": depth, "cortex": depth / 7}
    for kvp in (70.0, 90.0, 120.0):
        few, all_of_them = (
            transmission(body, tungsten_spectrum(kvp, 3.0, bins=bins)) for bins in (20, 10_000)
        )
        assert float((few / all_of_them - 1).abs().max()) < 0.01


def test_spectrum_hardens_with_voltage_and_filtration() -> None:
    means = [tungsten_spectrum(kvp, al).mean for kvp, al in ((70, 2.5), (100, 2.5), (100, 6.0), (125, 6.0))]
    assert means == sorted(means)
    assert float(tungsten_spectrum(100, 3.0).weights.sum()) == pytest.approx(1.0)
    assert tungsten_spectrum(100, 3.0).energies.max() < 100.0


def test_mean_photon_energy_as_in_published_spectra() -> None:
    # SpekPy 2.5, 12 degrees, the given filter and 1.5 m of air, photons above 20 keV.
    for kvp, filtration, mean in ((70, 2.5, 39.98), (80, 3.0, 44.24), (100, 3.0, 50.49), (120, 3.5, 56.58)):
        assert tungsten_spectrum(kvp, filtration, detector_g_cm2=None).mean == pytest.approx(mean, rel=0.035)


def test_characteristic_lines_only_above_the_edge() -> None:
    def share(kvp: float) -> float:
        spectrum = tungsten_spectrum(kvp, 3.0, bins=10_000, detector_g_cm2=None)
        near = np.abs(spectrum.energies - 59.3) < 0.3
        around = np.abs(spectrum.energies - 62.0) < 0.3
        return float(spectrum.weights[near].mean() / spectrum.weights[around].mean())

    assert share(69.0) < 2.0
    assert share(100.0) > 5.0


@pytest.mark.parametrize(("kvp", "filtration"), [(30.0, 3.0), (200.0, 3.0), (90.0, -1.0)])
def test_impossible_tubes_are_refused(kvp: float, filtration: float) -> None:
    with pytest.raises(AasceError, match="give"):
        tungsten_spectrum(kvp, filtration)
    with pytest.raises(AasceError, match="no map"):
        transmission({}, LINE)
