"""Tables of the documentation on both definitions of the angles, and on intervals; empty where nothing is measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tools.docs_tables import Row, Sources, label, markdown, number, span

DEFINITIONS = ("challenge", "clinical")
NAMES = {"an1": "an1 (the major angle)", "an2": "an2", "an3": "an3"}


def clinical_table(sources: Sources) -> str:
    """Errors and agreement by both definitions side by side, and end vertebrae; one pair of tables a system."""
    systems = sources.logs.get("clinical", {})
    return _under("## By both definitions", [_of_system(name, figures) for name, figures in systems.items()])


def _under(heading: str, parts: Sequence[str]) -> str:
    """The parts below a heading; nothing without any."""
    return "\n\n".join([heading, *parts]) if parts else ""


def _of_system(name: str, figures: dict[str, Any]) -> str:
    errors: list[Row] = []
    ends: list[Row] = []
    for angle, text in NAMES.items():
        parts = [figures[definition]["angles"][angle] for definition in DEFINITIONS]
        errors.append((text, *(cell for part in parts for cell in _agreement(part))))
        ends += [
            (f"{text}, {which}", *(_ends(part["ends"], which) for part in parts))
            for which in ("upper", "lower")
        ]
    columns = [
        f"{what}, {definition}"
        for definition in DEFINITIONS
        for what in ("MAE, degrees", "ICC(2,1)", "limits")
    ]
    films = figures[DEFINITIONS[0]]["films"]
    return "\n\n".join(
        [
            f"{label(name)}, {films} films out of fold. By the clinical definition the labels are measured on the "
            "labelled corners, wrong ones repaired; limits are Bland and Altman's of predicted - label:",
            markdown(("angle", *columns), errors),
            "End vertebrae that are the label's, and those that are at most one level off, of curves of 10 degrees or "
            "more:",
            markdown(("end vertebra", *DEFINITIONS), ends),
        ]
    )


def _agreement(part: dict[str, Any]) -> Row:
    limits = "-" if part["limits"] is None else f"{part['limits'][0]:.1f} to {part['limits'][1]:.1f}"
    icc = f"{number(part['icc'])}{span(part['icc_interval'], 3)}"
    return f"{part['mae']:.2f}{span(part['interval'])}", icc, limits


def _ends(part: dict[str, Any] | None, which: str) -> str:
    if part is None:
        return "-"
    return f"{100 * part[which]:.0f} %, {100 * part[f'near_{which}']:.0f} % of {part['count']}"


def intervals_table(sources: Sources) -> str:
    """What intervals cover out of fold, and the error of flagged films; a table for each system and definition."""
    systems = sources.logs.get("intervals", {})
    parts = [
        _covered(name, definition, part)
        for name, figures in systems.items()
        for definition, part in figures.items()
    ]
    return _under("## Intervals", parts)


def _covered(name: str, definition: str, part: dict[str, Any]) -> str:
    groups: dict[str, list[str]] = {}
    for row in part["table"]:
        groups.setdefault(_group(row["films"]), []).append(_share(row))
    flags = part["flags"]
    lines = [
        f"{label(name)}, {definition} definition, {part['films']} films, intervals of {100 * part['coverage']:g} % "
        "fitted on the other folds: share of labels covered (95 % Wilson interval) of how many films, and mean width:",
        markdown(
            ("films, degrees", "an1", "an2", "an3"), [(films, *cells) for films, cells in groups.items()]
        ),
    ]
    texts = {"flagged": "with a flag", "others": "without"}
    errors = [_error(each, texts.get(key, f"with `{key}`")) for key, each in flags.items()]
    lines.append(
        f"Mean error of an1, of the three angles: {'; '.join(errors)}. Measured by `{part['command']}`."
    )
    return "\n\n".join(lines)


def _group(films: str) -> str:
    what, _, severity = films.partition(" ")
    return films if not severity else f"{severity} by the {'label' if what == 'label' else 'prediction'}"


def _share(row: dict[str, Any]) -> str:
    if row["share"] is None:
        return "no film"
    low, high = (100 * end for end in row["interval"])
    return f"{100 * row['share']:.1f} % ({low:.1f}-{high:.1f}) of {row['count']}, {row['width']:.1f}°"


def _error(part: dict[str, Any], text: str) -> str:
    if not part["films"]:
        return f"no film {text}"
    return f"{part['films']} films {text} {part['mae']:.2f}°, {part['mae_all']:.2f}°"
