"""How films are dealt into folds and parts: whole studies together, decided by a seed alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aasce.datasets import FilmSet, grouped_folds, grouped_holdout
from aasce.types import AasceError


@dataclass(frozen=True, slots=True)
class Parts:
    """The films of a run: to learn from, to choose weights by, and to predict at the end."""

    train: FilmSet
    validation: FilmSet | None
    held: FilmSet | None


@dataclass(frozen=True, slots=True)
class Split:
    """One way to deal films.

    Attributes:
        folds: number of folds.
        validation: share of the films outside the held-out folds that weights are chosen by; 0 for none.
        seed: decides the folds and the validation part.
    """

    folds: int = 5
    validation: float = 0.1
    seed: int = 0

    def fold_indices(self, films: FilmSet) -> list[list[int]]:
        """Indices of the films of each fold.

        Raises:
            AasceError: the films cannot be dealt into so many folds.
        """
        try:
            return [test for _, test in grouped_folds(films.studies, self.folds, self.seed)]
        except ValueError as error:
            raise AasceError(f"--folds {self.folds}: {error}") from error

    def deal(self, films: FilmSet, held: Sequence[int] = ()) -> Parts:
        """Deals films into the parts of a run.

        Args:
            films: all of them.
            held: folds that are predicted at the end, from 0; without any, all films are trained on.

        Raises:
            AasceError: there are no such folds, or no such share.
        """
        folds = self.fold_indices(films) if held else []
        wrong = next((fold for fold in held if not 0 <= fold < self.folds), None)
        if wrong is not None:
            raise AasceError(f"--fold {wrong}: is from 0 to {self.folds - 1} for --folds {self.folds}")
        tested = sorted(index for fold in set(held) for index in folds[fold])
        kept = films.subset(sorted(set(range(len(films))) - set(tested)))
        try:
            learned, chosen = grouped_holdout(kept.studies, self.validation, self.seed)
        except ValueError as error:
            raise AasceError(f"--validation {self.validation}: {error}") from error
        validation = kept.subset(chosen) if chosen else None
        return Parts(kept.subset(learned), validation, films.subset(tested) if held else None)

    def facts(self, films: FilmSet, held: Sequence[int], parts: Parts) -> dict[str, Any]:
        """How films were dealt, as plain values: what a run was trained on is known by these.

        Args:
            films: all of them.
            held: as given to `deal`.
            parts: as `deal` gave them.
        """
        named = "\n".join(film.film_id for film in films)
        return {
            "part": films.name,
            "labels": films.labels,
            "films_hash": hashlib.sha256(named.encode()).hexdigest()[:16],
            "folds": self.folds,
            "held": list(held),
            "split_seed": self.seed,
            "validation": self.validation,
            "train_films": len(parts.train),
            "validation_films": len(parts.validation or ()),
            "held_out_films": len(parts.held or ()),
        }
