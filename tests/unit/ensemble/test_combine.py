"""Weighted means by hand; failed members; what is kept for the overlay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aasce.ensemble import Measurement, MemberShare, blend, combine, with_angles
from aasce.geometry.cobb import cobb_angles
from aasce.geometry.spine import turn_points, turned_size
from aasce.types import AasceError, CobbAngles, Definition, Orientation, SpinePrediction
from tests.conftest import straight_spine

SIZE = (1000, 400)
TILTS = np.array([0, 10, 20, 10, 0, -10, -20, -10, 0, 10, 5, 0, -5, -9, 0, 4, 0.0])
"""Degrees of 17 vertebrae: an S whose third angle depends on the height of the film."""


def regressed(
    solver: str, *degrees: float, confidence: float = 1.0, definition: Definition = "challenge"
) -> SpinePrediction:
    angles = CobbAngles(np.array(degrees), definition)
    return SpinePrediction("f", SIZE, angles=angles, solver=solver, confidence=confidence)


def failed(solver: str, reason: str = "no spine") -> SpinePrediction:
    return SpinePrediction("f", SIZE, solver=solver, failure=reason, flags=("blank",))


def landmarked(solver: str = "points", first_level: int = 0) -> SpinePrediction:
    """One curve of 30 degrees: tilts fall evenly from 15 to -15."""
    points = straight_spine(17, np.linspace(15.0, -15.0, 17))
    return SpinePrediction(
        "f", SIZE, landmarks=points, solver=solver, confidence=0.5, first_level=first_level
    )


def degrees_of(measurement: Measurement) -> list[float]:
    assert measurement.angles is not None
    return list(measurement.angles.degrees)


def test_with_angles_takes_regressed_angles_and_else_measures_landmarks() -> None:
    assert degrees_of(with_angles(regressed("a", 3.0, 2.0, 1.0))) == [3.0, 2.0, 1.0]
    measured = with_angles(landmarked())
    assert measured.angles is not None
    assert measured.angles.degrees[0] == pytest.approx(30.0, abs=1e-4)
    assert measured.angles.end_vertebrae[0] == (0, 16)
    assert with_angles(landmarked(), "clinical").angles is not None


def test_with_angles_uses_the_height_of_the_film() -> None:
    points = straight_spine(17, TILTS)
    for height in (500, 5000):
        prediction = SpinePrediction("f", (height, 400), landmarks=points)
        assert degrees_of(with_angles(prediction)) == list(cobb_angles(points, height).degrees)
    low, high = cobb_angles(points, 500).degrees, cobb_angles(points, 5000).degrees
    assert low[2] != pytest.approx(high[2])


@pytest.mark.parametrize("definition", ["challenge", "clinical"])
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_landmarks_of_a_film_that_lay_turned_are_measured_upright(turns: int, definition: Definition) -> None:
    upright = SpinePrediction("f", SIZE, landmarks=straight_spine(17, TILTS))
    turned = replace(
        upright,
        landmarks=turn_points(upright.landmarks, SIZE, -turns),
        size=turned_size(SIZE, turns),
        orientation=Orientation(turns),
    )
    found, expected = with_angles(turned, definition).angles, with_angles(upright, definition).angles
    assert found is not None
    assert expected is not None
    np.testing.assert_allclose(found.degrees, expected.degrees, atol=1e-3)
    assert found.end_vertebrae == expected.end_vertebrae


def test_landmarks_are_measured_turned_as_the_prediction_says_and_no_other_way() -> None:
    """Taken as they lie, the challenge's rule sees the spine upside down and takes another third angle."""
    upright = SpinePrediction("f", SIZE, landmarks=straight_spine(17, TILTS))
    turned = replace(upright, landmarks=turn_points(upright.landmarks, SIZE, 2))
    assert degrees_of(with_angles(turned)) != pytest.approx(degrees_of(with_angles(upright)), abs=1.0)


