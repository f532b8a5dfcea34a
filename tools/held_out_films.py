"""Held-out predictions, film by film, as tools that study them need them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aasce.evaluation.held_out import LANDMARKS, read_facts, read_held_landmarks, read_rows
from aasce.geometry.cobb import cobb_angles
from aasce.geometry.spine import set_upright
from aasce.solvers.base import DOUBTED, UNCLEAR_CONFIDENCE, UNSURE_FLAG, doubt_flags
from aasce.solvers.shared.confidence import Rule, confidence
from aasce.types import AasceError, CobbAngles, Definition

Floats = NDArray[np.float64]

UNKNOWN = 0.5
"""Stands for a confidence that is not kept: the one whose odds are even, which widens no interval."""


@dataclass(frozen=True, slots=True)
class HeldFilm:
    """One film as a model that had not seen it predicted it; films that failed are left out.

    Attributes:
        degrees: (3,) by the challenge's definition, as in preds.csv.
        confidence: by the model's own rule, None in folders from before it was kept.
        rule: (offset, slope) of that rule, None without one.
        flags: of the prediction.
        landmarks: (V, 4, 2) px of the film as read, None where they are not kept.
        first_level: of the landmarks.
        turns: quarter turns that set the film upright.
    """

    degrees: Floats
    confidence: float | None
    rule: Rule | None
    flags: tuple[str, ...]
    landmarks: Floats | None = None
    first_level: int = 0
    turns: int = 0

    def angles(self, definition: Definition, size: tuple[int, int]) -> CobbAngles:
        """Angles with their end vertebrae, measured on the landmarks.

        Args:
            definition: of the angles.
            size: (H, W) of the film as read.
        """
        assert self.landmarks is not None
        upright, (height, _) = set_upright(self.landmarks, size, self.turns)
        return cobb_angles(upright, height, definition)

    def confidence_by(self, released: Rule | None) -> float:
        """The confidence as weights of another rule state it: the uncertainty behind it is the same.

        A confidence that was limited for another reason than its rule is taken for one of the rule; those limited
        because the spine is unclear are limited again. One that is not kept is `UNKNOWN`.

        Args:
            released: of the weights that ship.
        """
        if self.confidence is None:
            return UNKNOWN
        if self.rule is None or released is None or self.rule == released or self.rule[1] <= 0:
            return self.confidence
        sure = min(max(self.confidence, 1e-6), 1 - 1e-6)
        uncertainty = max(0.0, (self.rule[0] - math.log(sure / (1 - sure))) / self.rule[1])
        found = confidence(uncertainty, released)
        return min(found, UNCLEAR_CONFIDENCE) if DOUBTED.intersection(self.flags) else found

    def flags_by(self, chance: float, limit: float) -> tuple[str, ...]:
        """The flags as weights state them whose confidence is `chance`, see `confidence_by`.

        Args:
            chance: see `confidence_by`.
            limit: see `Solver.unsure_below`; a confidence that is not kept is not below it.
        """
        kept = tuple(flag for flag in self.flags if flag != UNSURE_FLAG)
        return kept if self.confidence is None else (*kept, *doubt_flags(chance, limit, kept))


def read_held_films(folders: Sequence[Path]) -> dict[str, HeldFilm]:
    """Film to its held-out prediction.

    Args:
        folders: one of all folds (submissions/oof-NAME), or the run folders of the folds.

    Raises:
        AasceError: a folder cannot be read, or a film is in two of them.
    """
    found: dict[str, HeldFilm] = {}
    for folder in folders:
        its = _films_of(folder)
        twice = sorted(found.keys() & its.keys())
        if twice:
            raise AasceError(
                f"{folder}: predicts {twice[0]!r}, which another folder holds too; leave one out"
            )
        found |= its
    return found


def _films_of(folder: Path) -> dict[str, HeldFilm]:
    facts, rows = read_facts(folder), read_rows(folder)
    places = read_held_landmarks(folder) if (folder / LANDMARKS).is_file() else {}
    sure: dict[str, tuple[float, Rule | None]] = {}
    for fold in facts.get("folds", []):
        rule = fold.get("calibration")
        kept = None if rule is None else (float(rule[0]), float(rule[1]))
        sure |= {name: (float(chance), kept) for name, chance in fold.get("confidence", {}).items()}
    failures, flags = facts.get("failures", {}), facts.get("flags", {})
    return {
        name: _film(degrees, sure.get(name), tuple(flags.get(name, ())), places.get(name))
        for name, degrees in rows.items()
        if name not in failures
    }


def _film(
    degrees: Floats,
    sure: tuple[float, Rule | None] | None,
    flags: tuple[str, ...],
    place: dict[str, Any] | None,
) -> HeldFilm:
    chance, rule = sure or (None, None)
    if place is None:
        return HeldFilm(degrees, chance, rule, flags)
    landmarks = np.asarray(place["landmarks"], np.float64)
    return HeldFilm(degrees, chance, rule, flags, landmarks, int(place["first_level"]), int(place["turns"]))
