"""Splits that never put films of one study on both sides."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from aasce.readers.films import film_name

_STUDY = re.compile(r"\d{1,2}-[A-Za-z]+-\d{4}-[^ .]+")


def study_id(name: str) -> str:
    """Study a challenge film belongs to, "sunhl-1th-09-Jan-2017-212 A AP.jpg" -> "09-Jan-2017-212".

    Films of one study are films of one patient; a patient may have several studies (`datasets.exposures` finds
    exposures that two of them share). A name of another form is its own study, without a film's suffix.
    """
    found = _STUDY.search(name)
    return found.group() if found else film_name(name)


def _shuffled_studies(studies: Sequence[str], seed: int) -> list[list[int]]:
    """Film indices of each study, studies shuffled by `seed` from an order that no file system decides."""
    films: dict[str, list[int]] = {}
    for index, study in enumerate(studies):
        films.setdefault(study, []).append(index)
    names = sorted(films)
    order = np.random.default_rng(seed).permutation(len(names))
    return [films[names[k]] for k in order]


def grouped_folds(studies: Sequence[str], folds: int, seed: int = 0) -> list[tuple[list[int], list[int]]]:
    """Divides films into folds of nearly equal size, each study whole in one of them.

    scikit-learn's GroupKFold has the same rule and gives the same folds from 1.9 on, but its earlier versions sort
    studies of equal size differently from machine to machine, and every published figure hangs on these folds.

    Args:
        studies: study id of each film.
        folds: number of folds, from 2 to the number of studies.
        seed: decides the shuffle; equal arguments give equal folds on every machine.

    Returns:
        `folds` pairs (train, test) of ascending film indices; each film is in one test part.

    Raises:
        ValueError: fewer than 2 folds, or more folds than studies.
    """
    groups = _shuffled_studies(studies, seed)
    if not 2 <= folds <= len(groups):
        raise ValueError(f"folds is from 2 to the number of studies ({len(groups)}), not {folds}")
    tests: list[list[int]] = [[] for _ in range(folds)]
    # Largest study first into the smallest fold keeps the sizes within one film where studies are small.
    for group in sorted(groups, key=len, reverse=True):
        min(tests, key=len).extend(group)
    everything = range(len(studies))
    return [(sorted(set(everything) - set(test)), sorted(test)) for test in tests]


def grouped_holdout(studies: Sequence[str], fraction: float, seed: int = 0) -> tuple[list[int], list[int]]:
    """Holds back about `fraction` of the films (never more), whole studies together.

    Returns:
        (train, held), ascending film indices.

    Raises:
        ValueError: the fraction is outside [0, 1).
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"fraction is in [0, 1), not {fraction}")
    room = round(fraction * len(studies))
    held: list[int] = []
    for group in _shuffled_studies(studies, seed):
        if len(held) + len(group) <= room:
            held.extend(group)
    return sorted(set(range(len(studies))) - set(held)), sorted(held)
