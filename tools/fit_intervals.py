"""Intervals of a released solver or of an ensemble, fitted to held-out predictions, and what they cover out of fold.

    python -m tools.fit_intervals vertebra_field_2                   (submissions/oof-vertebra_field_2)
    python -m tools.fit_intervals vertebra_field_2 runs/fold0 runs/fold1 runs/fold2 runs/fold3 runs/fold4
    python -m tools.fit_intervals ensemble                           (submissions/oof-MEMBER of each member)
    python -m tools.fit_intervals vertebra_field --no-confidence     (predictions from before it was kept)

A rule is fitted by each definition of the angles; by the clinical one where the predictions are kept with their
landmarks (`tools.assemble_oof --landmarks`). The rules go into state.json of the released weights, or beside the YAML
of the ensemble, and the coverage into docs/data. The coverage that is printed is that of rules fitted on other folds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from aasce.api import DEFAULT_ENSEMBLE, Ensemble
from aasce.config import load_settings
from aasce.datasets import FilmSet, data_root, grouped_folds, read_challenge
from aasce.datasets.challenge import LabelledFilm
from aasce.ensemble import EnsembleMember, EnsembleSettings, combine
from aasce.ensemble.intervals import EnsembleIntervals, write_intervals
from aasce.geometry.audit import fix_landmarks
from aasce.geometry.cobb import cobb_angles
from aasce.readers.films import film_size
from aasce.scoring.conformal import (
    COVERAGE,
    Covered,
    IntervalRule,
    OutOfFold,
    checked_coverage,
    coverage_table,
    cross_conformal,
    fit_intervals,
)
from aasce.solvers.base import read_state, write_state
from aasce.solvers.registry import solver_class
from aasce.solvers.shared.confidence import Rule
from aasce.types import AasceError, CobbAngles, Definition, SpinePrediction
from aasce.weights import resolve
from tools.docs_scores import FOLDS, SEED, add_figures, rounded
from tools.held_out_films import UNKNOWN, HeldFilm, read_held_films

Floats = NDArray[np.float64]

DEFINITIONS: tuple[Definition, ...] = ("challenge", "clinical")


@dataclass(frozen=True, slots=True)
class Member:
    """A solver with the predictions of films that it was not trained on.

    Attributes:
        name: of the released weights.
        weight: in the ensemble; 1 for a solver by itself.
        rule: of its released confidence.
        unsure_below: see `Solver.unsure_below`.
        films: by name.
    """

    name: str
    weight: float
    rule: Rule | None
    unsure_below: float
    films: dict[str, HeldFilm]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Films to fit on by one definition.

    Attributes:
        films: predicted and labelled.
        studies: (N,) of the films.
        flags: (N,) of the predictions.
    """

    films: OutOfFold
    studies: list[str]
    flags: list[tuple[str, ...]]


def read_member(name: str, folders: Sequence[Path], weight: float = 1.0) -> Member:
    """Reads the held-out predictions of a solver.

    Raises:
        AasceError: they cannot be read, or there are no weights of this name.
    """
    state = read_state(resolve(name))
    calibration = state.learned.get("calibration")
    solver = solver_class(state.target)
    rule = solver.prior if calibration is None else (calibration[0], calibration[1])
    return Member(name, weight, rule, solver.unsure_below, read_held_films(folders))


def check_confidence(members: Sequence[Member]) -> None:
    """Raises an AasceError where a member's held-out predictions keep no confidence."""
    for member in members:
        if any(film.confidence is None for film in member.films.values()):
            raise AasceError(
                f"{member.name}: the manifest of its predictions keeps no confidence of the films; predict the "
                "held-out films anew (remove manifest.json of each fold's run and repeat its command), or do "
                "without (--no-confidence)"
            )


