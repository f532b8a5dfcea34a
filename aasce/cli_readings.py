"""`aasce agree` and `aasce compare`: readings against readings, of several readers or of two films of one patient."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def agree(
    readers: Annotated[list[Path], typer.Argument(metavar="READER.csv...", help="Tables, one a reader.")],
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
    figure: Annotated[
        Path | None, typer.Option(help="Draw scatter and Bland-Altman plots to this file.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of agreement.json and agreement.png.")] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Compare the films that every table holds.")
    ] = False,
) -> None:
    """Compare readers: ICC, Bland-Altman, measurement error, kappa of severity."""
    from aasce.commands.agree import agree as run
    from aasce.commands.terminal import show
    from aasce.scoring.present_study import study_json, study_table

    study = run(readers, out, figure, partial)
    if as_json:
        print(study_json(study), end="")
    else:
        show(study_table(study))
