"""The commands. Each reads its arguments, calls one function and prints the result; none starts with torch.

A mistake of the user's is one line on stderr (one for each wrong setting) and exit code 2, never a traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from aasce.cli_ct import ct
from aasce.cli_options import INTERRUPTED, USER_ERROR, Device
from aasce.cli_predict import Definition, EnsembleCommand, predict
from aasce.cli_readings import agree, compare
from aasce.types import AasceError

app = typer.Typer(
    name="aasce",
    help="Cobb angles from spinal radiographs.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(ct)


class Labels(StrEnum):
    """Which labels of the challenge's release."""

    official = "official"
    fixed = "fixed"


class Frame(StrEnum):
    """How much of a person a rendered film shows."""

    whole = "whole"
    trunk = "trunk"


class BenchCommand(TyperCommand):
    """A command whose `--from-oof` takes all words up to the next option, as a shell's `*` gives them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        words: list[str] = []
        taking = False
        for word in args:
            if word.startswith("-"):
                taking = word == "--from-oof"
            elif taking and words[-1] != "--from-oof":
                words.append("--from-oof")
            words.append(word)
        return super().parse_args(ctx, words)


LabelsOption = Annotated[Labels, typer.Option(help="As released, or repaired by the geometric audit.")]


@app.command()
def train(
    solver: Annotated[str, typer.Option(help="Name of a solver, or my.module:Class; see 'aasce solvers'.")],
    config: Annotated[Path | None, typer.Option(help="YAML of settings; the defaults without.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting, as train.lr=1e-4.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the data set; else AASCE_DATA, else rendered films.")
    ] = None,
    labels: LabelsOption = Labels.official,
    fold: Annotated[
        list[int] | None,
        typer.Option(help="Fold to hold out and predict at the end, from 0, repeated for more."),
    ] = None,
    folds: Annotated[int, typer.Option(help="Number of folds; whole studies stay together.")] = 5,
    validation: Annotated[
        float, typer.Option(help="Share of the training films to choose weights by.")
    ] = 0.1,
    out: Annotated[Path | None, typer.Option(help="Run folder; runs/SOLVER[-foldK] without.")] = None,
    seed: Annotated[int | None, typer.Option(help="Short for --set seed=SEED.")] = None,
    device: Device = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    rendered: Annotated[int, typer.Option(min=0, help="Films to render where no data set is named.")] = 300,
    start: Annotated[
        str | None, typer.Option(help="Released name or run folder to go on from; from nothing without.")
    ] = None,
) -> None:
    """Train a solver on the challenge's films, or on films that the kit renders."""
    from aasce.commands.train import TrainOptions, run_name
    from aasce.commands.train import train as run

    held = tuple(dict.fromkeys(fold or ()))
    folder = out or Path("runs") / run_name(solver, held)
    options = TrainOptions(
        solver,
        folder,
        config=config,
        overrides=tuple(settings or ()),
        data=data,
        labels=labels.value,
        held=held,
        folds=folds,
        validation=validation,
        seed=seed,
        device=device,
        resume=resume,
        rendered=rendered,
        start=start,
    )
    report = run(options)
    score = "" if report.best_score is None else f", validation {report.best_score:.3f}"
    print(
        f"{folder}: {report.epochs} epochs in {report.seconds:.0f} s, kept epoch {report.best_epoch}{score}"
    )


app.command(cls=EnsembleCommand)(predict)
app.command()(agree)
app.command()(compare)


