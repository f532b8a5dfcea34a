"""One exposure under two names is found, two films of one spine are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aasce.datasets import audit_dataset, read_challenge
from aasce.datasets.exposures import repeated_exposures
from tests.synthetic import write_repeated


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_repeated(tmp_path)


def test_the_export_is_found_and_the_second_exposure_is_not(data: Path) -> None:
    found = repeated_exposures(read_challenge(data))
    assert [(pair.first, pair.second) for pair in found] == [(0, 2)]
    assert 0.8 < found[0].correlation <= 1


def test_films_without_labels_are_not_compared(data: Path) -> None:
    assert repeated_exposures(read_challenge(data, labels="none")) == []


def test_the_audit_says_how_far_the_two_labellings_differ(data: Path) -> None:
    films = read_challenge(data)
    found = audit_dataset(films)
    found = found[found["fault"] == "same_exposure"]
    assert list(found["film"]) == [films[2].film_id]
    detail = found["detail"].iloc[0]
    assert detail.startswith(f"the exposure of {films[0].film_id} again")
    angles = [films[i].angles for i in (0, 2)]
    a, b, c = np.abs(np.subtract(*angles))  # type: ignore[arg-type]
    assert detail.endswith(f"differ by {a:.1f} {b:.1f} {c:.1f} degrees")


def test_a_copied_file_is_named_once(data: Path) -> None:
    films = data / "data/training"
    names = sorted(path.name for path in films.iterdir())
    (films / names[2]).write_bytes((films / names[0]).read_bytes())
    label = data / "labels/training"
    (label / f"{names[2]}.mat").write_bytes((label / f"{names[0]}.mat").read_bytes())
    kinds = set(audit_dataset(read_challenge(data))["fault"])
    assert "same_film" in kinds
    assert "same_exposure" not in kinds
