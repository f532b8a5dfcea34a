"""Puts the held-out predictions of one solver's folds together, as a folder of submissions/.

`aasce bench` does so itself. This is for folds whose models were trained one by one, such as those that go on from
other weights (`aasce train --fold K --start RUN`).

python -m tools.assemble_oof runs/seg4reg-fold0 runs/seg4reg-fold1 --out submissions/oof-seg4reg
python -m tools.assemble_oof runs/vertebra_field-fold? --out submissions/oof-vertebra_field --landmarks
python -m tools.assemble_oof runs/second-fold? --out submissions/oof-vertebra_field_2 --name vertebra_field_2
aasce score submissions/oof-seg4reg/preds.csv $AASCE_DATA/aasce19/labels/training/angles.csv --partial
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aasce.evaluation.held_out import merge


def main(
    runs: Annotated[list[Path], typer.Argument(help="run folders of the folds")],
    out: Annotated[Path, typer.Option(help="folder of preds.csv and manifest.json")],
    landmarks: Annotated[
        bool, typer.Option("--landmarks", help="predictions.json too, for the clinical definition")
    ] = False,
    name: Annotated[
        str | None, typer.Option(help="of the released weights, where it is not the method's own")
    ] = None,
) -> None:
    """Writes preds.csv and manifest.json, which keeps each film's flags and, by fold, its confidence."""
    merge(runs, out, landmarks, name)


if __name__ == "__main__":
    typer.run(main)
