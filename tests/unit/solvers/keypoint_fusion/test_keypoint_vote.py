"""Quality check, vote and average of `keypoint_fusion`."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from aasce.geometry.cobb import cobb_angles
from aasce.solvers.keypoint_fusion.fusion import (
    ONE_ALONE,
    Candidate,
    agreeing,
    angles_between,
    fuse,
    reliable,
    side_difference,
    vote,
)
from aasce.solvers.keypoint_fusion.settings import Fusion
from tests.synthetic import SIZE, bent_spine

Floats = NDArray[np.float64]
HEIGHT = SIZE[0]


def candidate(landmarks: Floats, method: Fusion = "method1") -> Candidate:
    return Candidate(method, landmarks, np.ones(landmarks.shape[:2]))


def three(*bends: float) -> list[Candidate]:
    methods: tuple[Fusion, ...] = ("method1", "method2", "method2_squeezed")
    return [candidate(bent_spine(b), m) for b, m in zip(bends, methods, strict=True)]


def test_sides_of_a_rectangle_do_not_differ() -> None:
    box = np.array([[0.0, 0], [4, 0], [0, 2], [4, 2]])[None]
    assert side_difference(box) == 0
    # Upper side 4, lower side 2: a difference of 2 of a mean of 3; the other two sides are equal by symmetry.
    wedge = np.array([[0.0, 0], [4, 0], [1, 2], [3, 2]])[None]
    assert side_difference(wedge) == pytest.approx(2 / 3)


def test_results_of_poor_quality_have_no_vote() -> None:
    good, poor = bent_spine(20.0), bent_spine(20.0)
    poor[:, 3] += [0.0, 12.0]
    found = reliable([candidate(poor), candidate(good, "method2")], 0.3)
    assert [c.method for c in found] == ["method2"]
    assert len(reliable([candidate(poor)], 0.3)) == 1


def test_the_minority_follows_the_majority() -> None:
    ends = [((2, 9), (0, 2)), ((3, 9), (1, 3)), ((3, 10), (0, 3))]
    assert vote(ends, deciding=1) == ((3, 9), (0, 3))


def test_without_agreement_one_decides() -> None:
    assert vote([((1, 8),), ((2, 9),), ((3, 9),)], deciding=0) == ((1, 9),)
    assert vote([((1, 8),), ((2, 9),)], deciding=1) == ((2, 9),)


def test_angles_between_given_vertebrae() -> None:
    spine = bent_spine(40.0, (4480, 1920))  # tilts from 20 to -20 degrees, 2.5 a vertebra
    np.testing.assert_allclose(angles_between(spine, ((0, 16), (4, 8))), [40, 10], atol=0.3)


def test_the_vote_averages_the_angles_between_the_vertebrae_voted_for() -> None:
    voters = three(20.0, 30.0, 30.0)
    found = fuse(voters, "vote", "challenge", 0.3, HEIGHT)
    assert found is not None
    ends = cobb_angles(voters[1].landmarks, HEIGHT).end_vertebrae
    assert found.angles.end_vertebrae == ends
    expected = np.mean([angles_between(c.landmarks, found.angles.end_vertebrae) for c in voters], axis=0)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.angles.degrees, expected)
    majors = [cobb_angles(c.landmarks, HEIGHT).degrees[0] for c in voters]
    assert found.spread == pytest.approx(max(majors) - min(majors))


def test_the_average_is_of_each_results_own_angles() -> None:
    voters = three(20.0, 30.0, 40.0)
    found = fuse(voters, "average", "paper", 0.3, HEIGHT)
    assert found is not None
    own = [cobb_angles(c.landmarks, HEIGHT, "clinical").degrees for c in voters]
    np.testing.assert_allclose(found.angles.degrees, np.mean(own, axis=0))
    assert found.angles.definition == "clinical"


def test_landmarks_are_means_and_measured_as_such() -> None:
    voters = three(20.0, 30.0, 40.0)
    found = fuse(voters, "landmarks", "challenge", 0.3, HEIGHT)
    assert found is not None
    np.testing.assert_allclose(found.landmarks, np.mean([c.landmarks for c in voters], axis=0))
    np.testing.assert_allclose(found.angles.degrees, cobb_angles(found.landmarks, HEIGHT).degrees)


@pytest.mark.parametrize("method", ["method1", "method2", "method2_squeezed"])
def test_one_method_alone(method: Fusion) -> None:
    voters = three(20.0, 30.0, 40.0)
    found = fuse(voters, method, "challenge", 0.3, HEIGHT)
    assert found is not None
    chosen = next(c for c in voters if c.method == method)
    np.testing.assert_array_equal(found.landmarks, chosen.landmarks)
    np.testing.assert_allclose(found.angles.degrees, cobb_angles(chosen.landmarks, HEIGHT).degrees)
    assert found.spread == ONE_ALONE


def test_a_column_one_level_off_does_not_blur_the_landmarks() -> None:
    """Method 1 took the vertebra above T1 for T1."""
    spine = bent_spine(30.0)
    off = np.concatenate([2 * spine[:1] - spine[1:2], spine[:-1]])
    found = agreeing([candidate(off), candidate(spine, "method2")], deciding=1)
    assert [c.method for c in found] == ["method2"]


def test_nothing_found() -> None:
    assert fuse([], "vote", "challenge", 0.3, HEIGHT) is None
