"""A `ReaderStudy` as JSON, as terminal tables, as a figure."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from aasce.files import atomic_write
from aasce.scoring.present import DOTS, new_figure
from aasce.scoring.reader_study import GRADES, AngleStudy, ReaderPair, ReaderStudy
from aasce.scoring.reliability import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.console import Group
    from rich.table import Table

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Of Okabe and Ito, one a pair of readers."""

METHODS = {
    "icc_2_1": "two-way random effects, absolute agreement, one reading (Shrout and Fleiss 1979)",
    "icc_3_1": "two-way mixed effects, consistency, one reading (Shrout and Fleiss 1979)",
    "sem": "square root of the variances of readers and of residual (de Vet 2006)",
    "mdc95": "1.96 * sqrt(2) * sem",
    "limits": "mean difference -+ 1.96 standard deviations (Bland and Altman 1986, 1999)",
    "kappa": "Cohen's kappa of severity, quadratic weights",
    "severity": list(GRADES),
    "major": "the largest of a reading's three angles",
}


def study_json(study: ReaderStudy) -> str:
    """Everything but the angles themselves: indented JSON, keys in a fixed order, no NaN."""
    content = {
        "readers": study.readers,
        "films": len(study.films),
        "angles": {angle.measure: _plain(study, angle) for angle in study.angles},
        "level": 0.95,
        "methods": METHODS,
    }
    return json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def _plain(study: ReaderStudy, angle: AngleStudy) -> dict[str, object]:
    content = asdict(angle)
    del content["measure"]
    for pair in content["pairs"]:
        pair["first"], pair["second"] = study.readers[pair["first"]], study.readers[pair["second"]]
    return content


def study_table(study: ReaderStudy) -> Group:
    """A study for the terminal."""
    from rich.console import Group
    from rich.text import Text

    films = "1 film" if len(study.films) == 1 else f"{len(study.films)} films"
    head = Text(f"{films}, {len(study.readers)} readers: {', '.join(study.readers)}", style="bold")
    return Group(head, _reliability_table(study), _pairs_table(study))


def _reliability_table(study: ReaderStudy) -> Table:
    table = _table("All readers (degrees; 95 % intervals in brackets)")
    table.add_column("angle")
    for heading in ("ICC(2,1)", "ICC(3,1)", "SEM", "MDC95"):
        table.add_column(heading, justify="right", no_wrap=True)
    for angle in study.angles:
        sem, mdc = ("-" if v is None else f"{v:.2f}" for v in (angle.sem, angle.mdc95))
        table.add_row(angle.measure, _estimate(angle.icc_2_1, 3), _estimate(angle.icc_3_1, 3), sem, mdc)
    return table


def _pairs_table(study: ReaderStudy) -> Table:
    from rich.text import Text

    table = _table("Every two readers (degrees, second - first)")
    table.add_column("readers", overflow="fold")
    table.add_column("angle")
    for heading in ("MAE", "bias", "lower limit", "upper limit", "kappa"):
        table.add_column(heading, justify="right", no_wrap=True)
    for angle in study.angles:
        for pair in angle.pairs:
            limits = pair.limits
            table.add_row(
                Text(_pair_name(study, pair)),
                angle.measure,
                f"{pair.mae:.2f}",
                _estimate(limits.bias, 2, "+"),
                _estimate(limits.lower, 2, "+"),
                _estimate(limits.upper, 2, "+"),
                "-" if pair.kappa is None else f"{pair.kappa:.3f}",
                end_section=pair is angle.pairs[-1],
            )
    return table


def _table(title: str) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)


def _pair_name(study: ReaderStudy, pair: ReaderPair) -> str:
    return f"{study.readers[pair.first]}, {study.readers[pair.second]}"


def _estimate(estimate: Estimate | None, digits: int, sign: str = "") -> str:
    if estimate is None:
        return "-"
    value = f"{estimate.value:{sign}.{digits}f}"
    if estimate.interval is None:
        return value
    low, high = (f"{bound:{sign}.{digits}f}" for bound in estimate.interval)
    return f"{value} ({low} to {high})"


def save_study_figure(study: ReaderStudy, path: Path | str) -> None:
    """Draws each angle as a scatter plot and as a Bland-Altman plot, a colour for every two readers.

    Args:
        study: with its angles.
        path: of the figure; its suffix (.png, .pdf, .svg, .jpg) is the format.

    Raises:
        AasceError: the suffix is no figure format, or the file cannot be written.
    """
    kind, figure = new_figure(path, (16, 8))
    axes = figure.subplots(2, len(study.angles))
    for j, angle in enumerate(study.angles):
        _scatter(axes[0, j], study, j)
        _bland_altman(axes[1, j], study, j)
        icc = "-" if angle.icc_2_1 is None else f"{angle.icc_2_1.value:.3f}"
        sem = "-" if angle.sem is None else f"{angle.sem:.2f}°"
        axes[0, j].set_title(f"{angle.measure}: ICC(2,1) {icc}, SEM {sem}")
    if len(study.angles[0].pairs) > 1:
        axes[0, 0].legend(fontsize="small")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=120)


def _scatter(axes: Axes, study: ReaderStudy, j: int) -> None:
    top = 1.05 * max(float(study.degrees[j].max()), 1.0)
    axes.plot([0, top], [0, top], color="0.5", linewidth=1)
    for colour, pair in _coloured(study, j):
        first, second = study.degrees[j][:, pair.first], study.degrees[j][:, pair.second]
        axes.plot(first, second, "o", **{**DOTS, "color": colour}, label=_pair_name(study, pair))
    one = len(study.readers) == 2
    names = study.readers if one else ("first reader", "second reader")
    axes.set(xlim=(0, top), ylim=(0, top), xlabel=f"{names[0]} (°)", ylabel=f"{names[1]} (°)", aspect="equal")


def _bland_altman(axes: Axes, study: ReaderStudy, j: int) -> None:
    for colour, pair in _coloured(study, j):
        first, second = study.degrees[j][:, pair.first], study.degrees[j][:, pair.second]
        axes.plot((first + second) / 2, second - first, "o", **{**DOTS, "color": colour})
        for estimate, dashes in (
            (pair.limits.bias, "-"),
            (pair.limits.lower, "--"),
            (pair.limits.upper, "--"),
        ):
            if estimate is None:
                continue
            axes.axhline(estimate.value, color=colour, linewidth=1.2, linestyle=dashes)
            if estimate.interval is not None and len(study.readers) == 2:
                axes.axhspan(*estimate.interval, color=colour, alpha=0.12, linewidth=0)
    axes.axhline(0.0, color="0.6", linewidth=0.8)
    axes.set(xlabel="mean of both (°)", ylabel="second - first (°)")
    limits = study.angles[j].pairs[0].limits
    if len(study.readers) == 2 and limits.lower is not None and limits.upper is not None:
        axes.set_title(
            f"bias {limits.bias.value:+.2f}°, limits {limits.lower.value:.2f}..{limits.upper.value:.2f}°"
        )


def _coloured(study: ReaderStudy, j: int) -> list[tuple[str, ReaderPair]]:
    return [(COLOURS[i % len(COLOURS)], pair) for i, pair in enumerate(study.angles[j].pairs)]
