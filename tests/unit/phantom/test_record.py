"""The record of a rendered film gives the neck and the scale that its labels lack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from aasce.phantom.record import CENTRES, read_centres, read_pixel_mm, record_of
from aasce.types import AasceError
from tests.unit.phantom.records import write_record


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return tmp_path / "data" / "training" / "film-1.jpg"


def test_centres_are_those_of_the_truth_and_the_neck_above(film: Path) -> None:
    _, trunk = write_record(film, 5)
    centres = read_centres(film)
    assert centres is not None
    assert centres.shape == (len(CENTRES), 2)
    assert [CENTRES[k] for k in (0, 7, 23)] == ["C1", "T1", "L5"]
    assert centres[7:] == pytest.approx(trunk, abs=0.01)
    assert (np.diff(centres[:, 1]) > 0).all()


def test_a_pixel_is_as_large_as_two_points_in_the_plane_of_the_spine_say(film: Path) -> None:
    framing, _ = write_record(film, 6)
    camera = framing.model_copy(update={"turn": (0.0, 0.0, 0.0), "scanner": True}).camera()
    middle = (framing.box[2] + framing.box[3]) / 2
    rows = camera.project(torch.tensor([[0.0, 0.0, middle], [0.0, 0.0, middle + 50.0]]))[:, 1]
    assert read_pixel_mm(film) == pytest.approx(50.0 / float(rows[0] - rows[1]), rel=1e-3)


def test_a_film_without_a_record(film: Path) -> None:
    assert read_centres(film) is None
    assert read_pixel_mm(film) is None
    assert read_centres(Path("film-1.jpg")) is None


def test_a_damaged_record_is_named(film: Path) -> None:
    write_record(film, 7)
    record_of(film).write_text('{"framing": {}}')
    with pytest.raises(AasceError, match=r"film-1\.json"):
        read_centres(film)
