"""Damaged weights are refused before they measure anything."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from aasce.solvers.base import (
    CHECKSUM,
    STATE_FILE,
    WEIGHTS_FILE,
    check_weights,
    read_state,
    write_numbers,
    write_run,
    write_state,
)
from aasce.solvers.shared.released import PACKAGE
from aasce.types import AasceError
from aasce.weights import load_solver

RELEASED = sorted(path.parent for path in PACKAGE.glob("**/" + STATE_FILE))


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PACKAGE / "vertebra_field", tmp_path / "run"))


def test_there_are_released_folders_of_solvers_for_films() -> None:
    assert {"constant", "vertebra_field"} <= {folder.name for folder in RELEASED}


@pytest.mark.parametrize("folder", RELEASED, ids=lambda folder: str(folder.relative_to(PACKAGE)))
def test_the_checksum_of_each_released_folder_is_that_of_its_weights(folder: Path) -> None:
    wanted = hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
    assert json.loads((folder / STATE_FILE).read_text())[CHECKSUM] == wanted


@pytest.mark.parametrize("fill", [b"\0", b"\xff"])
@pytest.mark.parametrize("place", [1_000_000, 6_000_000])
def test_a_bad_sector_is_named(copied: Path, fill: bytes, place: int) -> None:
    with (copied / WEIGHTS_FILE).open("r+b") as stream:
        stream.seek(place)
        stream.write(fill * 512)
    with pytest.raises(AasceError, match="is damaged") as caught:
        load_solver(copied)
    assert str(copied / WEIGHTS_FILE) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_of_before_there_was_a_checksum_load(copied: Path) -> None:
    body = json.loads((copied / STATE_FILE).read_text())
    del body[CHECKSUM]
    (copied / STATE_FILE).write_text(json.dumps(body))
    check_weights(copied)


def test_whoever_writes_weights_or_state_brings_it_up_to_date(tmp_path: Path) -> None:
    """In whatever order: a solver from outside the kit may write its state first."""
    solver = load_solver("constant")
    write_run(tmp_path, solver)
    assert read_state(tmp_path).checksum is None
    for value in (1.0, 2.0):
        write_numbers(tmp_path, {"value": np.array([value])})
        check_weights(tmp_path)
    known = read_state(tmp_path)
    (tmp_path / WEIGHTS_FILE).write_bytes(b"copied in from another run")
    with pytest.raises(AasceError, match="is damaged"):
        check_weights(tmp_path)
    write_state(tmp_path, known)
    check_weights(tmp_path)
