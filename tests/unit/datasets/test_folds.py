"""Splits by study: whole, balanced, the same on every machine."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aasce.datasets import grouped_folds, grouped_holdout, study_id

STUDIES = st.lists(st.sampled_from([f"s{k}" for k in range(12)]), min_size=12, max_size=60)


@pytest.mark.parametrize(
    ("name", "study"),
    [
        ("sunhl-1th-09-Jan-2017-212 A AP.jpg", "09-Jan-2017-212"),
        ("sunhl-1th-09-Jan-2017-212 B AP", "09-Jan-2017-212"),
        ("sunhl-1th-20-Jul-2016-coronal13.jpg", "20-Jul-2016-coronal13"),
        ("sunhl-1th-30-Dec-2016-159 A AP2.jpg", "30-Dec-2016-159"),
        ("01-July-2019-98.jpg", "01-July-2019-98"),
        ("patient 7.png", "patient 7"),
        ("1.2.840.10008", "1.2.840.10008"),
        ("noname", "noname"),
    ],
)
def test_study_of_a_film(name: str, study: str) -> None:
    assert study_id(name) == study


@settings(deadline=None, max_examples=50)
@given(studies=STUDIES, seed=st.integers(0, 99))
def test_folds_divide_the_films_and_no_study(studies: list[str], seed: int) -> None:
    count = min(3, len(set(studies)))
    if count < 2:
        return
    folds = grouped_folds(studies, count, seed)
    assert sorted(i for _, test in folds for i in test) == list(range(len(studies)))
    for train, test in folds:
        assert not {studies[i] for i in train} & {studies[i] for i in test}
        assert sorted(train + test) == list(range(len(studies)))
    sizes = [len(test) for _, test in folds]
    assert max(sizes) - min(sizes) <= max(studies.count(s) for s in studies)


def test_folds_depend_on_the_seed_alone() -> None:
    studies = [f"s{k // 2}" for k in range(40)]
    assert grouped_folds(studies, 5, 3) == grouped_folds(studies, 5, 3)
    assert grouped_folds(studies, 5, 3) != grouped_folds(studies, 5, 4)
    assert [len(test) for _, test in grouped_folds(studies, 5)] == [8] * 5


@pytest.mark.parametrize("folds", [1, 4])
def test_an_impossible_number_of_folds(folds: int) -> None:
    with pytest.raises(ValueError, match=r"number of studies \(3\)"):
        grouped_folds(["a", "b", "c"], folds)


def test_a_holdout_takes_whole_studies_and_never_too_many() -> None:
    studies = [f"s{k // 3}" for k in range(30)]
    train, held = grouped_holdout(studies, 0.25, seed=1)
    # 0.25 * 30 = 7.5 rounds to 8, room for two studies of three.
    assert len(held) == 6
    assert sorted(train + held) == list(range(30))
    assert not {studies[i] for i in train} & {studies[i] for i in held}
    assert grouped_holdout(studies, 0.0) == (list(range(30)), [])
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        grouped_holdout(studies, 1.0)
