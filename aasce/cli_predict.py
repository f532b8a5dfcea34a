"""`aasce predict`: its options, and the one call they are for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from aasce.cli_options import USER_ERROR, Device


class Definition(StrEnum):
    """Which rule turns landmarks into three angles."""

    challenge = "challenge"
    clinical = "clinical"


class EnsembleCommand(TyperCommand):
    """A command whose `--ensemble` needs no value; only the name of a YAML file is read as one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        options = args[: args.index("--")] if "--" in args else args
        if "--ensemble" in options:
            index = options.index("--ensemble")
            if not "".join(options[index + 1 : index + 2]).endswith((".yaml", ".yml")):
                args = [*args[:index], "--ensemble=", *args[index + 1 :]]
        return super().parse_args(ctx, args)


def predict(
    films: Annotated[
        list[str] | None, typer.Argument(help="Films, folders, globs; the kit's rendered examples without.")
    ] = None,
    solver: Annotated[
        str | None, typer.Option(help="Released name or run folder; vertebra_field without.")
    ] = None,
    ensemble: Annotated[
        str | None, typer.Option(metavar="[YAML]", help="Several solvers; the kit's own without YAML.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder of the results; or a .csv, for the challenge's table alone.")
    ] = Path("aasce-out"),
    overlay: Annotated[bool, typer.Option("--overlay", help="An overlay of each film.")] = False,
    definition: Annotated[Definition, typer.Option(help="Rule of the angles.")] = Definition.challenge,
    coverage: Annotated[float, typer.Option(help="Share of films that the intervals cover.")] = 0.9,
    device: Device = "cpu",
    formats: Annotated[
        list[str] | None, typer.Option("--format", metavar="NAME", help="Landmarks too, for other programs.")
    ] = None,
    dicom: Annotated[
        list[str] | None, typer.Option(metavar="KIND", help="DICOM objects too, any of sr,gsps,sc,seg.")
    ] = None,
    report: Annotated[bool, typer.Option("--report", help="A page of all films too, HTML and PDF.")] = False,
    identify: Annotated[
        bool, typer.Option("--identify", help="Tables and pages may carry who the patient is.")
    ] = False,
    patient_id: Annotated[str, typer.Option(help="For DICOM objects of films that are no DICOM.")] = "",
    patient_name: Annotated[str, typer.Option(metavar="FAMILY^GIVEN", help="Likewise.")] = "",
    study_date: Annotated[str, typer.Option(metavar="YYYYMMDD", help="Likewise.")] = "",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
) -> None:
    """Measure the Cobb angles of films."""
    from aasce.commands.predict import PredictOptions, angle_table, choose_measurer, films_of, summary
    from aasce.commands.predict import predict as run
    from aasce.commands.terminal import show
    from aasce.writers.dicom import StatedStudy

    stated = StatedStudy(patient_id, patient_name, study_date)
    options = PredictOptions(
        out, definition.value, overlay, _words(formats), _words(dicom), report, identify, resume, stated,
        coverage,
    )  # fmt: skip
    options.exports()  # a wrong name is told before anything is read or loaded
    listing = films_of(films or [])
    for line in (*listing.skipped, *listing.problems):
        print(line, file=sys.stderr)
    outcome = run(listing.files, choose_measurer(solver, ensemble, device, coverage), options)
    show(angle_table(outcome.measurements))
    print(summary(outcome))
    if outcome.failures or outcome.faults or listing.problems:
        raise typer.Exit(USER_ERROR)


def _words(given: Sequence[str] | None) -> tuple[str, ...]:
    """The words of an option that is repeated or takes several parted by commas, once each."""
    words = [word.strip() for text in given or () for word in text.split(",")]
    return tuple(dict.fromkeys(word for word in words if word))
