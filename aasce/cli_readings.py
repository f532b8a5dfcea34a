"""`aasce agree` and `aasce compare`: readings against readings, of several readers or of two films of one patient."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aasce.cli_options import Device
from aasce.cli_predict import Definition


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


def compare(
    earlier: Annotated[str, typer.Argument(help="Film or file of landmarks; FILE#NAME for one of several.")],
    later: Annotated[str, typer.Argument(help="Likewise, of the same patient.")],
    solver: Annotated[
        str | None, typer.Option(help="Released name or run folder; vertebra_field without.")
    ] = None,
    definition: Annotated[
        Definition, typer.Option(help="Rule that chooses the curves.")
    ] = Definition.clinical,
    threshold: Annotated[
        float | None, typer.Option(min=0.0, help="Degrees that a change must exceed; 7.5 without.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of comparison.json and comparison.jpg.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
    device: Device = "cpu",
) -> None:
    """Compare two films of one patient between the same end vertebrae."""
    import json

    from aasce.commands.compare import CompareOptions, comparison_table
    from aasce.commands.compare import compare as run
    from aasce.commands.terminal import show
    from aasce.writers.comparison import THRESHOLD, comparison_record

    limit = THRESHOLD if threshold is None else threshold
    comparison = run(earlier, later, CompareOptions(solver, definition.value, limit, device), out)
    if as_json:
        print(json.dumps(comparison_record(comparison), indent=2, allow_nan=False, ensure_ascii=False))
    else:
        show(comparison_table(comparison))
