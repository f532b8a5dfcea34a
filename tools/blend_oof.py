"""Held-out predictions of an ensemble, from those of its members.

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
from aasce.evaluation.held_out import MANIFEST, PREDICTIONS, read_rows
from aasce.files import write_text
from aasce.writers import provenance, write_submission


def main(
    ensemble: Annotated[Path, typer.Argument(help="YAML of members and weights")],
    out: Annotated[Path, typer.Option(help="folder of preds.csv and manifest.json")],
    submissions: Annotated[Path, typer.Option(help="folder of oof-MEMBER")] = Path("submissions"),
) -> None:
    """Writes preds.csv and manifest.json of the films that every member predicted by a model that had not seen them."""
    settings = load_settings(EnsembleSettings, ensemble)
    folders = [submissions / f"oof-{member.solver}" for member in settings.members]
    tables = [read_rows(folder) for folder in folders]
    names = sorted(set(tables[0]).intersection(*tables[1:]))
    angles = np.array([[table[name] for name in names] for table in tables])
    combined = blend(angles, settings.weights, settings.max_disagreement_deg)
    write_submission(out / PREDICTIONS, dict(zip(names, combined, strict=True)))
    body = {
        "solver": "ensemble",
        "definition": "challenge",
        "labels": "official",
        "films": len(names),
        "settings": settings.model_dump(mode="json"),
        "members": [folder.name for folder in folders],
        "split": "films that each member predicted by a model that saw none of their studies; see the members'",
        **provenance(),
    }
    write_text(out / MANIFEST, json.dumps(body, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    typer.run(main)
