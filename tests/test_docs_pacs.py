"""The page for the PACS administrator: each command runs, and its table names what is written."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
from pydicom import dcmread

from aasce import api
from aasce.solvers.base import LearnedState
from aasce.types import Radiograph, SpinePrediction
from tests.commandline import Run
from tests.dicom.films import double_curve, plain, png

PAGE = Path(__file__).parents[1] / "docs" / "pages" / "pacs.md"


class Known:
    """Answers each film by the spine drawn on it."""

    name = "vertebra_field"
    config = SimpleNamespace(model_dump=lambda mode: {})
    learned = LearnedState()
    engine, localizer = "", None
    training: ClassVar[dict[str, str]] = {}

    def predict(self, films: Sequence[Radiograph]) -> list[SpinePrediction]:
        return [
            SpinePrediction(film.film_id, film.size, double_curve(), confidence=0.9, solver=self.name)
            for film in films
        ]


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "load_solver", lambda name, device: Known())


@pytest.mark.usefixtures("known")
def test_commands_of_the_page(run: Run, tmp_path: Path) -> None:
    plain(tmp_path).path.rename("film.dcm")
    png(tmp_path).path.rename("film.png")
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    assert len(lines) == 6
    for program, *words in lines:
        if program == "aasce":
            done = run(*words)
            assert done.code == 0, done.err
        elif shutil.which(program):
            said = subprocess.run([program, *words], capture_output=True, check=False)
            assert said.returncode == 0, program
    assert dcmread("scanned/dicom/film-film.dcm").PatientName == "Doe^Jane"


@pytest.mark.usefixtures("known")
def test_table_names_the_objects_that_are_written(run: Run, tmp_path: Path) -> None:
    png(tmp_path)
    assert run("predict", "png.png", "--dicom", "sr,gsps", "--dicom", "sc,seg").code == 0
    rows = re.findall(
        r"^\| `(\w+)` \|.*\| ([\d.]+) \| (\w+) \| (\d+) \|$", PAGE.read_text("utf-8"), re.MULTILINE
    )
    assert len(rows) == 5
    for kind, sop_class, modality, number in rows:
        made = dcmread(f"aasce-out/dicom/png-{kind}.dcm")
        assert (made.SOPClassUID, made.Modality, made.SeriesNumber) == (sop_class, modality, int(number))


def test_a_wrong_kind_date_or_lonely_name_is_told_in_a_line(run: Run) -> None:
    assert "sr, gsps, sc, seg" in run("predict", "--dicom", "rtss").one_line()
    assert "YYYYMMDD" in run("predict", "--dicom", "sr", "--study-date", "2.1.2026").one_line()
    assert "backslash" in run("predict", "--dicom", "sr", "--patient-id", "a\\b").one_line()
    assert "--dicom" in run("predict", "--patient-id", "4711").one_line()
