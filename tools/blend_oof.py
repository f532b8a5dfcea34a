"""Out-of-fold predictions of an ensemble, from those of its members.

python -m tools.blend_oof configs/ensembles/default.yaml --out submissions/oof-ensemble
aasce score submissions/oof-ensemble/preds.csv $AASCE_DATA/aasce19/labels/training/angles.csv --partial
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from aasce.config import load_settings
from aasce.ensemble import EnsembleSettings, blend
from aasce.files import write_text
from aasce.scoring import read_angles_csv
from aasce.writers import write_submission


def main(
    ensemble: Path,
    out: Annotated[Path, typer.Option()],
    submissions: Path = Path("submissions"),
) -> None:
    """Writes preds.csv and manifest.json of the films that every member predicted out of fold."""
    settings = load_settings(EnsembleSettings, ensemble)
    folders = [submissions / f"oof-{member.solver}" for member in settings.members]
    tables = [dict(zip(*read_angles_csv(folder / "preds.csv"), strict=True)) for folder in folders]
    names = sorted(set(tables[0]).intersection(*tables[1:]))
    angles = np.array([[table[name] for name in names] for table in tables])
    mixed = blend(angles, settings.weights, settings.apart)
    write_submission(out / "preds.csv", dict(zip(names, mixed, strict=True)))
    body = {
        "solver": "ensemble", "definition": "challenge", "labels": "official", "films": len(names),
        "settings": settings.model_dump(mode="json"),
        "members": [folder.name for folder in folders],
        "split": "films that each member predicted by a model that saw none of their studies; see the members'",
    }  # fmt: skip
    write_text(out / "manifest.json", json.dumps(body, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    typer.run(main)
