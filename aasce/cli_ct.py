"""`aasce ct`: the commands for scans. As those for films, each calls one function; none starts with torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ct = typer.Typer(
    name="ct",
    help="Vertebrae and Cobb angles in CT scans.",
    add_completion=False,
    rich_markup_mode=None,
)


@ct.command()
def score(
    predicted: Annotated[
        Path, typer.Argument(metavar="PRED", help="Label map, centroids, or a folder that 'aasce ct' wrote.")
    ],
    truth: Annotated[Path, typer.Argument(metavar="TRUTH", help="The same of the truth.")],
    centroids: Annotated[
        Path | None, typer.Option(help="True centroids beside a label map: VerSe's json or Slicer's.")
    ] = None,
    grid: Annotated[
        Path | None,
        typer.Option(help="Scan whose voxels VerSe's centroids count, where no label map is given."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the table to this .csv or .json.")] = None,
) -> None:
    """Score vertebrae against the truth: identification, distance, Dice, surfaces."""
    from aasce.commands.ct_score import caption, score_scan, score_table, write_scores
    from aasce.commands.terminal import show

    comparison = score_scan(predicted, truth, centroids, grid)
    if out is not None:
        write_scores(out, comparison)
    show(score_table(comparison))
    print(caption(comparison))
