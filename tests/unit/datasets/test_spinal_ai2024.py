"""Spinal-AI2024: labels read, set right or left out with a reason, and every second film."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aasce.datasets import names_levels, read_challenge, read_spinal_ai2024
from aasce.types import AasceError
from tests.conftest import straight_spine
from tests.synthetic import bent_spine, write_challenge, write_unnamed

SPINE = straight_spine(14) / 4
"""(14, 4, 2) px: boxes of 15 x 10 px every 12.5 px down x = 50."""


def test_corners_are_put_in_order_and_no_level_is_named(tmp_path: Path) -> None:
    swapped = SPINE[:, [1, 0, 3, 2]]  # left for right
    upside_down = SPINE[:, [2, 3, 0, 1]]
    crossed = SPINE.copy()
    crossed[3] = crossed[3][[0, 1, 3, 2]]
    root = write_unnamed(tmp_path, [SPINE, swapped, upside_down, crossed])
    found = read_spinal_ai2024(root)
    assert found.left_out == {}
    for film in found.films:
        assert film.landmarks is not None
        np.testing.assert_allclose(film.landmarks, SPINE, atol=1e-3)
        assert not names_levels(film)
        assert film.angles is None
    assert found.films.studies == [film.film_id for film in found.films]


def test_aligned_labels_are_moved_up_and_to_the_left(tmp_path: Path) -> None:
    root = write_unnamed(tmp_path, [SPINE])
    (film,) = read_spinal_ai2024(root, aligned=True).films
    assert film.landmarks is not None
    np.testing.assert_allclose(film.landmarks, SPINE - np.array([4.4, 5.4]), atol=1e-3)


def test_films_of_the_challenge_name_their_levels(tmp_path: Path) -> None:
    films = read_challenge(write_challenge(tmp_path, [bent_spine(10.0)]))
    assert names_levels(films[0])


def test_damaged_labels_are_left_out_each_with_its_reason(tmp_path: Path) -> None:
    off = SPINE + np.array([100.0, 0.0])
    twice = SPINE.copy()
    twice[6] = twice[5] + 1.0
    root = write_unnamed(tmp_path, [SPINE] * 7 + [off, twice])
    table = (root / "corners.csv").read_text().splitlines()
    head, rows = table[0], [line.split(",") for line in table[1:]]
    rows[1][4] = ""
    rows[2][4] = rows[2][4].rsplit(" ", 1)[0]
    rows[3][4] = rows[3][4].replace(rows[3][4].split(" ")[0], "left", 1)
    rows[4][1] = "101"
    (root / "films" / rows[5][0]).unlink()
    rows[6][3], rows[6][4] = "13", " ".join(rows[6][4].split(" ")[: 8 * 13])
    (root / "corners.csv").write_text("\n".join([head, *(",".join(row) for row in rows)]) + "\n")
    found = read_spinal_ai2024(root)
    assert [film.film_id for film in found.films] == ["000001"]
    assert list(found.left_out.values()) == [
        "its label is empty",
        "111 numbers for 14 vertebrae, not 112",
        "its row holds text where a number belongs",
        "the film is 100 x 240 px, its label says 101 x 240",
        "the film is missing",
        "13 vertebrae, not 14 to 20",
        "vertebra 1 lies off the film",
        "vertebrae 6 and 7 lie on each other",
    ]


def test_every_second_film_by_name_is_held_out(tmp_path: Path) -> None:
    root = write_unnamed(tmp_path, [SPINE] * 5)
    lines = (root / "corners.csv").read_text().splitlines()
    (root / "corners.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    (root / "films" / "000001.jpg").unlink()  # a film that is missing moves no other to the other part
    ids = {part: [f.film_id for f in read_spinal_ai2024(root, part).films] for part in ("held_out", "other")}
    assert ids == {"held_out": ["000002", "000004"], "other": ["000003", "000005"]}


def test_another_folder_is_a_line_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(AasceError, match=r"holds neither films/ and corners\.csv nor"):
        read_spinal_ai2024(tmp_path)
    root = write_unnamed(tmp_path, [SPINE])
    (root / "corners.csv").write_text("name,width\n1.jpg,3\n")
    with pytest.raises(AasceError, match=r"corners.csv: has no column 'height'"):
        read_spinal_ai2024(tmp_path)
