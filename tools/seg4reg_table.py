"""Seg4Reg's table on our own split: input of the regressor, with and without domain adaptation.

The cells are the sides of `tools.comparisons`' seg4reg_adaptation, written as a table of inputs by adaptation: one
segmenter is trained for each setting of the adaptation and shared by the three inputs, each cell trains a regressor
and is measured on folds of patients that neither has seen.

    python -m tools.seg4reg_table --data $AASCE_DATA --out runs/seg4reg_table
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from aasce.commands.bench import ground_of
from aasce.files import write_text
from tools.compare import Row, compare, span
from tools.comparisons import COMPARISONS, SEG4REG_INPUTS


def grid(rows: Sequence[Row]) -> str:
    """SMAPE of each input, a column without and a column with adaptation."""
    scores = {row.side: f"{row.smape:.2f}{span(row.smape_low, row.smape_high)}" for row in rows}
    lines = ["| input of the regressor | without domain adaptation | with |", "|---|---|---|"]
    for name, _ in SEG4REG_INPUTS:
        cells = (scores.get(f"{name}, {kind} adaptation", "") for kind in ("without", "with"))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(
    data: Annotated[Path | None, typer.Option(help="folder holding aasce19/ and aasce19_wide/")] = None,
    out: Annotated[Path, typer.Option(help="where runs and tables go")] = Path("runs/seg4reg_table"),
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value over the budget")] = None,
    folds: int = 5,
    fold: Annotated[list[int] | None, typer.Option(help="folds of the test part, 0 and 1 by default")] = None,
    seed: int = 0,
    share: Annotated[float, typer.Option(help="validation part of the training folds")] = 0.08,
) -> None:
    """Trains what is missing and writes table.csv, table.md and grid.md."""
    comparison = COMPARISONS["seg4reg_adaptation"]
    comparison = replace(comparison, budget=(*comparison.budget, *(settings or [])))
    ground = ground_of(data, "official", folds=folds, seed=seed, validation=share)
    rows = compare(comparison, ground, tuple(fold or [0, 1]), out)
    write_text(out / "grid.md", grid(rows))
    typer.echo(grid(rows))


if __name__ == "__main__":
    typer.run(main)
