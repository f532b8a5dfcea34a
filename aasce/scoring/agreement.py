"""From two tables of angles to one `Score`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Union, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aasce.scoring.bootstrap import Interval, bca_intervals
from aasce.scoring.metrics import bland_altman, checked_pair, film_smape, icc_2_1, pearson, smape
from aasce.scoring.tables import AngleTable, align, read_table, table_of_frame

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Angles: TypeAlias = Union[ArrayLike, str, Path, "pd.DataFrame"]

CLOSE = 5.0
"""Degrees: a difference between two readings that surgeons accept."""

WORST = 10
"""Films listed as the worst."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement on one angle over N films, or on all three pooled (3N pairs). Degrees.

    Attributes:
        mae: mean absolute error.
        sd: standard deviation of the absolute error (n - 1); None for one pair.
        interval: 95 % BCa bootstrap interval of `mae` over films; None for fewer than three films or when
            every film has the same error.
        within: share of absolute errors of at most 5 degrees, in [0, 1].
        pearson: correlation; None where one side does not vary.
        icc: ICC(2,1); None for one pair or where nothing varies.
        bias: mean of predicted - truth.
        limits: Bland-Altman 95 % limits of agreement; None for one pair.
    """

    mae: float
    sd: float | None
    interval: Interval | None
    within: float
    pearson: float | None
    icc: float | None
    bias: float
    limits: Interval | None


@dataclass(frozen=True, slots=True)
class FilmError:
    """One film's part of the score: its SMAPE in percent, and both sets of three angles in degrees."""

    name: str
    smape: float
    predicted: tuple[float, ...]
    truth: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """The SMAPE of a set of films, and the agreement behind it.

    Attributes:
        n: number of films.
        smape: the challenge's score in percent.
        smape_interval: 95 % BCa bootstrap interval over films; None for fewer than three films.
        truth_median_smape: SMAPE of a constant predictor: the median angles of this very truth for every film. A
            score above it is worth nothing.
        an1, an2, an3: agreement on each angle.
        overall: agreement on all three, pooled.
        worst: the ten films with the largest SMAPE, the worst first.
        ignored_columns: further columns of the predictions, which are not scored.
        predicted, truth: (N, 3) degrees as scored.
    """

    n: int
    smape: float
    smape_interval: Interval | None
    truth_median_smape: float
    an1: Agreement
    an2: Agreement
    an3: Agreement
    overall: Agreement
    worst: tuple[FilmError, ...]
    ignored_columns: tuple[str, ...] = ()
    predicted: Floats = field(default_factory=lambda: np.empty((0, 3)), repr=False, compare=False)
    truth: Floats = field(default_factory=lambda: np.empty((0, 3)), repr=False, compare=False)

    @property
    def mae(self) -> float:
        """Mean absolute error over all three angles, degrees."""
        return self.overall.mae

    @property
    def by_angle(self) -> tuple[tuple[str, Agreement], ...]:
        """("an1", ...), ("an2", ...), ("an3", ...), ("all", ...)."""
        return ("an1", self.an1), ("an2", self.an2), ("an3", self.an3), ("all", self.overall)


def score(predicted: Angles, truth: Angles, partial: bool = False) -> Score:
    """Scores predicted angles.

    Args:
        predicted: (N, 3) degrees; or the path of a CSV (see `read_angles_csv`); or a data frame with the columns
            name, an1, an2, an3 (see `table_of_frame`).
        truth: likewise. Files and frames are matched by film name, in any order; an array is matched by row.
        partial: score the predicted films alone where the truth holds more; not for arrays.

    Raises:
        AasceError: a file or frame is refused (see `read_table`), or the two hold different films.
        ValueError: an array has a wrong shape or an angle that is not finite or negative.
    """
    ours, theirs = _read(predicted, "predicted"), _read(truth, "truth")
    if isinstance(ours, AngleTable) and isinstance(theirs, AngleTable):
        degrees, same = align(ours, theirs, partial)
        return _scored(degrees, same.degrees, same.names, ours.extra)
    named = next((table for table in (theirs, ours) if isinstance(table, AngleTable)), None)
    names = named.names if named else None
    extra = ours.extra if isinstance(ours, AngleTable) else ()
    return _scored(*checked_pair(_values(ours), _values(theirs)), names, extra)


def _read(angles: Angles, name: str) -> AngleTable | ArrayLike:
    if isinstance(angles, str | Path):
        return read_table(angles)
    pandas = sys.modules.get("pandas")  # a caller with a frame has loaded it; the command need not
    if pandas is not None and isinstance(angles, pandas.DataFrame):
        return table_of_frame(angles, name)
    return cast(ArrayLike, angles)


def _values(source: AngleTable | ArrayLike) -> ArrayLike:
    return source.degrees if isinstance(source, AngleTable) else source


def _scored(predicted: Floats, truth: Floats, names: Sequence[str] | None, extra: tuple[str, ...]) -> Score:
    films = film_smape(predicted, truth)
    error = np.abs(predicted - truth)
    of_smape, *of_mae = bca_intervals(np.column_stack([films, error, error.mean(axis=1)]))
    each = [_agreement(predicted[:, j], truth[:, j], of_mae[j]) for j in range(3)]
    return Score(
        n=len(truth),
        smape=float(films.mean()),
        smape_interval=of_smape,
        truth_median_smape=smape(np.broadcast_to(np.median(truth, axis=0), truth.shape), truth),
        an1=each[0],
        an2=each[1],
        an3=each[2],
        overall=_agreement(predicted.ravel(), truth.ravel(), of_mae[3]),
        worst=_worst(films, predicted, truth, names or [f"row {i}" for i in range(len(truth))]),
        ignored_columns=extra,
        predicted=predicted,
        truth=truth,
    )


def _agreement(predicted: Floats, truth: Floats, interval: Interval | None) -> Agreement:
    error = np.abs(predicted - truth)
    bias, limits = bland_altman(predicted, truth)
    return Agreement(
        mae=float(error.mean()),
        sd=float(error.std(ddof=1)) if len(error) > 1 else None,
        interval=interval,
        within=float((error <= CLOSE + 1e-9).mean()),
        pearson=pearson(predicted, truth),
        icc=icc_2_1(np.column_stack([predicted, truth])),
        bias=bias,
        limits=limits,
    )


def _worst(films: Floats, predicted: Floats, truth: Floats, names: Sequence[str]) -> tuple[FilmError, ...]:
    order = sorted(range(len(films)), key=lambda i: (-films[i], names[i]))[:WORST]
    return tuple(
        FilmError(names[i], float(films[i]), tuple(predicted[i].tolist()), tuple(truth[i].tolist()))
        for i in order
    )
