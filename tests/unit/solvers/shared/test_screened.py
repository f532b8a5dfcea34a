"""Every solver's answer on a screenshot is flagged and of little confidence."""

from __future__ import annotations

import numpy as np

from aasce.solvers.shared.screened import screened
from aasce.types import Radiograph, SpinePrediction


def test_a_drawn_picture_gets_flags_and_little_confidence() -> None:
    pixels = np.zeros((1000, 500), np.uint8)
    for k in range(20):
        pixels[20 + 48 * k : 50 + 48 * k, 150:350] = 200
    found = SpinePrediction("a", (1000, 500), confidence=0.85, flags=("spine_unclear", "vertebra_missing"))
    seen = screened(Radiograph("a", pixels), found)
    assert seen.flags == ("spine_unclear", "vertebra_missing", "not_a_radiograph")
    assert seen.confidence == 0.3


def test_a_film_keeps_its_prediction() -> None:
    pixels = np.random.default_rng(0).normal(120, 12, (1000, 500)).astype(np.uint8)
    found = SpinePrediction("a", (1000, 500), confidence=0.85)
    assert screened(Radiograph("a", pixels), found) is found