def calibration_films(
    members: Sequence[Member], films: FilmSet, definition: Definition, limit: float
) -> Calibration | None:
    """Combines the members' predictions as they are combined when films are measured.

    Args:
        members: one, or those of an ensemble.
        films: labelled.
        definition: of the angles.
        limit: see `EnsembleSettings.max_disagreement_deg`.

    Returns:
        None where no film is predicted by all members, with the landmarks that the clinical definition needs.
    """
    predicted, truth, sure, spread, studies, flags = [], [], [], [], [], []
    for film in films:
        seen = [member.films.get(film.film_id) for member in members]
        found = [one for one in seen if one is not None and _usable(one, definition)]
        if len(found) < len(members) or film.landmarks is None or film.angles is None:
            continue
        size = film_size(film.path) if definition == "clinical" else (0, 0)
        parts = [
            _prediction(m, held, film.film_id, definition, size)
            for m, held in zip(members, found, strict=True)
        ]
        mixed = combine(parts, [m.weight for m in members], definition, [m.name for m in members], limit)
        if mixed.angles is None:
            continue
        predicted.append(mixed.angles.degrees)
        truth.append(labelled_angles(film, definition, size))
        sure.append(mixed.prediction.confidence)
        spread.append(mixed.spread)
        studies.append(film.study)
        flags.append(tuple(mixed.prediction.flags))
    if not predicted:
        return None
    kept = OutOfFold(np.array(predicted), np.array(truth), np.array(sure), np.array(spread))
    return Calibration(kept, studies, flags)


def _usable(held: HeldFilm, definition: Definition) -> bool:
    return definition == "challenge" or held.landmarks is not None


def _prediction(
    member: Member, held: HeldFilm, name: str, definition: Definition, size: tuple[int, int]
) -> SpinePrediction:
    own = definition == "challenge"
    degrees = held.degrees if own else held.angles(definition, size).degrees
    angles = CobbAngles(np.asarray(degrees, np.float64), definition)
    chance = held.confidence_by(member.rule)
    flags = held.flags_by(chance, member.unsure_below)
    return SpinePrediction(name, size, angles=angles, confidence=chance, flags=flags, solver=member.name)


def labelled_angles(film: LabelledFilm, definition: Definition, size: tuple[int, int]) -> Floats:
    """(3,) degrees of the label: the official ones, or by the clinical definition those of its repaired landmarks."""
    assert film.landmarks is not None
    if definition == "challenge":
        return np.asarray(film.angles, np.float64)
    degrees: Floats = cobb_angles(fix_landmarks(film.landmarks, size), size[0], definition).degrees
    return degrees


def crossed(calibration: Calibration, definition: Definition, coverage: float) -> list[Covered]:
    """Coverage of intervals fitted on the other folds, whole studies together."""
    folds = grouped_folds(calibration.studies, min(FOLDS, len(set(calibration.studies))), SEED)
    bounds = cross_conformal(calibration.films, folds, definition, coverage)
    return coverage_table(calibration.films, bounds)


def flagged_errors(calibration: Calibration) -> dict[str, Any]:
    """Films with any flag, without one, and with each flag: how many, and their mean errors, degrees.

    Returns:
        "flagged", "others", and each flag's name: "films", "mae" of the major angle, "mae_all" of the three angles.
    """
    error = np.abs(calibration.films.predicted - calibration.films.truth)
    flagged = np.array([bool(flags) for flags in calibration.flags])
    parts = {"flagged": flagged, "others": ~flagged}
    for name in sorted({flag for flags in calibration.flags for flag in flags}):
        parts[name] = np.array([name in flags for flags in calibration.flags])
    return {name: _errors(error[some]) for name, some in parts.items()}


def _errors(error: Floats) -> dict[str, Any]:
    none = not len(error)
    return {
        "films": len(error),
        "mae": None if none else float(error[:, 0].mean()),
        "mae_all": None if none else float(error.mean()),
    }


def lines_of(table: Sequence[Covered]) -> list[str]:
    """The table as text: share covered with its interval, mean width, and how many films, a line a group of films."""
    groups: dict[str, list[Covered]] = {}
    for row in table:
        groups.setdefault(row.films, []).append(row)
    return [f"  {name}: " + "; ".join(_cell(row) for row in rows) for name, rows in groups.items()]


def _cell(row: Covered) -> str:
    if row.share is None or row.interval is None:
        return f"{row.angle} no film"
    low, high = row.interval
    return (
        f"{row.angle} {100 * row.share:.1f} % ({100 * low:.1f}-{100 * high:.1f}) "
        f"of {row.count}, width {row.width:.1f}°"
    )


