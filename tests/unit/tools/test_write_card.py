"""Figures of a model card by fold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from aasce.datasets import grouped_folds
from aasce.scoring.tables import HEADER
from tools.train_released import FOLDS, SEED
from tools.write_card import by_fold


@dataclass(frozen=True)
class Labelled:
    film_id: str
    angles: np.ndarray


class Films(list[Labelled]):
    @property
    def studies(self) -> list[str]:
        return [film.film_id for film in self]


@pytest.mark.parametrize("missing", [None, 1])
def test_each_fold_stands_for_its_own_films(tmp_path: Path, missing: int | None) -> None:
    films = Films(Labelled(f"film {i}", np.array([30.0, 20.0, 10.0])) for i in range(10))
    folds = [[films[i].film_id for i in test] for _, test in grouped_folds(films.studies, FOLDS, SEED)]
    # In fold k the major angle is k degrees too large: 100 k / (120 + k).
    rows = [f"{name},{30 + k},20,10" for k in range(FOLDS) if k != missing for name in folds[k]]
    preds = tmp_path / "preds.csv"
    preds.write_text("\n".join([",".join(HEADER), *rows, ""]))
    kept = [k for k in range(FOLDS) if k != missing]
    smape = ", ".join(f"{100 * k / (120 + k):.2f}" for k in kept)
    major = ", ".join(f"{k:.2f}" for k in kept)
    assert by_fold(preds, films) == f"By fold: SMAPE {smape}; MAE of an1 {major}."  # type: ignore[arg-type]
