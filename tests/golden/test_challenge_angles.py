"""The organisers' angles on real films, and the audit against the faults known to be there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from aasce.datasets import audit_dataset, grouped_folds, grouped_holdout, read_challenge
from aasce.geometry.cobb import cobb_angles
from aasce.readers import film_size

# angles.csv holds 5 significant digits: half a unit of the third decimal of an angle over 10 degrees.
ROUNDING = 0.0055

STORED_LAST = """09-Jan-2017-212 A|10-Jan-2017-227 C|10-Jan-2017-227 E|10-Jan-2017-228 B|10-Jan-2017-230 A
10-Jan-2017-237 B|10-Jan-2017-237 D|10-Jan-2017-243 C|11-Jan-2017-255 B|11-Jan-2017-255 C|11-Jan-2017-255 D
11-Jan-2017-255 E|12-Jan-2017-258 A|20-Jan-2017-275 G|23-Jan-2017-276 B|25-Jan-2017-279 B|05-Jan-2017-169 A
12-Jan-2017-262 A""".replace("\n", "|").split("|")


def test_all_training_films_have_the_organisers_angles(aasce_data: Path) -> None:
    films = read_challenge(aasce_data)
    heights = [film_size(film.path)[0] for film in films]
    pairs = zip(films, heights, strict=True)
    measured = np.array([cobb_angles(np.asarray(f.landmarks), h).degrees for f, h in pairs])
    stated = np.array([film.angles for film in films])
    agree = (np.abs(measured - stated) <= ROUNDING).all(axis=1)
    assert len(films) == 481
    assert agree.sum() == 481, [film.film_id for film, good in zip(films, agree, strict=True) if not good]


def test_the_folds_are_those_of_the_published_figures(aasce_data: Path) -> None:
    studies = read_challenge(aasce_data, labels="none").studies
    folds = [test for _, test in grouped_folds(studies, 5, seed=0)]
    held = [grouped_holdout(studies, fraction, seed=0)[1] for fraction in (0.08, 0.1)]
    assert [len(films) for films in (*folds, *held)] == [97, 96, 96, 96, 96, 38, 48]
    digest = hashlib.sha256(json.dumps([folds, held]).encode()).hexdigest()
    assert digest.startswith("7dc364797d624290")


def test_csv_and_mat_landmarks_agree_to_the_digits_of_the_csv(aasce_data: Path) -> None:
    pixels = read_challenge(aasce_data, source="mat")
    table = read_challenge(aasce_data, source="csv")
    difference = [np.abs(a.landmarks - b.landmarks).max() for a, b in zip(pixels, table, strict=True)]  # type: ignore[operator]
    # 5 significant digits of a fraction of at most 3755 px: 0.000005 x 3755 = 0.019; one label lies over 1.
    assert max(difference) < 0.05


def test_the_audit_finds_each_vertebra_that_is_stored_last(aasce_data: Path) -> None:
    faults = audit_dataset(read_challenge(aasce_data), exposures=False)
    first = set(faults["film"][faults["repair"] == "moved to the front"])
    assert first == {f"sunhl-1th-{name} AP" for name in STORED_LAST}


def test_the_audit_finds_every_film_whose_corner_sequence_is_not_monotone(aasce_data: Path) -> None:
    films = read_challenge(aasce_data)
    sides = [
        np.asarray(film.landmarks)[:, side, 1].reshape(34) for film in films for side in ([0, 2], [1, 3])
    ]
    broken = [bool((np.diff(sides[2 * k + s]) < 0).any()) for k in range(len(films)) for s in (0, 1)]
    names = {films[k // 2].film_id for k, bad in enumerate(broken) if bad}
    assert len(names) == 62
    assert names <= set(audit_dataset(films, exposures=False)["film"])


def test_fixed_labels_leave_no_vertebra_out_of_order(aasce_data: Path) -> None:
    films = read_challenge(aasce_data, labels="fixed")
    kinds = set(audit_dataset(films, exposures=False)["fault"])
    assert not kinds & {"order", "split", "corners"}
    assert max(float(film.angles[0]) for film in films if film.angles is not None) < 95
