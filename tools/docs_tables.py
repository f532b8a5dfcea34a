"""The tables of the documentation, as Markdown. Each is made from docs/data, submissions/ or the registry alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aasce.solvers.registry import ENTRIES, Entry
from aasce.weights import weights_size
from tools.docs_scores import BASELINE, FIRST_FOLD, FITTED

REGRESSING = ("centerline", "multitask_pyramid", "seg4reg", "scg_net", "top_down")
"""Systems of the challenge that give angles without landmarks; version 0.1.0 had them too."""

LANDMARK = ("coarse_to_fine", "corner_regression", "keypoint_fusion", "labelling", "rotated_proposals")
"""Systems that find the corners or centres of vertebrae."""

SYSTEMS = (*REGRESSING, *LANDMARK)
"""Systems of the challenge whose out-of-fold predictions are those of fold 0."""

ALL_FOLDS = ("vertebra_field", "vertebra_field_2", "ensemble", "vertebra_field_rendered")
"""Systems whose out-of-fold predictions are those of all films."""

LABELS = {"ensemble": "default ensemble (`--ensemble`)", BASELINE: "`constant`, medians of the other folds"}
RENDERED = "vertebra_field_rendered"
"""Weights that have seen no real film."""

Row = Sequence[object]


@dataclass(frozen=True)
class Sources:
    """What the tables are made from.

    Attributes:
        logs: contents of docs/data/NAME.json by NAME, without the scores.
        scores: see `tools.docs_scores.score_submissions`.
        weights: folder of the released weights.
        entries: the solvers of the kit.
    """

    logs: dict[str, Any]
    scores: dict[str, Any]
    weights: Path
    entries: tuple[Entry, ...] = field(default=ENTRIES)


def read_sources(root: Path, scores: dict[str, Any]) -> Sources:
    """Reads docs/data below `root`."""
    logs = {
        path.stem: json.loads(path.read_text("utf-8")) for path in (root / "docs" / "data").glob("*.json")
    }
    return Sources(logs, scores, root / "aasce" / "weights")


def markdown(columns: Sequence[str], rows: Iterable[Row]) -> str:
    """A table; numbers stand as Python writes them."""
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)])


def label(name: str) -> str:
    """A system as the tables name it."""
    return LABELS.get(name, f"`{name}`")


def span(interval: Sequence[float] | None, digits: int = 2) -> str:
    """An interval in brackets with a blank before it; nothing without one."""
    return "" if interval is None else f" ({interval[0]:.{digits}f}-{interval[1]:.{digits}f})"


def smape(entry: dict[str, Any]) -> str:
    """SMAPE with its interval."""
    return f"{entry['smape']:.2f}{span(entry['interval'])}"


def mae(entry: dict[str, Any]) -> str:
    """Mean absolute errors of the three angles."""
    return " / ".join(f"{entry['angles'][name]['mae']:.2f}" for name in ("an1", "an2", "an3"))


def within(entry: dict[str, Any]) -> str:
    """Share of films whose major angle lies within 5 degrees."""
    return f"{100 * entry['angles']['an1']['within']:.0f} %"


def log_table(log: dict[str, Any]) -> str:
    """A table of figures that are kept in docs/data, with where they come from."""
    notes = [log["note"]] if "note" in log else []
    if "command" in log:
        notes.append(f"Measured by `{log['command']}`.")
    if "commit" in log:
        notes.append(f"State of {log['date']}, commit {log['commit']}.")
    return "\n\n".join(
        [f"{log['about']}:", markdown(log["columns"], log["rows"]), *([" ".join(notes)] if notes else [])]
    )


def submission(sources: Sources, name: str, part: str) -> dict[str, Any]:
    """Scores of a system's out-of-fold predictions: "all" or the first fold."""
    entry: dict[str, Any] = sources.scores[name if name == BASELINE else f"oof-{name}"][part]
    return entry


