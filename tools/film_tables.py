"""Figures that the tools which measure films print, and write with those of each film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import typer

from aasce.writers import write_csv


def show(table: pd.DataFrame, films: Sequence[Any], out: Path | None, decimals: int) -> None:
    """Prints a summary; with a folder, writes `summary.csv` and `films.csv`.

    Args:
        table: the summary.
        films: a dataclass of figures for each film.
        out: folder, made where it is missing; None writes nothing.
        decimals: of what is printed.
    """
    typer.echo(table.to_string(index=False, float_format=lambda value: f"{value:.{decimals}f}"))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_csv(out / "films.csv", pd.DataFrame([asdict(film) for film in films]), "%.6g")
        write_csv(out / "summary.csv", table, "%.6g")
