"""`aasce compare`: two films of one patient between the same end vertebrae."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from aasce.commands.staging import staged
from aasce.ensemble import Measurement, with_angles
from aasce.files import write_text
from aasce.geometry.change import Match, Spine, changes, matched
from aasce.geometry.description import level_name
from aasce.geometry.spine import turn_points
from aasce.readers import read_films
from aasce.readers.identity import identity_of
from aasce.readers.landmarks import read_landmarks
from aasce.types import AasceError, Definition, FilmFacts, Radiograph, SpinePrediction, as_float
from aasce.writers.comparison import (
    SOURCE,
    THRESHOLD,
    Comparison,
    Side,
    comparison_record,
    draw_comparison,
    verdict,
)
from aasce.writers.describe import upright_left
from aasce.writers.overlay import save_overlay

if TYPE_CHECKING:
    from rich.console import Group

LANDMARK_SUFFIXES = (".json", ".csv")

UNSAFE = (
    "spine_unclear",
    "angles_unsure",
    "levels_unsure",
    "vertebra_missing",
    "members_disagree",
    "curve_leaves_film",
    "hardware",
    "lateral_view",
    "not_a_radiograph",
    "pixels_damaged",
)
"""Flags that make a comparison unsafe."""

UNSURE = 0.5
"""Confidence below which a film's angles are hardly worth comparing."""


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """How two films are compared.

    Attributes:
        solver: released name or run folder, None for the default solver; for films, not for landmarks.
        definition: that chooses the curves.
        threshold: degrees that a change must exceed.
        device: see `aasce.load`.
    """

    solver: str | None = None
    definition: Definition = "clinical"
    threshold: float = THRESHOLD
    device: str = "cpu"


def compare(earlier: str, later: str, options: CompareOptions, out: Path | None = None) -> Comparison:
    """Compares two films, or the landmarks of two films.

    Args:
        earlier: a film, or a file of landmarks (predictions.json, COCO, LabelMe, Slicer, CSV of corners); with
            "#NAME" behind it where the file holds several films.
        later: likewise.
        options: see `CompareOptions`.
        out: folder that gets comparison.json and, where both films' pixels are at hand, comparison.jpg.

    Raises:
        AasceError: a file cannot be read, holds several films, or its film cannot be measured; or the files cannot be
            written.
    """
    first, second = _sides((earlier, later), options)
    comparison = compared(first, second, options.threshold)
    if out is not None:
        with staged(out) as folder:
            text = json.dumps(comparison_record(comparison), indent=2, allow_nan=False, ensure_ascii=False)
            write_text(folder / "comparison.json", text + "\n")
            picture = draw_comparison(comparison)
            if picture is not None:
                save_overlay(folder / "comparison.jpg", picture)
    return comparison


def compared(earlier: Side, later: Side, threshold: float = THRESHOLD) -> Comparison:
    """Compares two measured films with landmarks; see `Comparison`."""
    sides = [
        upright_left(side.facts, side.measurement.prediction.orientation.turns) for side in (earlier, later)
    ]
    mirrored = None if None in sides else sides[0] != sides[1]
    spines = _spine(earlier), _spine(later)
    match = matched(*spines, mirrored)
    remarks = _by_header(earlier, later) + _remarks(earlier, later, match, mirrored is not None)
    return Comparison(earlier, later, tuple(changes(*spines, match)), match, threshold, tuple(remarks))


def _spine(side: Side) -> Spine:
    prediction, angles = side.measurement.prediction, side.measurement.angles
    assert prediction.landmarks is not None
    assert angles is not None
    upright = turn_points(as_float(prediction.landmarks), prediction.size, prediction.orientation.turns)
    return Spine(upright, prediction.first_level, angles)


def _sides(names: Sequence[str], options: CompareOptions) -> list[Side]:
    """Reads both, and measures the films among them in one call of the solver."""
    read = [_read(name) for name in names]
    films = [film for _, prediction, film in read if prediction is None and film is not None]
    predicted = iter(_predicted(films, options) if films else [])
    return [
        Side(facts, _measured(name, prediction or next(predicted), options.definition), film)
        for name, (facts, prediction, film) in zip(names, read, strict=True)
    ]


def _read(name: str) -> tuple[FilmFacts, SpinePrediction | None, Radiograph | None]:
    """The film, without a prediction; or landmarks as the prediction, with the film where it is at hand."""
    path, part = _split(name)
    if path.suffix.lower() not in LANDMARK_SUFFIXES:
        films = read_films(path)
        film = films[_chosen(path, part, [film.film_id for film in films])]
        return film.facts, None, film
    found = read_landmarks(path)
    facts, prediction = found[_chosen(path, part, [facts.film_id for facts, _ in found])]
    return facts, prediction, _film_beside(path, facts)


