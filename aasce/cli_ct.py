"""`aasce ct`: the commands for scans. As those for films, each calls one function; none starts with torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aasce.cli_options import USER_ERROR, Device

if TYPE_CHECKING:
    from aasce.commands.ct import ScanOptions, Task

ct = typer.Typer(
    name="ct",
    help="Vertebrae and Cobb angles in CT scans.",
    add_completion=False,
    rich_markup_mode=None,
)


OUT = Path("aasce-ct")


Scans = Annotated[
    list[Path] | None,
    typer.Argument(metavar="SCAN...", help="NIfTI, MHA, NRRD, DICOM folder; a rendered phantom without."),
]
Out = Annotated[Path, typer.Option(help="Folder of the results; each scan has one of its own in it.")]
Centroids = Annotated[
    Path | None,
    typer.Option(help="Middles of the vertebrae to start from: VerSe's json or Slicer's .mrk.json."),
]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        help="Run folder or name of weights instead of the released ones, repeated for more methods."
    ),
]
Hounsfield = Annotated[bool, typer.Option("--hu", help="Take the numbers as HU, whatever they look like.")]


@ct.command()
def locate(
    scans: Scans = None,
    out: Out = OUT,
    weights: Weights = None,
    device: Device = "cpu",
    hu: Hounsfield = False,
) -> None:
    """Find and name the vertebrae of scans."""
    _run(scans, _options("locate", out, None, weights, device, hu))


@ct.command()
def segment(
    scans: Scans = None,
    out: Out = OUT,
    centroids: Centroids = None,
    weights: Weights = None,
    device: Device = "cpu",
    hu: Hounsfield = False,
) -> None:
    """Segment the vertebrae of scans, located or at given centroids."""
    _run(scans, _options("segment", out, centroids, weights, device, hu))


@ct.command()
def fit(
    scans: Scans = None,
    out: Out = OUT,
    centroids: Centroids = None,
    weights: Weights = None,
    device: Device = "cpu",
    hu: Hounsfield = False,
) -> None:
    """Fit a deformable template to scans, which needs no training."""
    _run(scans, _options("fit", out, centroids, weights, device, hu))


@ct.command()
def angles(
    scans: Scans = None,
    out: Out = OUT,
    centroids: Centroids = None,
    weights: Weights = None,
    device: Device = "cpu",
    hu: Hounsfield = False,
) -> None:
    """Measure Cobb angles in scans, or in label maps as they are."""
    _run(scans, _options("angles", out, centroids, weights, device, hu))


@ct.command()
def film(
    scan: Annotated[Path | None, typer.Argument(help="As for 'aasce ct angles'.")] = None,
    out: Out = OUT,
    solver: Annotated[
        str, typer.Option(help="Released name or run folder of the solver that measures the film.")
    ] = "vertebra_field",
    centroids: Centroids = None,
    weights: Weights = None,
    device: Device = "cpu",
    hu: Hounsfield = False,
) -> None:
    """Take a film of a scan and measure both."""
    from aasce.commands.ct_film import both_table
    from aasce.commands.ct_film import film as run
    from aasce.commands.terminal import show

    answer = run(
        _named([scan] if scan else None, out)[0],
        solver,
        _options("angles", out, centroids, weights, device, hu),
    )
    show(both_table(answer))
    print(f"{out / answer.film.radiograph.film_id}: film.png, overlay.jpg, both.json")
    if answer.result is None or answer.measured.failure is not None:
        raise typer.Exit(USER_ERROR)


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


@ct.command()
def train(
    method: Annotated[str, typer.Option(help="Name of a method; see 'aasce ct methods'.")],
    out: Annotated[Path, typer.Option(help="Run folder.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder of packed phantoms or labelled scans; packs phantoms without.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML of settings; the defaults without.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting, as train.lr=1e-4.")
    ] = None,
    validation: Annotated[float, typer.Option(help="Share of the scans to choose weights by.")] = 0.1,
    phantoms: Annotated[int, typer.Option(min=1, help="Persons to pack where no data is named.")] = 40,
    seed: Annotated[int | None, typer.Option(help="Short for --set seed=SEED.")] = None,
    device: Device = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    start: Annotated[
        str | None, typer.Option(help="Released name or run folder to go on from; from nothing without.")
    ] = None,
) -> None:
    """Train a method on phantoms or on labelled scans."""
    from aasce.commands.ct_train import ScanTrainOptions
    from aasce.commands.ct_train import train as run

    options = ScanTrainOptions(
        method,
        out,
        config=config,
        overrides=tuple(settings or ()),
        data=data,
        validation=validation,
        phantoms=phantoms,
        seed=seed,
        device=device,
        resume=resume,
        start=start,
    )
    report = run(options)
    best = "" if report.best_score is None else f", validation {report.best_score:.4f}"
    print(f"{out}: {report.epochs} epochs in {report.seconds:.0f} s, kept epoch {report.best_epoch}{best}")


@ct.command()
def methods() -> None:
    """List the methods for scans and which have released weights."""
    from rich.table import Table

    from aasce.commands.terminal import show
    from aasce.ct.registry import ENTRIES, method_names
    from aasce.weights import described
    from aasce.weights.scans import released_scans

    known = released_scans()
    table = Table("method", "what it does", "weights")
    for entry in ENTRIES:
        state = "released" if entry.name in known else "train it" if entry.trains else "needs none"
        table.add_row(entry.name, entry.summary, state)
    for name in sorted(set(known) - set(method_names())):
        table.add_row(name, described(known[name]), "in AASCE_WEIGHTS")
    show(table)


def _options(
    task: Task,
    out: Path,
    centroids: Path | None,
    weights: list[str] | None,
    device: str,
    hu: bool,
) -> ScanOptions:
    from aasce.commands.ct import ScanOptions

    return ScanOptions(task, out, centroids, tuple(weights or ()), device, "ct" if hu else None)


def _named(scans: list[Path] | None, out: Path) -> list[Path]:
    """The scans that are named, or a phantom's."""
    from aasce.commands.ct import find_scans, render_phantom

    if scans:
        return find_scans(scans)
    print(f"no scan named: rendering the scan of a phantom into {out}", file=sys.stderr)
    return [render_phantom(out)]


def _run(scans: list[Path] | None, options: ScanOptions) -> None:
    from aasce.commands.ct import process, scan_table
    from aasce.commands.terminal import show

    lines, failures = process(_named(scans, options.out), options)
    if lines:
        show(scan_table(lines))
        print(f"{options.out}: {len(lines)} scan{'s' if len(lines) > 1 else ''}")
    if failures:
        raise typer.Exit(USER_ERROR)