def summary_table(sources: Sources) -> str:
    """The README's first table: figures of others beside published ones and the kit's own."""
    heldout = sources.logs["heldout"]
    own, validation = (
        {row["system"]: row for row in heldout[part]["rows"] if "system" in row}
        for part in ("whole", "validation")
    )
    rows: list[Row] = []
    for name in dict.fromkeys(("ensemble", *validation)):  # the ensemble may be newer than the figures
        if name in ("ensemble", "vertebra_field", *SYSTEMS):
            row = validation.get(name)
            films = "" if row is None else f"{row['smape']} ({row['interval']})"
            whole = own[name]["smape"] if name in own else ""
            folds = smape(submission(sources, name, "all")) if name in ALL_FOLDS else ""
            rows.append((label(name), films, whole, folds))
    rows += published_rows(heldout)
    return markdown(
        (
            "system",
            "128 official validation films",
            "98 whole test films, one left out",
            "481 training films, out of fold",
        ),
        rows,
    )


def published_rows(heldout: dict[str, Any]) -> list[Row]:
    """Published figures of the README's first table: the films of both sets, or the better known method."""
    whole = {row["name"]: row for row in heldout["whole"]["rows"] if "name" in row}
    validation = {row["name"]: row for row in heldout["validation"]["rows"] if "name" in row}
    rows: list[Row] = []
    for name in ("RouterNet (AAAI 2026)", "vertebra-focused landmarks, rerun", "Seg4Reg+"):
        films = f"{whole[name]['smape']}, {whole[name]['films']}" if name in whole else ""
        rows.append((f"published: {name}", validation[name]["smape"], films, ""))
    return rows


def validation_table(sources: Sources) -> str:
    """Figures on the 128 validation films, exactly as given."""
    part = sources.logs["heldout"]["validation"]
    rows = [
        (
            heldout_name(row),
            f"{row['smape']} ({row['interval']})" if "interval" in row else row["smape"],
            row.get("mae", ""),
            row.get("all", ""),
            row.get("remark", ""),
        )
        for row in part["rows"]
    ]
    columns = ("system", "SMAPE (95 %)", "MAE an1 / an2 / an3", "all", "remark")
    return f"{part['about']}:\n\n{markdown(columns, rows)}\n\n{part['note']}"


def heldout_name(row: dict[str, Any]) -> str:
    """Name of a row of the held-out figures."""
    return label(row["system"]) if "system" in row else str(row["name"])


def whole_table(sources: Sources) -> str:
    """Figures on the 98 whole test films."""
    part = sources.logs["heldout"]["whole"]
    rows = [
        (heldout_name(row), row["films"], row["smape"], row["cmae"], row["remark"]) for row in part["rows"]
    ]
    return f"{part['about']}:\n\n{markdown(('system', 'films', 'SMAPE', 'CMAE', 'remark'), rows)}"


def generated_table(sources: Sources) -> str:
    """Figures on generated films of another style."""
    part = sources.logs["heldout"]["generated"]
    columns = (
        "system",
        "recall of vertebrae",
        "precision",
        "MAE of the major angle",
        "median",
        "MAE of a tilt",
    )
    keys = ("recall", "precision", "major", "median", "tilt")
    rows = [(heldout_name(row), *(row[key] for key in keys)) for row in part["rows"]]
    return f"{part['about']}, degrees:\n\n{markdown(columns, rows)}"


def time_table(sources: Sources) -> str:
    """Seconds measured from outside."""
    part = sources.logs["heldout"]["time"]
    rows = [(row["what"], row["seconds"]) for row in part["rows"]]
    return f"{part['about']}:\n\n{markdown(('what', 'seconds'), rows)}"


