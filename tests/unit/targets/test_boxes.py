from __future__ import annotations

import numpy as np
import pytest

from aasce.geometry.cobb import tilts
from aasce.preprocess.augment import mirror_landmarks
from aasce.targets.boxes import box_overlaps, encode_boxes, encode_rotated, mirrored_boxes
from tests.synthetic import bent_spine

SQUARE = np.array([[[10.0, 20.0], [30.0, 20.0], [10.0, 32.0], [30.0, 32.0]]])


def turned(landmarks: np.ndarray, degrees: float, about: tuple[float, float]) -> np.ndarray:
    a = np.radians(degrees)
    return (landmarks - about) @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) + about


def test_a_box_holds_the_corners_and_grows_by_half_on_either_side() -> None:
    assert encode_boxes(SQUARE).tolist() == [[10, 20, 30, 32]]
    assert encode_boxes(SQUARE, grow=(50, 10)).tolist() == [[-15, 15, 55, 37]]


def test_a_rotated_rectangle_is_its_own_box() -> None:
    boxes = encode_rotated(turned(SQUARE, 25.0, (20.0, 26.0)))
    np.testing.assert_allclose(boxes, [[20, 26, 20, 12, np.radians(25.0)]], atol=1e-12)


def test_growth_is_along_the_box() -> None:
    boxes = encode_rotated(turned(SQUARE, -40.0, (20.0, 26.0)), grow=(6, 2))
    np.testing.assert_allclose(boxes, [[20, 26, 26, 14, np.radians(-40.0)]], atol=1e-12)


@pytest.mark.parametrize("bend", [-50.0, 0.0, 70.0])
def test_the_rotation_of_a_box_is_the_tilt_of_its_vertebra(bend: float) -> None:
    spine = bent_spine(bend)
    boxes = encode_rotated(spine)
    np.testing.assert_allclose(np.degrees(boxes[:, 4]), tilts(spine), atol=1e-9)
    assert (
        np.abs(boxes[:, :2] - spine.mean(axis=1)).max() < 1.0
    )  # the spine's corners are rounded to whole px


def test_a_trapezium_lies_inside_its_box() -> None:
    trapezium = np.array([[[12.0, 20.0], [28.0, 20.0], [8.0, 32.0], [32.0, 32.0]]])
    np.testing.assert_allclose(encode_rotated(trapezium), [[20, 26, 24, 12, 0]], atol=1e-9)


def test_overlap_of_boxes() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 0, 30, 10]])
    np.testing.assert_allclose(box_overlaps(boxes[:1], boxes), [[1, 1 / 3, 0]])
    assert box_overlaps(np.zeros((0, 4)), boxes).shape == (0, 3)


def test_boxes_of_a_mirrored_film_are_those_of_its_mirrored_landmarks() -> None:
    spine = bent_spine(40.0)
    np.testing.assert_allclose(
        mirrored_boxes(encode_boxes(spine), 192), encode_boxes(mirror_landmarks(spine, 192))
    )