def _split(name: str) -> tuple[Path, str | None]:
    """The file, and the film in it that "#" names; a file whose own name holds "#" is one without it."""
    if "#" in name and not Path(name).exists():
        path, _, part = name.partition("#")
        return Path(path), part
    return Path(name), None


def _chosen(path: Path, part: str | None, names: list[str]) -> int:
    """Place of the film to compare among those of a file; a frame is known by its number too."""
    if part is None and len(names) == 1:
        return 0
    wanted = [
        k for k, film in enumerate(names) if part is not None and (film == part or film.endswith(f"#{part}"))
    ]
    if len(wanted) == 1:
        return wanted[0]
    listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    raise AasceError(f"{path}: holds {len(names)} films ({listed}); name one as '{path}#NAME'")


def _predicted(films: Sequence[Radiograph], options: CompareOptions) -> list[SpinePrediction]:
    from aasce.api import load
    from aasce.solvers.registry import DEFAULT_SOLVER

    return load(options.solver or DEFAULT_SOLVER, options.device).predict(films)


def _measured(name: str, prediction: SpinePrediction, definition: Definition) -> Measurement:
    if prediction.failure is not None:
        raise AasceError(f"{name}: cannot be measured ({prediction.failure}); compare films that can")
    if prediction.landmarks is None:
        raise AasceError(
            f"{name}: has no landmarks to compare by; take a solver with landmarks, as vertebra_field"
        )
    measurement = with_angles(replace(prediction, angles=None), definition)
    if measurement.failure is not None:
        raise AasceError(f"{name}: cannot be measured ({measurement.failure}); mark its landmarks anew")
    return measurement


def _film_beside(path: Path, facts: FilmFacts) -> Radiograph | None:
    """The film that landmarks were marked on, where it lies in the same folder and is of the same size."""
    if facts.path is None:
        return None
    try:
        films = read_films(path.parent / facts.path.name, facts.film_id.partition("#")[0])
    except AasceError:
        return None
    frame = (facts.frame or 1) - 1
    return films[frame] if frame < len(films) and films[frame].size == facts.size else None


def _by_header(earlier: Side, later: Side) -> list[str]:
    """What the headers of two DICOM files say against the comparison, without their content."""
    first, second = (
        dict(identity_of(side.film.path if side.film is not None else None)) for side in (earlier, later)
    )
    remarks = []
    if (
        first.get("patient ID", "") != second.get("patient ID", "")
        and "patient ID" in first
        and "patient ID" in second
    ):
        remarks.append("the headers of the files name two patients")
    if first.get("study", "") > second.get("study", "9"):
        remarks.append("the headers date the later film before the earlier one")
    return remarks


def _remarks(earlier: Side, later: Side, match: Match, sided: bool) -> list[str]:
    """What a reader must know before believing the change."""
    remarks = []
    for word, side in (("earlier", earlier), ("later", later)):
        prediction = side.measurement.prediction
        unsafe = [flag for flag in prediction.flags if flag in UNSAFE]
        remarks += [f"{word} film: {flag.replace('_', ' ')}" for flag in unsafe]
        if prediction.solver and prediction.confidence < UNSURE:
            remarks.append(f"{word} film: confidence only {prediction.confidence:.2f}")
    turns = [side.measurement.prediction.orientation.turns for side in (earlier, later)]
    if turns[0] != turns[1]:
        remarks.append(
            "the films lay differently and were set upright: make sure that both are frontal views"
        )
    if match.mirrored:
        known = "as the films say" if sided else "by shape; the films do not say"
        remarks.append(
            f"one film shows the patient from the other side: left and right were swapped, {known}"
        )
    if match.offset:
        count = "lower" if match.offset > 0 else "higher"
        remarks.append(f"the later film's levels were counted one {count}: vertebrae were matched by shape")
    return remarks


def comparison_table(comparison: Comparison) -> Group:
    """A comparison for the terminal: curves, remarks, and the answer in the last line."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    names = comparison.earlier.facts.film_id, comparison.later.facts.film_id
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("curve", "ends chosen on"):
        table.add_column(heading)
    for heading in ("earlier", "later", "change"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for curve in comparison.curves:
        levels = f"{level_name(curve.upper, 0)}–{level_name(curve.lower, 0)}"
        degrees = ["-" if value is None else f"{value:.1f}°" for value in (curve.earlier, curve.later)]
        change = "-" if curve.change is None else f"{curve.change:+.1f}°"
        table.add_row(levels, curve.source, *degrees, change, verdict(curve, comparison.threshold))
    remarks = [Text(f"unsafe: {remark}", style="yellow") for remark in comparison.remarks]
    reason = SOURCE if comparison.threshold == THRESHOLD else "given by --threshold"
    answer = f"{comparison.verdict}: a change counts from over {comparison.threshold:g}°"
    head = Text(f"{names[0]} (earlier), {names[1]} (later)")
    return Group(head, table, *remarks, Text(answer, style="bold"), Text(f"({reason})", style="dim"))