def oof_table(sources: Sources) -> str:
    """All 481 films, each predicted by a model that saw none of its study."""
    rows: list[Row] = []
    for name in ALL_FOLDS:
        entry = submission(sources, name, "all")
        rows.append(
            (label(name), entry["films"], smape(entry), mae(entry), within(entry), weights(sources, name))
        )
    for name, text in ((BASELINE, label(BASELINE)), (FITTED, "median of the same films")):
        entry = sources.scores[name]["all"]
        rows.append((text, entry["films"], smape(entry), mae(entry), within(entry), ""))
    columns = (
        "solver", "films", "SMAPE (95 %)", "MAE an1 / an2 / an3, degrees", "an1 within 5 degrees", "weights",
    )  # fmt: skip
    return markdown(columns, rows)


def weights(sources: Sources, name: str) -> str:
    """Size of the released weights' file; nothing for a solver without a network."""
    folder = sources.weights / name
    if name == BASELINE or not folder.is_dir():
        return ""
    return f"{weights_size(folder).megabytes:.1f} MB"


def folds_table(sources: Sources) -> str:
    """SMAPE and MAE of the major angle, fold by fold."""
    rows: list[Row] = []
    for name in ALL_FOLDS:
        folds = sources.scores[f"oof-{name}"]["folds"]
        rows.append((label(name), *(f"{fold['smape']:.2f}, {fold['mae_an1']:.2f}°" for fold in folds)))
    return markdown(("SMAPE, MAE of an1", *(f"fold {k}" for k in range(5))), rows)


def first_fold_table(sources: Sources) -> str:
    """All systems on the films of fold 0."""
    names = ("ensemble", "vertebra_field", "vertebra_field_2", *SYSTEMS, "vertebra_field_rendered", BASELINE)
    found = sorted(
        ((submission(sources, name, FIRST_FOLD), name) for name in names), key=lambda pair: pair[0]["smape"]
    )
    rows = [
        (label(name), smape(entry), mae(entry), within(entry), weights(sources, name), paper(sources, name))
        for entry, name in found
    ]
    columns = (
        "solver", "SMAPE (95 %)", "MAE an1 / an2 / an3, degrees", "an1 within 5 degrees", "weights",
        "its paper's figure",
    )  # fmt: skip
    return markdown(columns, rows)


def paper(sources: Sources, name: str) -> str:
    """The most comparable figure of a system's paper, with its films."""
    figures = next((entry.figures for entry in sources.entries if entry.name == name), ())
    return f"{figures[0]} ({figures[0].measured_on})" if figures else ""


def before_table(sources: Sources) -> str:
    """Fold 0 of the challenge's systems in 0.1.0 and now."""
    old = sources.logs["before"]["scores"]
    rows = []
    for name in REGRESSING:
        now = submission(sources, name, FIRST_FOLD)
        rows.append((label(name), smape(old[name]), mae(old[name]), smape(now), mae(now)))
    columns = (
        "solver", "before (0.1.0, without localizer): SMAPE", "MAE an1 / an2 / an3",
        "as they ship: SMAPE", "MAE an1 / an2 / an3",
    )  # fmt: skip
    return markdown(columns, rows)


def published_table(sources: Sources) -> str:
    """Every figure of a paper that the registry names."""
    rows = [
        (label(entry.name), str(figure), figure.films, entry.citation if figure is entry.figures[0] else "")
        for entry in sources.entries
        for figure in entry.figures
    ]
    return markdown(("solver", "published", "measured on", "paper"), rows)


def card_table(entry: dict[str, Any]) -> str:
    """Errors and agreement by angle, for a model card."""
    angles = entry["angles"]

    def line(name: str, cell: Callable[[dict[str, Any]], str]) -> Row:
        return (name, *(cell(angle) for angle in angles.values()))

    rows = (
        line("MAE, degrees (95 %)", lambda a: f"{a['mae']:.2f}{span(a['interval'])}"),
        line("its standard deviation", lambda a: f"{a['sd']:.2f}"),
        line("within 5 degrees", lambda a: f"{100 * a['within']:.0f} %"),
        line("Pearson r", lambda a: number(a["pearson"])),
        line("ICC(2,1)", lambda a: number(a["icc"])),
        line(
            "bias (limits of agreement)",
            lambda a: f"{a['bias']:.1f} ({a['limits'][0]:.1f} to {a['limits'][1]:.1f})",
        ),
    )
    return markdown(("", *angles), rows)


