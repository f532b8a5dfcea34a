"""A round trip from landmarks through perfect and noisy fields of votes back to landmarks."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.targets.field import (
    LEVELS,
    ROOM,
    STRIDE,
    Field,
    cell_centres,
    choose_column,
    encode_members,
    encode_taught,
    gather_votes,
)
from tests.conftest import straight_spine

SIZE = (960, 400)


def perfect_field(landmarks: np.ndarray, first: int = 0, noise: float = 0.0) -> Field:
    """The field of a network without error, with noise of `noise` px on its votes."""
    rng = np.random.default_rng(0)
    members = encode_members(landmarks, SIZE)
    shape = members.shape
    inside = members >= 0
    levels = np.full((LEVELS, *shape), -6.0)
    for v in range(len(landmarks)):
        levels[v + first][members == v] = -0.1
    corners = landmarks[np.maximum(members, 0)]  # (R, C, 4, 2)
    corners = corners + rng.normal(0, noise, corners.shape) if noise else corners
    return Field(
        objectness=np.where(inside, 0.99, 0.01),
        levels=levels,
        centre=np.moveaxis(corners.mean(axis=2), -1, 0),
        corners=np.moveaxis(corners, (2, 3), (0, 1)),
        weight=np.zeros((4, *shape)),
        spread=np.zeros((4, *shape)),
    )


def test_cells_lie_at_the_middle_of_their_pixels() -> None:
    # The first cell covers px 0..3, whose middle is 1.5.
    np.testing.assert_allclose(cell_centres(2, 3)[1, 2], [STRIDE * 2 + 1.5, STRIDE + 1.5])


def test_members_are_the_cells_inside_the_outline() -> None:
    box = np.array([[[39.5, 39.5], [79.5, 39.5], [39.5, 59.5], [79.5, 59.5]]])
    members = encode_members(box, (100, 100))
    # 40 x 20 px are 10 x 5 cells; a polygon fill also takes cells that its border touches.
    assert 50 <= (members == 0).sum() <= 66
    assert members[12, 15] == 0
    assert members[5, 5] == -1


@pytest.mark.parametrize(("noise", "tolerance"), [(0.0, 1e-3), (4.0, 2.0)])
def test_round_trip_of_a_scoliotic_spine(noise: float, tolerance: float) -> None:
    tilt = 25 * np.sin(np.linspace(0, 2 * np.pi, 17))
    spine = straight_spine(tilt=tilt)
    column = choose_column(gather_votes(perfect_field(spine, noise=noise)))
    assert column is not None
    assert column.first == 0
    np.testing.assert_allclose(column.corners, spine, atol=tolerance)


def test_a_vertebra_nobody_votes_for_is_put_between_its_neighbours() -> None:
    spine = straight_spine()
    field = perfect_field(spine)
    hole = encode_members(spine, SIZE) == 8
    field.objectness[hole] = 0.01
    column = choose_column(gather_votes(field))
    assert column is not None
    assert column.mass[8] == 0
    np.testing.assert_allclose(column.corners[8], spine[8], atol=1e-3)


def test_a_gap_is_filled_rather_than_the_column_shifted_into_the_sacrum() -> None:
    spine = straight_spine(vertebrae=18)  # the lowest one stands for S1, which looks like L5
    field = perfect_field(spine[:17])
    members = encode_members(spine, SIZE)
    below = members == 17
    field.objectness[below] = 0.6
    field.levels[16][below] = -1.0
    for k in range(4):
        field.corners[k][:, below] = spine[17, k][:, None]
    field.centre[:, below] = spine[17].mean(axis=0)[:, None]
    field.objectness[members == 8] = 0.01
    column = choose_column(gather_votes(field))
    assert column is not None
    np.testing.assert_allclose(column.corners, spine[:17], atol=1e-3)


def test_of_eighteen_vertebrae_none_is_left_out_of_the_middle() -> None:
    spine = straight_spine(vertebrae=18)
    field = perfect_field(spine[:17])
    members = encode_members(spine, SIZE)
    for v in range(18):
        inside = members == v
        field.objectness[inside] = 0.99
        # Both ends are sure of their level, so that one level too many has to go somewhere.
        field.levels[:, inside] = -1.8
        field.levels[v if v < 9 else v - 1][inside] = -0.6
        for k in range(4):
            field.corners[k][:, inside] = spine[v, k][:, None]
        field.centre[:, inside] = spine[v].mean(axis=0)[:, None]
    column = choose_column(gather_votes(field))
    assert column is not None
    assert len(column.corners) == 17
    steps = np.diff(column.corners.mean(axis=1)[:, 1])
    np.testing.assert_allclose(steps, 50.0, atol=1e-3)


def test_levels_are_read_from_the_votes_when_the_film_shows_fewer() -> None:
    spine = straight_spine(vertebrae=9)
    column = choose_column(gather_votes(perfect_field(spine, first=6)))
    assert column is not None
    assert (column.first, len(column.corners)) == (6, 9)


def test_a_false_vertebra_beside_the_spine_is_passed_by() -> None:
    spine = straight_spine()
    stray = spine[5:6] + np.array([130.0, 10.0])
    field = perfect_field(np.concatenate([spine, stray])[:17])
    members = encode_members(stray, SIZE) == 0
    field.objectness[members] = 0.9
    for k in range(4):
        field.corners[k][:, members] = stray[0, k][:, None]
    field.centre[:, members] = stray[0].mean(axis=0)[:, None]
    field.levels[5][members] = -0.5
    column = choose_column(gather_votes(field))
    assert column is not None
    np.testing.assert_allclose(column.corners, spine, atol=1e-3)


def test_an_empty_field_has_no_column() -> None:
    spine = straight_spine()
    field = perfect_field(spine)
    field.objectness[:] = 0.0
    assert choose_column(gather_votes(field)) is None


def test_no_vertebra_is_squeezed_in_where_levels_contradict_each_other() -> None:
    spine = straight_spine()[:11]
    field = perfect_field(spine)
    members = encode_members(spine, SIZE)
    for v in range(6, 11):  # the lower ones say that they are two levels farther down
        field.levels[:, members == v] = -6.0
        field.levels[v + 2][members == v] = -0.1
    squeezed = choose_column(gather_votes(field))
    assert squeezed is not None
    assert (squeezed.mass == 0).sum() == 2
    column = choose_column(gather_votes(field), room=ROOM)
    assert column is not None
    assert (column.mass > 0).all()
    assert len(column.corners) == 11
    assert column.evidence < -2.0
    whole = choose_column(gather_votes(perfect_field(straight_spine())))
    assert whole is not None
    assert whole.evidence == pytest.approx(-0.1)
    assert whole.gain > column.gain


def test_a_column_without_names_says_nothing_of_its_ends_and_its_surroundings() -> None:
    """Boxes of 60 x 40 px every 50 px from y = 60 to 610, at x = 200; with a margin of half a box 120 px are unsure."""
    taught = encode_taught(straight_spine(12), SIZE, ends=2, margin=0.5)

    def at(x: float, y: float) -> bool:
        return bool(taught[round((y - 1.5) / STRIDE), round((x - 1.5) / STRIDE)])

    inner, disc, beside, aside = at(200, 310), at(200, 335), at(245, 310), at(280, 310)
    assert (inner, disc, beside, aside) == (True, False, False, True)
    assert [at(200, 60 + 50 * v) for v in (0, 1, 2, 9, 10, 11)] == [False, False, True, True, False, False]
    # Four steps below the last one, at y = 610, there may be further vertebrae; beyond there are none.
    assert [at(200, 640), at(200, 800), at(200, 830)] == [False, False, True]
