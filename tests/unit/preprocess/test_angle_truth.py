"""Augmentation is angle-true: what turns or mirrors a film keeps its Cobb angles, what stretches it does not.

One spine serves all tests. Its tilts run -10 at T1, 25 at T6, -20 at L1, 0 at L5 degrees, evenly in between, so
that by hand the challenge's angles are 25 + 20 = 45 (T6-L1), 25 + 10 = 35 (T1-T6) and 20 + 0 = 20 (L1-L5): the
spine is S-shaped and its main curve lies above the middle of the film (310 + 660 + 40 < 1100).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import albumentations as A
import numpy as np
import pytest
from numpy.typing import NDArray

from aasce.geometry.cobb import cobb_angles, spine_shape, tilts
from aasce.preprocess.augment import augment
from aasce.preprocess.augment_angles import Stretch, random_stretch
from aasce.solvers.shared.samples import AugmentSettings, Sample, Warper, shrunk
from tests.conftest import straight_spine

FILM = (1100, 400)
LEVELS, DEGREES = (0, 5, 12, 16), (-10.0, 25.0, -20.0, 0.0)
TILT = np.interp(np.arange(17), LEVELS, DEGREES)
SPINE = straight_spine(tilt=TILT)
ANGLES = (45.0, 35.0, 20.0)
STILL = {
    "bend_share": 0.0,
    "small_share": 0.0,
    "mirror_share": 0.0,
    "rotation_share": 0.0,
    "small_rotation": 0.0,
    "scale": (1.0, 1.0),
    "shift": 0.0,
}
"""Settings under which a sample is the letterboxed film."""


def stretched_angles(ratio: float) -> list[float]:
    """The three angles after y was stretched `ratio` times as much as x: tan(tilt') = ratio tan(tilt)."""
    t1, t6, l1, l5 = np.degrees(np.arctan(ratio * np.tan(np.radians(DEGREES))))
    return [t6 - l1, t6 - t1, l5 - l1]


def sample() -> Sample:
    """The film as it is kept in memory: reduced to 640 rows."""
    view = shrunk(FILM, 640)
    return Sample(np.zeros((*view.size, 1), np.uint8), view.apply(SPINE), np.array(ANGLES), view, FILM[0])


Drawn = tuple[NDArray[np.float64], NDArray[np.float64], Any]


def drawn(count: int = 1, **settings: object) -> Iterator[Drawn]:
    """Of `count` samples the landmarks on the canvas, the label, and how the film was changed."""
    warper = Warper((512, 256), AugmentSettings.model_validate({**STILL, **settings}), small=False)
    for seed in range(count):
        _, landmarks, label = warper.draw(sample(), np.random.default_rng(seed))
        yield landmarks, label, warper.warp.get_applied_params()["change"]


def test_the_spine_is_the_one_described() -> None:
    assert spine_shape(SPINE) == "S"
    assert cobb_angles(SPINE, FILM[0]).degrees == pytest.approx(ANGLES, abs=1e-5)


def test_a_film_rotated_by_20_degrees_keeps_its_angles() -> None:
    turn = A.Affine(rotate=(20, 20), scale=1.0, fit_output=True, p=1.0)
    pipeline = A.Compose([turn], keypoint_params=A.KeypointParams(format="xy", remove_invisible=False))
    film, moved = augment(pipeline, np.zeros(FILM, np.uint8), SPINE)
    assert np.abs(tilts(moved) - TILT) == pytest.approx(20.0, abs=1e-3)
    for definition in ("challenge", "clinical"):
        before = cobb_angles(SPINE, FILM[0], definition).degrees  # type: ignore[arg-type]
        after = cobb_angles(moved, film.shape[0], definition).degrees  # type: ignore[arg-type]
        assert after == pytest.approx(before, abs=1e-3)


def test_labels_stay_under_turns_of_up_to_20_degrees() -> None:
    turns = []
    for landmarks, label, _ in drawn(40, rotation=20.0, rotation_share=1.0):
        turn = tilts(landmarks) - TILT
        assert turn == pytest.approx(turn[0], abs=1e-3)
        assert label == pytest.approx(ANGLES, abs=0)
        measured = cobb_angles(landmarks, 512, "clinical").degrees
        assert measured == pytest.approx(cobb_angles(SPINE, FILM[0], "clinical").degrees, abs=2e-3)
        turns.append(float(turn[0]))
    assert min(turns) < -18
    assert max(turns) > 18


def test_a_mirrored_film_keeps_its_angles() -> None:
    (plain, _, _), (landmarks, label, _) = *drawn(), *drawn(mirror_share=1.0)
    assert tilts(landmarks) == pytest.approx(-tilts(plain), abs=1e-3)
    assert label == pytest.approx(ANGLES, abs=0)
    scale = 640 / 1100 * 0.8  # film to sample to canvas, both letterboxed by their rows
    assert cobb_angles(landmarks, round(FILM[0] * scale)).degrees == pytest.approx(ANGLES, abs=2e-3)


@pytest.mark.parametrize(("across", "down"), [(1.0, 1.5), (1.5, 1.0), (1.0, 0.8), (1.2, 1.2)])
def test_a_stretched_film_has_the_angles_of_the_formula(across: float, down: float) -> None:
    stretched = Stretch(((FILM[1] - 1) / 2, (FILM[0] - 1) / 2), (across, down)).apply(SPINE)
    expected = stretched_angles(down / across)
    assert cobb_angles(stretched, FILM[0]).degrees == pytest.approx(expected, abs=1e-4)
    # The same holds on the stretched film with its own number of rows.
    grown = SPINE * np.array([across, down])
    assert cobb_angles(grown, round(FILM[0] * down)).degrees == pytest.approx(expected, abs=1e-4)
    if across != down:
        assert abs(expected[0] - ANGLES[0]) > 5


def test_labels_follow_the_formula_when_films_are_stretched() -> None:
    ratios = []
    for landmarks, label, change in drawn(20, stretch=0.4):
        across, down = change.factors
        assert across * down == pytest.approx(1.0)
        assert label == pytest.approx(stretched_angles(down / across), abs=1e-3)
        # The label was measured on the landmarks that come with it.
        assert cobb_angles(landmarks, 512, "clinical").degrees[0] == pytest.approx(label[0], abs=2e-3)
        ratios.append(down / across)
    assert min(ratios) < 0.85
    assert max(ratios) > 1.2
    assert all(1 / 1.4 <= ratio <= 1.4 for ratio in ratios)


def test_without_a_stretch_the_label_is_the_one_given() -> None:
    for landmarks, label, change in drawn(3):
        assert change is None
        assert label == pytest.approx(ANGLES, abs=0)
        assert tilts(landmarks) == pytest.approx(TILT, abs=1e-3)


def test_a_stretched_film_may_be_bent_too() -> None:
    """The label is that of the landmarks after both, undone from the canvas."""
    kinds = set()
    for landmarks, label, change in drawn(8, stretch=0.3, bend_share=0.5):
        kinds.add(change.bend is None)
        assert cobb_angles(landmarks, 512, "clinical").degrees[0] == pytest.approx(label[0], abs=0.05)
        points = np.array([[150.0, 80.0], [210.0, 400.0], [190.0, 600.0]])
        assert change.undo(change.apply(points)) == pytest.approx(points, abs=0.05)
    assert kinds == {True, False}


def test_no_stretch_is_asked_for_by_default() -> None:
    assert AugmentSettings().stretch == 0
    drawn_ratio = random_stretch(FILM, 0.0, np.random.default_rng(0)).factors
    assert drawn_ratio == (1.0, 1.0)