def test_with_angles_of_the_other_definition_needs_landmarks() -> None:
    with pytest.raises(AasceError, match="'challenge' definition; ask for that definition"):
        with_angles(regressed("a", 3.0, 2.0, 1.0), "clinical")
    both = replace(landmarked(), angles=CobbAngles(np.array([1.0, 1.0, 1.0]), "challenge"))
    measured = with_angles(both, "clinical")
    assert measured.angles is not None
    assert measured.angles.definition == "clinical"
    assert measured.angles.degrees[0] == pytest.approx(30.0, abs=1e-4)


def test_with_angles_keeps_a_failure_and_finds_others() -> None:
    assert with_angles(failed("a")).failure == "no spine"
    assert with_angles(SpinePrediction("f", SIZE)).failure == "the solver gave neither angles nor landmarks"
    short = replace(landmarked(), landmarks=straight_spine(1))
    assert "cannot be measured: landmarks have shape" in str(with_angles(short).failure)
    assert with_angles(regressed("a", np.nan, 1.0, 1.0)).failure == "an angle is not finite"
    for measurement in (with_angles(failed("a")), with_angles(short)):
        assert measurement.angles is None


def test_an_angle_regressed_below_zero_is_zero() -> None:
    assert degrees_of(with_angles(regressed("a", 3.0, -0.2, 0.0))) == [3.0, 0.0, 0.0]


def test_combine_is_the_weighted_mean() -> None:
    """(3 * (40, 20, 10) + 1 * (20, 0, 2)) / 4, and so for the confidence."""
    result = combine(
        [regressed("a", 40, 20, 10, confidence=0.8), regressed("b", 20, 0, 2, confidence=0.4)], [3, 1]
    )
    assert degrees_of(result) == pytest.approx([35.0, 15.0, 8.0])
    assert result.prediction.confidence == pytest.approx(0.7)
    assert result.prediction.solver == "ensemble"
    assert result.members == (
        MemberShare("a", 0.75, degrees=(40, 20, 10)),
        MemberShare("b", 0.25, degrees=(20, 0, 2)),
    )
    assert result.spread.tolist() == [10, 10, 4]  # (40 - 20) / 2, ...
    assert result.failure is None


def test_a_failed_member_is_dropped_and_the_weights_renormalised() -> None:
    members = [regressed("a", 40, 20, 10), failed("b"), regressed("c", 10, 5, 4)]
    result = combine(members, [2, 5, 1])
    assert degrees_of(result) == pytest.approx([30.0, 15.0, 8.0])
    assert [share.weight for share in result.members] == pytest.approx([2 / 3, 0, 1 / 3])
    assert result.members[1].failure == "no spine"
    assert result.prediction.flags == ("member_failed:b",)


def test_when_all_fail_the_film_fails_with_every_reason() -> None:
    result = combine([failed("a", "blank"), regressed("b", 1, 1, 1), failed("c")], [1, 0, 1])
    assert result.angles is None
    assert result.failure == "every member failed: a: blank; b: has weight 0; c: no spine"
    assert result.prediction.film_id == "f"
    assert result.prediction.flags == ("blank",)


def test_landmarks_of_the_successful_member_of_most_weight_that_has_some_are_kept() -> None:
    light, heavy = landmarked("light", first_level=0), landmarked("heavy", first_level=0)
    heavy = replace(heavy, landmarks=straight_spine(17, np.linspace(10.0, -10.0, 17)))
    result = combine([regressed("a", 40, 20, 10), light, heavy], [5, 1, 2])
    assert result.prediction.landmarks is heavy.landmarks
    assert result.angles is not None
    assert result.angles.end_vertebrae[0] == (0, 16)
    assert result.angles.degrees[0] == pytest.approx((5 * 40 + 1 * 30 + 2 * 20) / 8, abs=1e-3)
    only = combine([regressed("a", 40, 20, 10), light], [1, 0])
    assert only.prediction.landmarks is light.landmarks
    assert degrees_of(only) == [40.0, 20.0, 10.0]


def test_two_runs_of_one_solver_are_distinguished_by_name() -> None:
    result = combine([failed("a"), regressed("a", 1, 1, 1)], [1, 1], names=["run1", "run2"])
    assert result.prediction.flags == ("member_failed:run1",)


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [1.0, np.nan]])
def test_wrong_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match=r"has one of each|not negative"):
        combine([regressed("a", 1, 1, 1), regressed("b", 1, 1, 1)], weights)


