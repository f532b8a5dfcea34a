"""Each error put into correct labels is found, named, and repaired or left as documented."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from aasce.geometry.audit import (
    EDGE,
    LEFT,
    Fault,
    audit_landmarks,
    disc_runs,
    fix_landmarks,
    overlap,
    skewness,
)
from tests.conftest import straight_spine

SIZE = (1000, 400)
Floats = NDArray[np.float64]


def clean() -> Floats:
    """17 boxes with a slight double curve, without errors."""
    return straight_spine(tilt=10.0 * np.sin(np.linspace(0, 5, 17)))


def kinds(faults: list[Fault]) -> list[tuple[int | None, str]]:
    return [(fault.vertebra, fault.kind) for fault in faults]


def test_a_clean_spine_has_no_fault_and_is_not_touched() -> None:
    spine = clean()
    assert audit_landmarks(spine, SIZE) == []
    np.testing.assert_array_equal(fix_landmarks(spine, SIZE), spine)


def test_a_vertebra_stored_last_is_moved_to_the_front() -> None:
    spine = clean()
    stored = np.roll(spine, -1, axis=0)
    faults = audit_landmarks(stored, SIZE)
    assert kinds(faults) == [(16, "order")]
    assert faults[0].repair == "moved to the front"
    np.testing.assert_array_equal(fix_landmarks(stored, SIZE), spine)


def test_a_vertebra_in_the_wrong_place_is_named_alone() -> None:
    spine = clean()
    stored = np.concatenate([np.delete(spine, 4, axis=0), spine[4:5]])
    faults = audit_landmarks(stored, SIZE)
    assert kinds(faults) == [(16, "order")]
    assert faults[0].detail == "lies at place 5 from the top"
    np.testing.assert_array_equal(fix_landmarks(stored, SIZE), spine)


@pytest.mark.parametrize(
    ("swap", "words"),
    [
        ([1, 0, 3, 2], "left and right are swapped"),
        ([2, 3, 0, 1], "top and bottom are swapped"),
        ([3, 2, 1, 0], "top and bottom, left and right are swapped"),
        ([1, 0, 2, 3], "the upper corners are swapped"),
        ([0, 1, 3, 2], "the lower corners are swapped"),
        ([2, 1, 0, 3], "the left corners are swapped"),
        ([0, 3, 2, 1], "the right corners are swapped"),
        ([1, 2, 3, 0], "corners are named in a wrong order"),
    ],
)
def test_swapped_corners_are_named_and_renamed(swap: list[int], words: str) -> None:
    spine = clean()
    stored = spine.copy()
    stored[7] = spine[7, swap]
    faults = [fault for fault in audit_landmarks(stored, SIZE) if fault.vertebra is not None]
    assert faults == [Fault(7, "corners", words, "corners renamed")]
    np.testing.assert_array_equal(fix_landmarks(stored, SIZE), spine)


def test_a_vertebra_stored_last_and_upside_down_needs_both_repairs() -> None:
    spine = clean()
    stored = np.roll(spine, -1, axis=0)
    stored[16] = stored[16, [2, 3, 0, 1]]
    assert sorted(kinds(audit_landmarks(stored, SIZE))) == [(16, "corners"), (16, "order")]
    np.testing.assert_array_equal(fix_landmarks(stored, SIZE), spine)


def test_corners_little_off_the_film_are_put_on_its_edge() -> None:
    spine = clean()
    height = int(spine[..., 1].max()) - 3
    faults = audit_landmarks(spine, (height, 400))
    assert (16, "off_film") in kinds(faults)
    assert faults[0].repair == EDGE
    fixed = fix_landmarks(spine, (height, 400))
    assert fixed[..., 1].max() == height - 1
    np.testing.assert_array_equal(fixed[:16], spine[:16])


def test_a_vertebra_half_off_the_film_is_left() -> None:
    spine = clean() - [0.0, 60.0]
    faults = audit_landmarks(spine, SIZE)
    # T1's centre lies on the film's upper edge, its upper corners about 20 px above it.
    assert kinds(faults) == [(0, "off_film")]
    assert faults[0].repair == LEFT
    np.testing.assert_array_equal(fix_landmarks(spine, SIZE), spine)


def test_two_boxes_on_one_vertebra() -> None:
    spine = clean()
    spine[16] = spine[15] + [1.0, -2.0]
    faults = audit_landmarks(spine, SIZE)
    assert (16, "duplicate") in kinds(faults)
    assert {fault.repair for fault in faults} == {LEFT}


def test_two_boxes_that_overlap() -> None:
    # Boxes 40 high every 50: one 20 px too high lies 10 px of its 40 in the one above.
    spine = straight_spine()
    spine[9] -= [0.0, 20.0]
    assert overlap(spine[8], spine[9]) == pytest.approx(0.25)
    assert overlap(spine[8], spine[8]) == pytest.approx(1.0)
    assert overlap(spine[8], np.full((4, 2), 7.0)) == 0.0
    found = kinds(audit_landmarks(spine, SIZE))
    assert (9, "overlap") in found
    assert found.count((9, "corner_sequence")) == 2


def test_a_corner_above_the_lower_one_before_it_breaks_the_sequence() -> None:
    # T5's lower right corner stands at y = 60 + 4 * 50 + 20 = 280; T6's upper one is put at 276.
    spine = straight_spine()
    spine[5, 1, 1] = 276.0
    found = [f for f in audit_landmarks(spine, SIZE) if f.kind == "corner_sequence"]
    assert found == [Fault(5, "corner_sequence", "upper right corner 4 px above the vertebra before")]


def test_a_missing_vertebra_leaves_a_gap() -> None:
    spine = np.delete(straight_spine(18), 9, axis=0)
    assert kinds(audit_landmarks(spine, SIZE)) == [(9, "gap")]


def test_boxes_on_discs_are_paired_anew() -> None:
    true = straight_spine(18)
    stored = np.delete(true.reshape(-1, 2, 2), 16, axis=0)[:34].reshape(-1, 4, 2)
    faults = audit_landmarks(stored, SIZE)
    assert (7, "on_discs") in kinds(faults)
    assert next(f for f in faults if f.kind == "on_discs").repair.startswith("endplates paired anew")
    np.testing.assert_allclose(fix_landmarks(stored, SIZE), true[:17])


def test_boxes_on_discs_in_the_middle_alone_are_left() -> None:
    spine = straight_spine()
    middle = spine[5:11].mean(axis=1, keepdims=True)
    spine[5:11] = middle + (spine[5:11] - middle) * [1.0, 0.3]
    faults = [f for f in audit_landmarks(spine, SIZE) if f.kind == "on_discs"]
    # Boxes 12 px high with gaps of 38 px, from T6 to T11.
    assert [(f.vertebra, f.repair) for f in faults] == [(5, LEFT)]
    assert disc_runs(spine) == [(5, 9)]
    np.testing.assert_array_equal(fix_landmarks(spine, SIZE), spine)


def test_a_vertebra_split_between_both_ends() -> None:
    true = straight_spine(18) + np.array([0.0, 40.0])
    stored = np.delete(true.reshape(-1, 2, 2), 16, axis=0)[:34].reshape(-1, 4, 2)
    stored[16, 2:] = true[0, :2] - [0.0, 30.0]
    assert kinds(audit_landmarks(stored, SIZE)) == [(16, "split")]
    np.testing.assert_allclose(fix_landmarks(stored, SIZE), true[:17])


def test_sizes_out_of_line() -> None:
    spine = straight_spine()
    for v, scale in ((4, [1.0, 0.3]), (12, [0.5, 1.0])):
        centre = spine[v].mean(axis=0)
        spine[v] = centre + (spine[v] - centre) * scale
    assert {(4, "height"), (12, "width")} <= set(kinds(audit_landmarks(spine, SIZE)))


def test_a_corner_that_stands_out() -> None:
    spine = straight_spine()
    spine[6, 1] += [40.0, 0.0]
    # The diagonals' middles are 20 px from each other; the box measures 80 (mean of 60 and 100) by 40 px.
    assert skewness(spine)[6] == pytest.approx(20 / np.sqrt(80 * np.hypot(40, 20)), rel=0.1)
    assert (6, "shape") in kinds(audit_landmarks(spine, SIZE))


def test_a_vertebra_turned_against_the_spine() -> None:
    tilt = np.zeros(17)
    tilt[8] = 42.0
    assert (8, "turned") in kinds(audit_landmarks(straight_spine(tilt=tilt), SIZE))


def test_over_ninety_degrees_is_a_fault_of_the_film() -> None:
    # Boxes tangent to a circle of 520 px: 92 degrees over 16 steps are 52 px a step.
    turn = np.linspace(-46, 46, 17)
    spine = straight_spine(tilt=turn)
    centres = 520 * np.stack([np.cos(np.radians(turn)), np.sin(np.radians(turn))], axis=1) + [-200, 420]
    spine += (centres - spine.mean(axis=1))[:, None]
    assert audit_landmarks(spine, SIZE) == [Fault(None, "over_90", "an angle of 92.0 degrees", LEFT)]
    stored = clean()
    stored[3] = stored[3, [1, 0, 3, 2]]
    assert audit_landmarks(stored, SIZE)[-1].repair.endswith("after the repairs")


@pytest.mark.parametrize("vertebrae", [2, 3, 24])
def test_other_numbers_of_vertebrae(vertebrae: int) -> None:
    spine = straight_spine(vertebrae)
    assert audit_landmarks(spine, (1400, 400)) == []
    np.testing.assert_array_equal(fix_landmarks(spine, (1400, 400)), spine)
