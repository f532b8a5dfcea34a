"""A `Score` as JSON, as a terminal table, as a figure. Each loads what it needs only when called."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aasce.files import atomic_write
from aasce.scoring.agreement import Agreement, Floats, Score
from aasce.scoring.bootstrap import RESAMPLES, SEED, Interval
from aasce.types import AasceError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.console import Group
    from rich.table import Table

DOTS: dict[str, Any] = {"markersize": 3.5, "alpha": 0.6, "color": "#0072B2", "markeredgewidth": 0}
FORMATS = (".png", ".pdf", ".svg", ".jpg", ".jpeg")


def score_json(score: Score) -> str:
    """Everything in a score but the angles themselves: indented JSON, keys in a fixed order, no NaN."""
    content = {
        "n": score.n,
        "smape": score.smape,
        "smape_interval": score.smape_interval,
        "truth_median_smape": score.truth_median_smape,
        "angles": {name: asdict(agreement) for name, agreement in score.by_angle},
        "worst": [asdict(film) for film in score.worst],
        "ignored_columns": score.ignored_columns,
        "bootstrap": {"method": "BCa over films", "level": 0.95, "resamples": RESAMPLES, "seed": SEED},
    }
    return json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def score_table(score: Score) -> Group:
    """A score for the terminal: `rich.print(score_table(score))`."""
    from rich.console import Group
    from rich.text import Text

    interval = f"  (95 % {_range(score.smape_interval)})" if score.smape_interval else ""
    films = "1 film" if score.n == 1 else f"{score.n} films"
    constant = f"{score.truth_median_smape:.2f} for the median angles of this truth on every film"
    lines = [
        Text(f"SMAPE {score.smape:.6f}{interval}  over {films}", style="bold"),
        Text(f"constant predictor: {constant}"),
    ]
    if score.ignored_columns:
        lines.append(Text(f"columns not scored: {', '.join(score.ignored_columns)}", style="dim"))
    return Group(*lines, _agreement_table(score), _worst_table(score))


def _agreement_table(score: Score) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        title="Agreement (degrees; ICC is ICC(2,1))", title_justify="left", box=SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("angle")
    for heading in ("MAE", "95 %", "SD", "≤ 5°", "r", "ICC", "bias", "limits"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, a in score.by_angle:
        table.add_row(
            name,
            f"{a.mae:.2f}",
            _range(a.interval),
            _number(a.sd),
            f"{100 * a.within:.1f} %",
            _number(a.pearson, 3),
            _number(a.icc, 3),
            f"{a.bias:+.2f}",
            _range(a.limits),
            end_section=name == "an3",
        )
    return table


def _worst_table(score: Score) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    title = "Worst films" if score.n > 1 else "The film"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("film", overflow="fold")
    for heading in ("SMAPE", "predicted", "truth"):
        table.add_column(heading, justify="right")
    for film in score.worst:
        # Text, because a name such as "film [2]" is no markup.
        table.add_row(Text(film.name), f"{film.smape:.1f}", _three(film.predicted), _three(film.truth))
    return table


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _range(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval[0]:.2f}..{interval[1]:.2f}"


def _three(angles: tuple[float, ...]) -> str:
    return " ".join(f"{value:.1f}" for value in angles)


def new_figure(path: Path | str, size: tuple[float, float]) -> tuple[str, Figure]:
    """A figure to draw on, and the format that a file name asks for.

    Args:
        path: of the file to be; its suffix (.png, .pdf, .svg, .jpg) is the format.
        size: width and height in inches.

    Raises:
        AasceError: the suffix is no figure format.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise AasceError(f"{path}: is no figure format; end the name with one of {', '.join(FORMATS)}")
    # The figure object draws with Agg by itself: no pyplot, no display, no global state.
    from matplotlib.figure import Figure

    return suffix[1:], Figure(figsize=size, layout="constrained")


def save_score_figure(score: Score, path: Path | str) -> None:
    """Draws each angle as a scatter plot and as a Bland-Altman plot.

    Args:
        score: with the (N, 3) angles it was computed from.
        path: of the figure; its suffix (.png, .pdf, .svg, .jpg) is the format.

    Raises:
        AasceError: the suffix is no figure format, or the file cannot be written.
    """
    kind, figure = new_figure(path, (12, 7.5))
    axes = figure.subplots(2, 3)
    for j, (name, agreement) in enumerate(score.by_angle[:3]):
        _scatter(axes[0, j], score.truth[:, j], score.predicted[:, j], name, agreement)
        _bland_altman(axes[1, j], score.truth[:, j], score.predicted[:, j], agreement)
    figure.suptitle(
        f"SMAPE {score.smape:.2f} over {score.n} films, MAE {score.mae:.2f}°, "
        f"median of the truth for every film {score.truth_median_smape:.2f}"
    )
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=150)


def _scatter(axes: Axes, truth: Floats, predicted: Floats, name: str, agreement: Agreement) -> None:
    top = 1.05 * max(float(truth.max()), float(predicted.max()), 1.0)
    axes.fill_between([0, top], [-5, top - 5], [5, top + 5], color="0.92", label="≤ 5°")
    axes.plot([0, top], [0, top], color="0.5", linewidth=1)
    axes.plot(truth, predicted, "o", **DOTS)
    axes.set(xlim=(0, top), ylim=(0, top), xlabel="truth (°)", ylabel="predicted (°)", aspect="equal")
    r, icc = _number(agreement.pearson, 3), _number(agreement.icc, 3)
    axes.set_title(f"{name}: MAE {agreement.mae:.2f}°, r {r}, ICC {icc}")


def _bland_altman(axes: Axes, truth: Floats, predicted: Floats, agreement: Agreement) -> None:
    axes.plot((truth + predicted) / 2, predicted - truth, "o", **DOTS)
    axes.axhline(agreement.bias, color="#D55E00", linewidth=1.2)
    for limit in agreement.limits or ():
        axes.axhline(limit, color="#D55E00", linewidth=1, linestyle="--")
    axes.set(xlabel="mean of both (°)", ylabel="predicted - truth (°)")
    axes.set_title(f"bias {agreement.bias:+.2f}°, limits {_range(agreement.limits)}°")
