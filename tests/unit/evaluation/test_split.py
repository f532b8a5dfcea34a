"""Films dealt into parts: whole studies together, none twice, the same for the same seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from aasce.datasets import FilmSet, LabelledFilm
from aasce.evaluation.split import Split
from aasce.types import AasceError


@pytest.fixture
def films() -> FilmSet:
    """Twenty films of ten studies."""
    rows = [LabelledFilm(f"film {k}", Path(f"{k}.png"), f"study {k // 2}") for k in range(20)]
    return FilmSet(rows, "training", "none")


def names(part: FilmSet | None) -> set[str]:
    return {film.film_id for film in part or ()}


def test_parts_are_all_films_once_and_studies_whole(films: FilmSet) -> None:
    parts = Split(folds=5, validation=0.25, seed=3).deal(films, (1, 4))
    dealt = [names(part) for part in (parts.train, parts.validation, parts.held)]
    # Two of five folds hold 8 films; a quarter of the other 12 is 3, of which one study of 2 is held back.
    assert [len(part) for part in dealt] == [10, 2, 8]
    assert set.union(*dealt) == names(films)
    studies = [{film.study for film in part or ()} for part in (parts.train, parts.validation, parts.held)]
    assert sum(map(len, studies)) == 10


def test_folds_held_out_together_are_those_held_out_alone(films: FilmSet) -> None:
    split = Split(folds=5, validation=0, seed=3)
    together = names(split.deal(films, (1, 4)).held)
    assert together == names(split.deal(films, (1,)).held) | names(split.deal(films, (4,)).held)
    assert [len(fold) for fold in split.fold_indices(films)] == [4] * 5


def test_without_folds_nothing_is_held_out(films: FilmSet) -> None:
    parts = Split(validation=0).deal(films)
    assert (names(parts.train), parts.validation, parts.held) == (names(films), None, None)


def test_facts_know_films_and_split(films: FilmSet) -> None:
    split = Split(folds=5, validation=0.25, seed=3)
    facts = split.facts(films, (1, 4), split.deal(films, (1, 4)))
    counts = {"train_films": 10, "validation_films": 2, "held_out_films": 8}
    dealt = {"folds": 5, "held": [1, 4], "split_seed": 3, "validation": 0.25}
    assert facts | counts | dealt | {"part": "training", "labels": "none"} == facts
    fewer = films.subset(range(18))
    assert split.facts(fewer, (), split.deal(fewer))["films_hash"] != facts["films_hash"]


@pytest.mark.parametrize(
    ("split", "held", "text"),
    [
        (Split(folds=5), (5,), "--fold 5: is from 0 to 4 for --folds 5"),
        (Split(folds=5), (-1,), "--fold -1: is from 0 to 4"),
        (Split(folds=11), (0,), r"--folds 11: folds is from 2 to the number of studies \(10\)"),
        (Split(folds=0), (0,), "--folds 0: folds is from 2"),
        (Split(validation=1.0), (), r"--validation 1.0: fraction is in \[0, 1\)"),
    ],
)
def test_a_wrong_split_is_one_line(films: FilmSet, split: Split, held: tuple[int, ...], text: str) -> None:
    with pytest.raises(AasceError, match=text):
        split.deal(films, held)