def read_members(
    name: str, folders: Sequence[Path], submissions: Path
) -> tuple[list[Member], float, EnsembleSettings | None]:
    """The members with their predictions, the limit of their disagreement, and the ensemble's settings.

    Args:
        name: released weights or a run folder; "ensemble", or the YAML of one.
        folders: of the predictions of a single solver; submissions/oof-NAME without any.
        submissions: folder of oof-NAME.

    Raises:
        AasceError: predictions or weights cannot be read.
    """
    path = _ensemble_path(name)
    if path is None:
        return [read_member(name, list(folders) or [submissions / f"oof-{name}"])], 180.0, None
    if folders:
        raise AasceError(
            f"{name}: members' predictions are read from oof-MEMBER; name their folder by --submissions"
        )
    settings = load_settings(EnsembleSettings, path)
    members = [_member(member, submissions) for member in settings.members]
    return members, settings.max_disagreement_deg, settings


def _member(member: EnsembleMember, submissions: Path) -> Member:
    return read_member(member.solver, [submissions / f"oof-{member.solver}"], member.weight)


def _ensemble_path(name: str) -> Path | None:
    if name == Ensemble.name:
        return DEFAULT_ENSEMBLE
    return Path(name) if Path(name).suffix in (".yaml", ".yml") else None


def keep(name: str, rules: tuple[IntervalRule, ...], settings: EnsembleSettings | None) -> Path:
    """Writes the rules where `aasce predict` finds them; returns the folder or the YAML they belong to.

    Raises:
        AasceError: they cannot be written.
    """
    path = _ensemble_path(name)
    if path is not None and settings is not None:
        sums = {m.solver: read_state(resolve(m.solver)).checksum for m in settings.members}
        write_intervals(path, EnsembleIntervals(ensemble=settings, checksums=sums, rules=rules))
        return path
    folder = resolve(name)
    state = read_state(folder)
    plain = [rule.model_dump(mode="json") for rule in rules]
    write_state(folder, replace(state, learned={**state.learned, "intervals": plain}))
    return folder


def main(
    name: Annotated[str, typer.Argument(help="released weights or run folder; ensemble, or its YAML")],
    folders: Annotated[list[Path] | None, typer.Argument(help="OOF folder, or run folders of folds")] = None,
    data: Annotated[Path | None, typer.Option(help="folder of the data set; else AASCE_DATA")] = None,
    submissions: Annotated[Path, typer.Option(help="folder of oof-NAME")] = Path("submissions"),
    coverage: Annotated[float, typer.Option(help="of the printed table")] = COVERAGE,
    docs: Annotated[Path, typer.Option(help="figures for the documentation")] = Path(
        "docs/data/intervals.json"
    ),
    confidence: Annotated[
        bool,
        typer.Option("--confidence/--no-confidence", help="whether widths follow each film's confidence"),
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print alone, write nothing")] = False,
) -> None:
    """Fits intervals, prints what they cover out of fold, and keeps them with the weights or the ensemble."""
    checked_coverage(coverage)
    members, limit, settings = read_members(name, folders or [], submissions)
    if confidence:
        check_confidence(members)
    films = read_challenge(data_root(data))
    rules, figures = [], {}
    for definition in DEFINITIONS:
        found = calibration_films(members, films, definition, limit)
        if found is None:
            typer.echo(
                f"{definition}: left out, as no film has predictions of all members that it can be measured on"
            )
            continue
        if not confidence:
            equal = np.full(len(found.films), UNKNOWN)
            found = replace(found, films=replace(found.films, confidence=equal))
        rules.append(fit_intervals(found.films, definition))
        table, errors = crossed(found, definition, coverage), flagged_errors(found)
        typer.echo(f"{name}, {definition} definition, {len(found.films)} films, {coverage:g} asked for:")
        typer.echo("\n".join(lines_of(table)))
        typer.echo(f"  mean errors of an1 and of all three angles by flags: {json.dumps(rounded(errors))}")
        command = f"python -m tools.fit_intervals {Path(name).stem}{'' if confidence else ' --no-confidence'}"
        figures[definition] = {
            "command": command, "films": len(found.films), "coverage": coverage, "flags": errors,
            "table": [asdict(row) for row in table],
        }  # fmt: skip
    if dry_run or not rules:
        return
    typer.echo(f"{keep(name, tuple(rules), settings)}: intervals kept")
    add_figures(docs, Path(name).stem, figures)


if __name__ == "__main__":
    typer.run(main)
