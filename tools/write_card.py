"""The measured part of a model card: scores of the out-of-fold predictions as Markdown.

python -m tools.write_card multitask_pyramid --data $AASCE_DATA
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from aasce.datasets import FilmSet, data_root, grouped_folds, read_challenge
from aasce.scoring import Score, read_angles_csv, score
from aasce.scoring.metrics import film_smape
from tools.train_released import FOLDS, SEED


def table(found: Score) -> str:
    """Errors and agreement by angle."""
    names = [name for name, _ in found.by_angle]
    by_angle = [agreement for _, agreement in found.by_angle]
    rows = [
        ("MAE, degrees (95 %)", [f"{a.mae:.2f} {span(a.interval)}" for a in by_angle]),
        ("its standard deviation", [f"{a.sd:.2f}" for a in by_angle]),
        ("within 5 degrees", [f"{100 * a.within:.0f} %" for a in by_angle]),
        ("Pearson r", [f"{a.pearson:.3f}" for a in by_angle]),
        ("ICC(2,1)", [f"{a.icc:.3f}" for a in by_angle]),
        ("bias, limits of agreement", [f"{a.bias:.1f} {span(a.limits)}" for a in by_angle]),
    ]  # fmt: skip
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    return "\n".join([*lines, *(f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows)])


def by_fold(preds: Path, films: FilmSet) -> str:
    """SMAPE and MAE of the major angle in each fold that the predictions touch."""
    said = dict(zip(*read_angles_csv(preds), strict=True))
    smape, major = [], []
    for _, fold in grouped_folds(films.studies, FOLDS, SEED):
        met = [(said[films[i].film_id], films[i].angles) for i in fold if films[i].film_id in said]
        if not met:
            continue
        ours, truth = (np.array(side, dtype=np.float64) for side in zip(*met, strict=True))
        smape.append(f"{film_smape(ours, truth).mean():.2f}")
        major.append(f"{np.abs(ours - truth)[:, 0].mean():.2f}")
    return f"By fold: SMAPE {', '.join(smape)}; MAE of an1 {', '.join(major)}."


def span(interval: tuple[float, float] | None) -> str:
    """An interval in brackets; nothing without one."""
    return "" if interval is None else f"({interval[0]:.2f}-{interval[1]:.2f})"


def main(
    solver: str,
    data: Annotated[Path | None, typer.Option()] = None,
    out: Annotated[Path, typer.Option()] = Path("submissions"),
) -> None:
    """Prints the score of submissions/oof-SOLVER on the official labels, all together and by fold."""
    root, preds = data_root(data), out / f"oof-{solver}" / "preds.csv"
    labels = root / "aasce19" / "labels" / "training" / "angles.csv"
    found = score(preds, labels, partial=True)
    median = f"The median angles score {found.truth_median_smape:.1f} on these films"
    typer.echo(
        f"{found.n} films. SMAPE {found.smape:.2f} {span(found.smape_interval)}. {median}.\n\n{table(found)}\n\n"
        + by_fold(preds, read_challenge(root))
    )


if __name__ == "__main__":
    typer.run(main)
