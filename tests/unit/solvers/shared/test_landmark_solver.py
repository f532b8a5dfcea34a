"""What every landmark solver does with the landmarks of an upright film."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from aasce.datasets import read_challenge
from aasce.scoring.conformal import IntervalRule, SeverityGroup
from aasce.solvers.base import FitReport, LearnedState, Localization, SolverConfig
from aasce.solvers.shared.autocrop import film_box
from aasce.solvers.shared.landmark_solver import LandmarkReading, LandmarkSolver
from aasce.types import Orientation, Radiograph
from tests.synthetic import SIZE, bent_spine, drawn_film, write_challenge

SPINE = bent_spine(30.0)


class Given(LandmarkSolver):
    """Gives known landmarks of the upright film."""

    name: ClassVar[str] = "given"
    Config: ClassVar[type[SolverConfig]] = SolverConfig
    reading: LandmarkReading | str = "nothing found"

    def networks(self, start: bool) -> nn.Module:
        return nn.Linear(1, 1)

    def read(self, film: Radiograph, spine: Any = None) -> LandmarkReading | str:
        self.read_film = film
        return self.reading

    def fit(self, train: Any, validation: Any, run: Any) -> FitReport:
        return FitReport()


class Lying(Given):
    """A localizer of films that lie on their side, bone dark."""

    def localize(self, film: Radiograph) -> Localization:
        return Localization(Orientation(1, True), unclear=True)


def reading(landmarks: Any = SPINE, **changes: Any) -> LandmarkReading:
    return LandmarkReading(landmarks, np.full(landmarks.shape[:2], 0.9), **changes)


def test_landmarks_of_a_turned_film_come_back_to_the_film_as_read() -> None:
    solver = Given()
    solver.reading, solver.localizer = reading(), Lying()
    upright = drawn_film(SPINE)
    lying = Radiograph("a", 255 - np.ascontiguousarray(np.rot90(upright)))
    found = solver.predict([lying])[0]
    assert np.array_equal(solver.read_film.pixels, upright)
    assert found.size == (SIZE[1], SIZE[0])
    assert found.landmarks is not None
    np.testing.assert_allclose(found.landmarks[..., 0], SPINE[..., 1])
    np.testing.assert_allclose(found.landmarks[..., 1], SIZE[1] - 1 - SPINE[..., 0])
    assert {"film_on_its_side", "film_negative", "spine_unclear"} <= set(found.flags)
    assert found.confidence <= 0.3


def test_flags_say_what_is_missing_and_what_leaves_the_film() -> None:
    solver = Given()
    film = Radiograph("a", drawn_film(SPINE))
    solver.reading = reading()
    assert solver.predict([film])[0].flags == ()
    solver.reading = reading(SPINE[:15])
    assert solver.predict([film])[0].flags == ("vertebra_missing",)
    filled = np.full((17, 4), 0.9)
    filled[3] = 0.0
    solver.reading = LandmarkReading(SPINE + np.array([90.0, 0.0]), filled)
    assert solver.predict([film])[0].flags == ("vertebra_missing", "curve_leaves_film")


def test_a_reason_is_a_failure() -> None:
    found = Given().predict([Radiograph("a", drawn_film(SPINE))])[0]
    assert found.failure == "nothing found"
    assert found.landmarks is None


def test_calibration_learns_from_measured_films_only(tmp_path: Path) -> None:
    films = read_challenge(write_challenge(tmp_path, [bent_spine(b) for b in (30.0, 60.0)]))
    solver = Given()
    assert solver.calibrate(films) == {}
    assert solver.learned.calibration is None
    scale, scores = (0.0, 0.0, 0.0), ((1.0,), (1.0,), (1.0,))
    group = SeverityGroup(below=None, scores=scores)
    rule = IntervalRule(definition="challenge", films=1, scales=(scale, scale, scale), groups=(group,))
    solver.learned = LearnedState(intervals=(rule,))
    solver.reading = reading(uncertainty=2.0)
    notes = solver.calibrate(films)
    assert solver.learned.calibration is not None
    assert solver.learned.intervals == ()  # they were fitted to the confidence as it was
    assert notes["validation_failed"] == 0
    assert 0 < notes["validation_smape"] < 60
    assert solver.calibrate(None) == {}


def test_the_crop_is_the_film_unless_the_spine_is_small_on_it() -> None:
    whole = (0, 0, 200, 1000)
    assert film_box((1000, 200), None) == whole
    assert film_box((1000, 200), np.array([80.0, 100, 120, 800])) == whole
    x0, y0, x1, y1 = film_box((1000, 400), np.array([180.0, 300, 220, 800]))
    assert y0 < 300
    assert y1 > 800
    assert abs((x0 + x1) / 2 - 200) < 2


def test_weights_are_saved_and_loaded(tmp_path: Path) -> None:
    solver = Given()
    solver.save(tmp_path)
    again = Given.load(tmp_path)
    assert torch.equal(again.module.weight, solver.module.weight)
