"""The noise of labels is read from exposures that were labelled twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aasce.datasets import read_challenge
from aasce.geometry.cobb import tilts
from aasce.scoring import smape
from aasce.scoring.tables import HEADER
from tests.synthetic import write_repeated
from tools.label_noise import main


def test_both_labellings_are_compared_and_joined_studies_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films = read_challenge(write_repeated(tmp_path / "data"))
    angles = np.array([film.angles for film in films])
    preds = tmp_path / "preds.csv"
    rows = [f"{f.film_id},{a[0] + 2},{a[1]},{a[2]}" for f, a in zip(films, angles, strict=True)]
    preds.write_text("\n".join([",".join(HEADER), *rows, ""]))
    main(preds, tmp_path / "data")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1 pairs of films show one exposure; 1 of them are predicted"
    noise = smape(angles[[0]], angles[[2]])
    assert f"SMAPE {noise:.2f}" in lines[1]
    assert f"an1 {abs(angles[0, 0] - angles[2, 0]):.2f} degrees; 1 comparisons" in lines[1]
    lean = np.abs(tilts(films[0].landmarks) - tilts(films[2].landmarks))
    assert f"{lean.mean():.2f} degrees" in lines[2]
    assert lines[2].endswith("17 vertebrae")
    assert "an1 2.00 degrees; 2 comparisons" in lines[3]
    # Both studies of the pair are one patient: no film is left.
    assert lines[-1].startswith("without 2 joined studies")
    assert lines[-1].endswith("no films")