def test_different_films_are_not_combined() -> None:
    with pytest.raises(ValueError, match="different films"):
        combine([regressed("a", 1, 1, 1), replace(regressed("b", 1, 1, 1), film_id="g")], [1, 1])


def test_blend_does_what_combine_does() -> None:
    members = np.array([[[40.0, 20, 10], [6, 5, 4]], [[20.0, 0, 2], [np.nan] * 3]])
    assert blend(members, [3, 1]).tolist() == [[35.0, 15.0, 8.0], [6.0, 5.0, 4.0]]
    assert np.isnan(blend(members, [0, 1])[1]).all()


def test_a_member_far_from_the_others_is_dropped_and_the_film_flagged() -> None:
    predictions = [
        regressed("a", 20.0, 5.0, 1.0),
        regressed("b", 41.0, 9.0, 3.0),
        regressed("c", 22.0, 7.0, 2.0),
    ]
    near = combine(predictions, (0.6, 0.3, 0.2), max_disagreement_deg=20.0)
    assert degrees_of(near) == pytest.approx([(0.6 * 20 + 0.2 * 22) / 0.8, (3.0 + 1.4) / 0.8, 1.0 / 0.8])
    assert near.prediction.flags == ("members_disagree",)
    assert [share.weight for share in near.members] == pytest.approx([6 / 8, 0, 2 / 8])
    far = combine(predictions, (0.6, 0.3, 0.2), max_disagreement_deg=21.5)
    assert degrees_of(far)[0] == pytest.approx((0.6 * 20 + 0.3 * 41 + 0.2 * 22) / 1.1)
    assert far.prediction.flags == ()


def test_of_two_the_one_with_more_weight_counts_and_a_failed_one_never_does() -> None:
    pair = [regressed("a", 20.0, 5.0, 1.0), regressed("b", 50.0, 9.0, 3.0)]
    assert degrees_of(combine(pair, (0.7, 0.3), max_disagreement_deg=20.0))[0] == 20.0
    assert degrees_of(combine(pair, (0.3, 0.7), max_disagreement_deg=20.0))[0] == 50.0
    alone = combine([failed("a"), pair[1]], (0.7, 0.3), max_disagreement_deg=20.0)
    assert degrees_of(alone)[0] == 50.0
    assert "members_disagree" not in alone.prediction.flags


def test_of_two_equal_members_that_disagree_neither_is_dropped_but_the_film_is_flagged() -> None:
    pair = [regressed("a", 50.0, 9.0, 3.0), regressed("b", 20.0, 5.0, 1.0)]
    torn = combine(pair, (0.5, 0.5), max_disagreement_deg=20.0)
    assert degrees_of(torn) == pytest.approx([35.0, 7.0, 2.0])
    assert torn.prediction.flags == ("members_disagree",)
    assert [share.weight for share in torn.members] == [0.5, 0.5]
    third = regressed("c", 52.0, 9.0, 3.0)
    assert degrees_of(combine([*pair, third], (1, 1, 1), max_disagreement_deg=20.0))[0] == pytest.approx(51.0)
    # Four equal ones: the median lies between 21 and 50, and each member is measured from its nearer end.
    four = [*pair, third, regressed("d", 21.0, 5.0, 1.0)]
    assert degrees_of(combine(four, (1, 1, 1, 1), max_disagreement_deg=20.0))[0] == pytest.approx(
        (50 + 20 + 52 + 21) / 4
    )


def test_many_films_are_blended_as_one_is() -> None:
    rng = np.random.default_rng(0)
    angles = rng.uniform(5, 60, (3, 40, 3))
    angles[rng.random((3, 40)) < 0.2] = np.nan
    weights = (0.5, 0.2, 0.3)
    mixed = blend(angles, weights, 15.0)
    for film in range(40):
        predictions = [
            failed(name) if np.isnan(row).any() else regressed(name, *row)
            for name, row in zip("abc", angles[:, film], strict=True)
        ]
        one = combine(predictions, weights, max_disagreement_deg=15.0).angles
        if one is None:
            assert np.isnan(mixed[film]).all()
        else:
            assert mixed[film] == pytest.approx(one.degrees)