def number(value: float | None) -> str:
    """Three decimals; a dash where there is no value."""
    return "-" if value is None else f"{value:.3f}"


def card(sources: Sources, name: str) -> str:
    """The measured part of a model card: scores out of fold, and on the held-out films where there are any."""
    if name == BASELINE:
        return baseline_card(sources)
    scores = sources.scores[f"oof-{name}"]
    entry, folds = scores["all"], scores["folds"]
    films = "none of them seen" if name == RENDERED else "five folds" if len(folds) > 1 else "fold 0"
    parts = [
        f"{entry['films']} films ({films}, official labels): SMAPE {smape(entry)}. "
        f"The median angles score {entry['median_smape']:.2f} on the same films.",
        card_table(entry),
    ]
    if len(folds) > 1:
        by_fold = [", ".join(f"{fold[key]:.2f}" for fold in folds) for key in ("smape", "mae_an1")]
        parts.append(f"By fold, 0 to 4: SMAPE {by_fold[0]}; MAE of an1 {by_fold[1]}.")
    return "\n\n".join([*parts, *heldout_lines(sources, name), *size_lines(sources, name)])


def baseline_card(sources: Sources) -> str:
    """Scores of the medians, out of fold and on the films that they are the medians of."""
    rows = []
    for key, films in ((BASELINE, "out of fold"), (FITTED, "the films it was fitted on")):
        entry = sources.scores[key]["all"]
        rows.append((films, entry["films"], smape(entry), f"{entry['angles']['an1']['mae']:.2f}°"))
    return markdown(("measured on", "films", "SMAPE (95 %)", "MAE an1"), rows)


def heldout_lines(sources: Sources, name: str) -> list[str]:
    """What others measured of the released weights on films that nobody here chose on."""
    heldout = sources.logs["heldout"]
    row = next((row for row in heldout["validation"]["rows"] if row.get("system") == name), None)
    if row is None:
        return []
    figures = f"SMAPE {row['smape']} ({row['interval']}), MAE {row['mae']} degrees"
    return [f"The 128 official validation films of AASCE 2019: {figures}. {heldout['sentence']}"]


def size_lines(sources: Sources, name: str) -> list[str]:
    """How many numbers were learned, and the size of their file."""
    folder = sources.weights / name
    if not folder.is_dir():
        return []
    size = weights_size(folder)
    return [f"{size.parameters / 1e6:.1f} million weights, {size.megabytes:.1f} MB."]


TABLES: dict[str, Callable[[Sources], str]] = {
    "summary": summary_table,
    "heldout": lambda sources: str(sources.logs["heldout"]["sentence"]),
    "heldout/validation": validation_table,
    "heldout/whole": whole_table,
    "heldout/generated": generated_table,
    "heldout/time": time_table,
    "out-of-fold": oof_table,
    "folds": folds_table,
    "fold-0": first_fold_table,
    "before": before_table,
    "published": published_table,
}
"""Tables that are computed; "card/NAME" is the card of a system, "FILE/TABLE" a log in docs/data."""


def table(name: str, sources: Sources) -> str:
    """The text of a block.

    Raises:
        KeyError: there is no such table.
    """
    from tools.docs_agreement import clinical_table, intervals_table  # which is made of parts of this module

    tables = TABLES | {"clinical": clinical_table, "intervals": intervals_table}
    if name in tables:
        return tables[name](sources)
    file, _, part = name.partition("/")
    if file == "card":
        return card(sources, part)
    if part not in sources.logs.get(file, {}):
        raise KeyError(
            f"no table {name!r}; there are {', '.join(tables)}, card/SYSTEM and FILE/TABLE of docs/data"
        )
    return log_table(sources.logs[file][part])