@app.command("measure-landmarks")
def measure_landmarks(
    files: Annotated[
        list[Path], typer.Argument(help="predictions.json, COCO, LabelMe, Slicer markups, CSV of corners.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("aasce-measured"),
    definition: Annotated[Definition, typer.Option(help="Rule of the angles.")] = Definition.challenge,
    height: Annotated[
        int | None, typer.Option(min=1, help="Rows of the films, where a file does not say.")
    ] = None,
) -> None:
    """Measure the Cobb angles of landmarks that were corrected or marked by hand."""
    from aasce.commands.measure_landmarks import measure_landmarks as run
    from aasce.commands.measure_landmarks import summary
    from aasce.commands.predict import angle_table
    from aasce.commands.terminal import show

    outcome = run(files, out, definition.value, height)
    for fault in outcome.faults:
        print(fault, file=sys.stderr)
    if outcome.rows:
        show(angle_table(outcome.measurements))
        print(summary(outcome, out))
    if outcome.failures:
        raise typer.Exit(USER_ERROR)


@app.command()
def score(
    predicted: Annotated[Path, typer.Argument(metavar="PRED", help="CSV of predicted angles.")],
    truth: Annotated[Path, typer.Argument(metavar="GT", help="CSV of true angles.")],
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
    figure: Annotated[
        Path | None, typer.Option(help="Draw scatter and Bland-Altman plots to this file.")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Score the predicted films alone where GT holds more.")
    ] = False,
) -> None:
    """Score a table of angles against the truth."""
    from aasce.commands.terminal import show
    from aasce.scoring import score as compare
    from aasce.scoring.present import save_score_figure, score_json, score_table

    result = compare(predicted, truth, partial)
    if figure is not None:
        save_score_figure(result, figure)
    if as_json:
        print(score_json(result), end="")
    else:
        show(score_table(result))


@app.command(cls=BenchCommand)
def bench(
    solvers: Annotated[
        list[str] | None,
        typer.Option(help="Names, parted by commas or repeated; every one that learns without."),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the data set; else AASCE_DATA.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of runs, predictions and leaderboard.")] = Path(
        "runs/bench"
    ),
    fold: Annotated[
        list[int] | None, typer.Option(help="Fold to measure on, repeated for more; 0 without.")
    ] = None,
    folds: Annotated[int, typer.Option(help="Number of folds; whole studies stay together.")] = 5,
    seed: Annotated[int, typer.Option(help="Of the folds and of every solver.")] = 0,
    validation: Annotated[
        float, typer.Option(help="Share of the training films to choose weights by.")
    ] = 0.1,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="SOLVER:KEY=VALUE", help="One setting of one solver.")
    ] = None,
    config: Annotated[
        list[str] | None, typer.Option(metavar="SOLVER=YAML", help="All settings of one solver.")
    ] = None,
    from_oof: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR...", help="Train nothing: folders of preds.csv and manifest.json."),
    ] = None,
    timed: Annotated[
        int, typer.Option(min=0, help="With --from-oof: films to time released weights on.")
    ] = 10,
    threads: Annotated[int, typer.Option(min=1, help="Of the CPU while films are predicted and timed.")] = 2,
    labels: LabelsOption = Labels.official,
    device: Device = "auto",
) -> None:
    """Make the leaderboard of solvers trained on the same folds; resumed when begun."""
    from aasce.commands import bench as command
    from aasce.commands.terminal import show
    from aasce.evaluation.benchmark import read_benchmark
    from aasce.evaluation.leaderboard import caption, terminal_table
    from aasce.evaluation.split import Split

    if from_oof and (solvers or settings or config):
        raise AasceError("--from-oof trains nothing; leave out --solvers, --set and --config")
    candidates = None
    if not from_oof:
        names = command.solver_names(solvers or [])
        candidates = command.candidates_of(names, settings or [], config or [], seed)
    benchmark = read_benchmark(data, labels.value, Split(folds, validation, seed), device, threads)
    if candidates is None:
        board = command.from_folders(from_oof or [], benchmark, timed, out)
    else:
        board = command.bench(benchmark, candidates, list(dict.fromkeys(fold or [0])), out)
    show(terminal_table(board))
    print(f"{out / 'leaderboard.md'}: {caption(board)}")


