"""Metal in training samples: where the settings ask for it, with the labels of the film."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from aasce.preprocess.intensity import Bytes
from aasce.solvers.vertebra_field.films import FieldSample
from aasce.solvers.vertebra_field.settings import AugmentSettings, HardwareSettings, VertebraFieldConfig
from aasce.solvers.vertebra_field.task import FieldSampler
from aasce.types import Array
from tests.conftest import straight_spine
from tests.synthetic import drawn_film

SIZE = (950, 400)


def sampler(share: float) -> FieldSampler:
    augment = AugmentSettings(
        intensity=0.0, hardware=HardwareSettings(share=share, kinds=("posterior",)), rotation=0.0, shift=0.0
    )
    config = VertebraFieldConfig.tiny().model_copy(update={"augment": augment})
    return FieldSampler(config, [FieldSample(drawn_film(straight_spine(), SIZE), straight_spine())], [])


def whitened(film: Bytes, landmarks: Array, rng: np.random.Generator, kinds: Sequence[str]) -> Bytes:
    """Stands for metal all over the film."""
    assert kinds == ("posterior",)
    return np.full_like(film, 255)


@pytest.mark.parametrize("fine", [True, False])
def test_a_share_of_1_reaches_every_sample_and_of_0_none(fine: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aasce.phantom.devices.on_film.hardware.with_hardware", whitened)
    for seed in range(3):
        plain, metal, again = (
            sampler(share).draw(0, fine, np.random.default_rng(seed))["image"] for share in (0.0, 1.0, 1.0)
        )
        np.testing.assert_array_equal(metal, again)
        assert len(np.unique(metal[0, ::4, 80])) < len(np.unique(plain[0, ::4, 80]))


def test_metal_changes_pixels_and_no_label() -> None:
    at_hand = sampler(1.0)
    sample = at_hand.samples[0]
    drawn = at_hand._implanted(sample, np.random.default_rng(0))
    assert (drawn.pixels != sample.pixels).any()
    assert drawn.landmarks is sample.landmarks
    assert (drawn.source, drawn.named) == (sample.source, sample.named)
    assert drawn.pixels.shape == sample.pixels.shape


def test_without_a_share_samples_are_what_they_were() -> None:
    """Not even a number is drawn, so that training repeats that of earlier versions."""
    before, after = np.random.default_rng(0), np.random.default_rng(0)
    assert sampler(0.0)._implanted(sampler(0.0).samples[0], after) is not None
    assert before.random() == after.random()


def test_about_the_share_of_the_samples_has_metal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aasce.phantom.devices.on_film.hardware.with_hardware", whitened)
    at_hand, rng = sampler(0.25), np.random.default_rng(0)
    sample = at_hand.samples[0]
    changed = sum(at_hand._implanted(sample, rng) is not sample for _ in range(60))
    assert 8 <= changed <= 23


def test_an_unknown_kind_and_no_kind_are_refused() -> None:
    for kinds in (["screws"], []):
        with pytest.raises(ValueError, match="kinds"):
            HardwareSettings.model_validate({"kinds": kinds})
