"""Seg4Reg's table on our own split: input of the regressor, with and without domain adaptation.

One segmenter is trained for each setting of the adaptation and shared by the three inputs; each cell trains a
regressor and is measured on a fold of patients that neither has seen (a validation part of the other folds
chooses the weights). A cell that is done is not trained again, an interrupted one goes on where it stood.

    python -m tools.seg4reg_table --data $AASCE_DATA --out runs/seg4reg_table
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from aasce.config import load_settings
from aasce.readers import FilmSet, data_root, grouped_folds, grouped_holdout, read_challenge
from aasce.solvers.base import MANIFEST_FILE, RunFolder
from aasce.solvers.pictures import smape
from aasce.solvers.seg4reg.settings import Seg4RegConfig
from aasce.solvers.seg4reg.solver import Seg4RegSolver
from aasce.types import AasceError
from tools.train_released import predict_fold

INPUTS = ("mask", "image+mask", "image")
ADAPTATIONS = ("without", "with")
COLUMNS = (
    "input", "adaptation", "smape", "smape_low", "smape_high", "mae_an1", "mae_an2", "mae_an3", "miou",
    "failed", "films", "seconds",
)  # fmt: skip


@dataclass(frozen=True)
class Split:
    """Parts of the data set, no patient in two of them."""

    train: FilmSet
    validation: FilmSet
    test: FilmSet


def split(films: FilmSet, folds: int, chosen: list[int], seed: int, share: float) -> Split:
    """The chosen folds are the test part; `share` of the rest chooses weights."""
    parts = [part for _, part in grouped_folds(films.studies, folds, seed)]
    test = sorted(i for k in chosen for i in parts[k])
    rest = sorted(i for k in range(folds) if k not in chosen for i in parts[k])
    kept, held = grouped_holdout([films.studies[i] for i in rest], share, seed)
    return Split(films.subset(rest[i] for i in kept), films.subset(rest[i] for i in held), films.subset(test))


def overrides(kind: str, adaptation: str, wide: Path, more: list[str]) -> list[str]:
    """Settings of one cell over the file's."""
    adapts = adaptation == "with"
    said = [f"regression.input={kind}", f"adaptation.enabled={str(adapts).lower()}"]
    # Of the film alone the segmenter sees nothing, so that its row needs the regressor adapted too.
    return [*more, *said, *(["adaptation.stages=both", f"adaptation.films={wide}"] if adapts else [])]


def segmenter(config: Seg4RegConfig, parts: Split, folder: Path, quiet: bool) -> Seg4RegSolver:
    """The segmenter that a row of cells shares."""
    solver = Seg4RegSolver(config)
    if (folder / MANIFEST_FILE).exists():
        solver.start_from(folder)
        solver.manifest |= json.loads((folder / MANIFEST_FILE).read_text())
        return solver
    solver.fit_segmentation(parts.train, parts.validation, RunFolder(folder, resume=True, quiet=quiet))
    solver.save(folder)
    return solver


def cell(
    config: Seg4RegConfig, first: Seg4RegSolver, parts: Split, folder: Path, quiet: bool
) -> dict[str, object]:
    """One row of the table; read from the cell's folder when it is there."""
    done = folder / "row.json"
    if done.exists():
        row: dict[str, object] = json.loads(done.read_text())
        return row
    solver = Seg4RegSolver(config)
    solver.adopt_segmenter(first)
    report = solver.fit_regression(parts.train, parts.validation, RunFolder(folder, resume=True, quiet=quiet))
    solver.save(folder)
    row = {
        "input": config.regression.input, "adaptation": "with" if config.adaptation.enabled else "without",
        **measured(solver, parts.test, folder / "oof.json"), "miou": solver.manifest.get("validation_miou"),
        "seconds": round(report.seconds),
    }  # fmt: skip
    done.write_text(json.dumps(row))
    return row


def measured(solver: Seg4RegSolver, films: FilmSet, path: Path) -> dict[str, object]:
    """Score and errors on the test part; a film without an answer gets the medians of those with one."""
    rows = predict_fold(solver, films, path)
    answers = [rows[film.film_id]["angles"] for film in films]
    truth = np.stack([film.angles for film in films if film.angles is not None])
    found = np.array([np.full(3, np.nan) if a is None else a for a in answers])
    failed = np.isnan(found).any(axis=1)
    if failed.all():
        raise AasceError("the solver measured no film of the test part; train it for longer")
    found[failed] = np.median(found[~failed], axis=0)
    low, high = interval(found, truth)
    errors = np.abs(found - truth).mean(axis=0)
    return {
        "smape": smape(found, truth), "smape_low": low, "smape_high": high,
        **{f"mae_an{k + 1}": float(e) for k, e in enumerate(errors)}, "failed": int(failed.sum()),
        "films": len(films),
    }  # fmt: skip


def interval(found: NDArray[np.float64], truth: NDArray[np.float64]) -> tuple[float, float]:
    """95 % percentile bootstrap over films."""
    rng = np.random.default_rng(0)
    drawn = [rng.integers(len(truth), size=len(truth)) for _ in range(1000)]
    low, high = np.percentile([smape(found[d], truth[d]) for d in drawn], [2.5, 97.5])
    return float(low), float(high)


def write_table(rows: list[dict[str, object]], out: Path, title: str) -> None:
    """table.csv and table.md."""
    with (out / "table.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    lines = [
        title, "",
        "| input | domain adaptation | SMAPE (95 % interval) | MAE an1 | an2 | an3 | mIoU | failed |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in rows:
        score = "{smape:.2f} ({smape_low:.2f}-{smape_high:.2f})".format(**row)
        errors = "{mae_an1:.2f} | {mae_an2:.2f} | {mae_an3:.2f}".format(**row)
        overlap = "" if row["miou"] is None else f"{float(str(row['miou'])):.4f}"
        lines.append(
            f"| {row['input']} | {row['adaptation']} | {score} | {errors} | {overlap} | {row['failed']} |"
        )
    (out / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(
    data: Annotated[Path | None, typer.Option(help="folder holding aasce19/ and aasce19_wide/")] = None,
    out: Annotated[Path, typer.Option(help="where runs and table go")] = Path("runs/seg4reg_table"),
    config: Annotated[Path | None, typer.Option(help="settings, those of the class by default")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value over the settings")] = None,
    folds: int = 5,
    fold: Annotated[list[int] | None, typer.Option(help="folds of the test part, 0 and 1 by default")] = None,
    seed: int = 0,
    share: Annotated[float, typer.Option(help="validation part of the training folds")] = 0.08,
    quiet: bool = False,
) -> None:
    """Trains what is missing and writes table.csv and table.md."""
    root = data_root(data)
    tested = fold or [0, 1]
    parts = split(read_challenge(root), folds, tested, seed, share)
    rows = []
    for adaptation in ADAPTATIONS:
        chosen = {
            kind: load_settings(
                Seg4RegConfig, config, overrides(kind, adaptation, root / "aasce19_wide", settings or [])
            )
            for kind in INPUTS
        }
        first = segmenter(chosen["mask"], parts, out / adaptation / "segmenter", quiet)
        for kind in INPUTS:
            rows.append(cell(chosen[kind], first, parts, out / adaptation / kind, quiet))
            write_table(
                rows,
                out,
                f"Folds {tested} of {folds} (seed {seed}), {len(parts.test)} films never trained on.",
            )
            typer.echo(f"{kind}, {adaptation} adaptation: SMAPE {rows[-1]['smape']:.2f}")


if __name__ == "__main__":
    typer.run(main)
