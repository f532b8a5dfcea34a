"""Bent training samples: where the settings ask for it, landmarks and film together."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.geometry.cobb import tilts
from aasce.solvers.vertebra_field.films import FieldSample
from aasce.solvers.vertebra_field.settings import AugmentSettings, BendSettings, VertebraFieldConfig
from aasce.solvers.vertebra_field.task import FieldSampler
from tests.conftest import straight_spine
from tests.synthetic import drawn_film

SIZE = (950, 400)


def sampler(share: float) -> FieldSampler:
    augment = AugmentSettings(
        intensity=0.0, bend=BendSettings(share=share, degrees=10.0), rotation=0.0, shift=0.0, stretch=0.0
    )
    config = VertebraFieldConfig.tiny().model_copy(update={"augment": augment})
    return FieldSampler(config, [FieldSample(drawn_film(straight_spine(), SIZE), straight_spine())], [])


@pytest.mark.parametrize("fine", [True, False])
def test_a_share_of_1_bends_every_sample_and_of_0_none(fine: bool) -> None:
    for seed in range(3):
        plain, bent, again = (
            sampler(share).draw(0, fine, np.random.default_rng(seed)) for share in (0.0, 1.0, 1.0)
        )
        np.testing.assert_array_equal(bent["corners"], again["corners"])
        np.testing.assert_array_equal(bent["image"], again["image"])
        assert np.ptp(tilts(plain["corners"])) < 0.1
        assert np.ptp(tilts(bent["corners"])) > 1


def test_without_a_share_samples_are_what_they_were() -> None:
    """Not even a number is drawn, so that training repeats that of earlier versions."""
    before, after = np.random.default_rng(0), np.random.default_rng(0)
    image, landmarks = np.zeros((704, 288), np.uint8), straight_spine()
    same, kept = sampler(0.0)._bent(image, landmarks, after)
    assert same is image
    assert kept is landmarks
    assert before.random() == after.random()