@app.command()
def audit(
    data: Annotated[Path, typer.Argument(help="Folder that holds data/ and labels/, or aasce19/.")],
    part: Annotated[str, typer.Option(help="training or test.")] = "training",
    labels: LabelsOption = Labels.official,
    out: Annotated[Path | None, typer.Option(help="CSV of all faults.")] = None,
    overlays: Annotated[Path | None, typer.Option(help="Folder for an overlay of each faulty film.")] = None,
) -> None:
    """Find the faults of the challenge's labels by geometry."""
    from aasce.commands.audit import ROWS, fault_table, summary
    from aasce.commands.audit import audit as run
    from aasce.commands.terminal import show

    films, faults = run(data, part, labels.value, out, overlays)
    if len(faults):
        show(fault_table(faults))
    if len(faults) > ROWS:
        print(f"... and {len(faults) - ROWS} more{f' in {out}' if out else '; --out FILE.csv writes all'}")
    print(summary(films, faults))


@app.command()
def synth(
    count: Annotated[int, typer.Option("--n", metavar="N", help="Number of films.")],
    out: Annotated[Path, typer.Option(help="Folder of the films, labels and truth; resumed when begun.")],
    seed: Annotated[int, typer.Option(help="Of the first film; film k has SEED + k.")] = 0,
    rows: Annotated[int, typer.Option(help="Height of a film in px.")] = 1024,
    population: Annotated[str, typer.Option(help="patients, adults or elderly.")] = "patients",
    frame: Annotated[Frame | None, typer.Option(help="Head to hips, or the trunk; both without.")] = None,
    scans: Annotated[
        bool, typer.Option("--scans", help="A CT and its vertebra labels with each film.")
    ] = False,
    workers: Annotated[int | None, typer.Option(help="Processes; one a core without.")] = None,
    cobb: Annotated[float | None, typer.Option(help="Major Cobb angle in degrees; drawn without.")] = None,
    curve: Annotated[str | None, typer.Option(help="Curve type, as 'double major'; drawn without.")] = None,
) -> None:
    """Render films with known angles in the challenge's layout."""
    import os

    from aasce.commands.synth import SynthPlan
    from aasce.commands.synth import synth as run

    plan = SynthPlan(
        count,
        out,
        seed=seed,
        rows=rows,
        population=population,
        frame=None if frame is None else frame.value,
        scans=scans,
        workers=workers or os.cpu_count() or 1,
        cobb=cobb,
        curve=curve,
    )
    rendered = run(plan)
    print(f"{out}: {count} films, {rendered} of them rendered now")


@app.command()
def solvers() -> None:
    """List the solvers and which have released weights."""
    from rich.table import Table

    from aasce.commands.terminal import show
    from aasce.solvers.registry import SOLVERS
    from aasce.weights import described, packaged, released

    weights = released()
    table = Table("solver", "what it does", "weights")
    for name, entry in SOLVERS.items():
        table.add_row(name, entry.summary, "released" if name in weights else "train it")
    for name in sorted(set(weights) - set(SOLVERS)):
        table.add_row(name, described(weights[name]), "released" if packaged(name) else "in AASCE_WEIGHTS")
    show(table)


def run(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; `argv` is without the program's name."""
    words = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    try:
        code = app(args=words, prog_name="aasce", standalone_mode=False)
    except AasceError as error:
        return _fault(str(error))
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except OSError as error:
        if error.filename is None and error.strerror is None:
            raise
        return _fault(
            f"{error.filename or 'output'}: {error.strerror}; free the disk or choose another place"
        )
    except Exception as error:
        # Wrong options and arguments: typer's own exceptions, whose class moved between its versions.
        if not hasattr(error, "format_message"):
            raise
        return _fault(_usage(error))
    return code if isinstance(code, int) else 0


def _usage(error: Any) -> str:
    """One line on a wrong option or argument."""
    context = getattr(error, "ctx", None)
    where = context.command_path if context is not None else "aasce"
    message = " ".join(error.format_message().split()).rstrip(".")
    return f"{where}: {message}. See '{where} --help'."


def _fault(message: str) -> int:
    print(message, file=sys.stderr)
    return USER_ERROR


def main() -> None:
    """Entry point of the `aasce` program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a file's name may hold bytes that are no text
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run())


if __name__ == "__main__":
    main()
