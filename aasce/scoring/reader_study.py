"""The reader study: several readers' tables of angles to one `ReaderStudy`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from aasce.geometry.description import Severity, severity_of
from aasce.scoring.metrics import mean_squares
from aasce.scoring.reliability import (
    DETECTABLE,
    Estimate,
    Limits,
    icc_absolute,
    icc_consistency,
    limits_of_agreement,
    measurement_error,
    weighted_kappa,
)
from aasce.scoring.tables import AngleTable, align, read_table
from aasce.types import AasceError

Floats = NDArray[np.float64]

GRADES: tuple[str, ...] = get_args(Severity)
"""Severity of a curve, from the least."""

MEASURES: tuple[str, ...] = ("major", "an1", "an2", "an3")
"""What is compared: the largest of each reading's three angles, and each angle by itself."""


@dataclass(frozen=True, slots=True)
class ReaderPair:
    """Two readers on one angle, degrees; differences are second - first.

    Attributes:
        first, second: places of the readers.
        mae: mean absolute difference.
        limits: Bland-Altman bias and limits of agreement.
        kappa: of severity, quadratic weights; None where all films have one severity.
    """

    first: int
    second: int
    mae: float
    limits: Limits
    kappa: float | None


@dataclass(frozen=True, slots=True)
class AngleStudy:
    """All readers on one angle.

    Attributes:
        measure: see `MEASURES`.
        icc_2_1: absolute agreement of readers drawn at random; None for one film or where nothing varies.
        icc_3_1: consistency of these readers; likewise.
        sem: standard error of measurement of one reading, degrees, differences between readers included; None for
            one film.
        mdc95: change that 95 % of two readings of one film stay under, degrees: 1.96 * sqrt(2) * sem.
        pairs: every two readers.
    """

    measure: str
    icc_2_1: Estimate | None
    icc_3_1: Estimate | None
    sem: float | None
    mdc95: float | None
    pairs: tuple[ReaderPair, ...]


@dataclass(frozen=True, slots=True)
class ReaderStudy:
    """A reader study of N films by R readers.

    Attributes:
        readers: a name each, from the files' names.
        films: N names.
        angles: one a measure, in the order of `MEASURES`.
        degrees: (4, N, R), measures as in `angles`.
    """

    readers: tuple[str, ...]
    films: tuple[str, ...]
    angles: tuple[AngleStudy, ...]
    degrees: Floats = field(default_factory=lambda: np.empty((4, 0, 0)), repr=False, compare=False)


def read_study(paths: Sequence[Path], partial: bool = False) -> ReaderStudy:
    """Compares the tables of two or more readers, matched by film name.

    Args:
        paths: CSV tables as `read_table` reads them, one a reader.
        partial: compare the films that every table holds, where some lack a few.

    Raises:
        AasceError: fewer than two tables, one named twice, or they hold different films.
    """
    if len(paths) < 2:
        raise AasceError(
            f"{paths[0] if paths else 'readers'}: one table has nothing to agree with; name two or more"
        )
    tables = [read_table(path) for path in paths]
    common = _common(tables) if partial else tables[0]
    degrees = np.stack([align(_kept(table, common, partial), common)[0] for table in tables], axis=2)
    return study(degrees, reader_names(paths), common.names)


def study(degrees: Floats, readers: Sequence[str], films: Sequence[str]) -> ReaderStudy:
    """A study of (N films, 3 angles, R readers) degrees; see `read_study`."""
    each = np.concatenate([degrees.max(axis=1, keepdims=True), degrees], axis=1).transpose(1, 0, 2)
    angles = tuple(_angle_study(name, values) for name, values in zip(MEASURES, each, strict=True))
    return ReaderStudy(tuple(readers), tuple(films), angles, each)


def reader_names(paths: Sequence[Path]) -> tuple[str, ...]:
    """File names without suffix; with their folders where two would be called alike.

    Raises:
        AasceError: a file is named twice.
    """
    known: set[Path] = set()
    for path in paths:
        if path.resolve() in known:
            raise AasceError(f"{path}: is named twice; name one table a reader")
        known.add(path.resolve())
    stems = [path.stem for path in paths]
    return tuple(
        stem if stems.count(stem) == 1 else str(path) for stem, path in zip(stems, paths, strict=True)
    )


def _common(tables: Sequence[AngleTable]) -> AngleTable:
    """The first table's films that all others hold too."""
    names = set.intersection(*(set(table.names) for table in tables))
    if not names:
        raise AasceError(f"{tables[1].source}: shares no film with {tables[0].source}; name films alike")
    return _only(tables[0], names)


def _kept(table: AngleTable, common: AngleTable, partial: bool) -> AngleTable:
    return _only(table, set(common.names)) if partial else table


def _only(table: AngleTable, names: set[str]) -> AngleTable:
    kept = [i for i, name in enumerate(table.names) if name in names]
    return AngleTable(table.source, tuple(table.names[i] for i in kept), table.degrees[kept], table.extra)


def _angle_study(measure: str, degrees: Floats) -> AngleStudy:
    """Args: degrees (N, R)."""
    parts = mean_squares(degrees)
    sem = None if parts is None else measurement_error(parts)
    grades = np.array([[GRADES.index(severity_of(float(value))) for value in row] for row in degrees])
    pairs = []
    for i, j in combinations(range(degrees.shape[1]), 2):
        first, second = degrees[:, i], degrees[:, j]
        kappa = weighted_kappa(grades[:, i], grades[:, j], len(GRADES))
        mae = float(np.abs(second - first).mean())
        pairs.append(ReaderPair(i, j, mae, limits_of_agreement(first, second), kappa))
    return AngleStudy(
        measure,
        None if parts is None else icc_absolute(parts),
        None if parts is None else icc_consistency(parts),
        sem,
        None if sem is None else DETECTABLE * sem,
        tuple(pairs),
    )
