"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.commandline import data, film, run

# Tests are to give the same bits with and without ONNX Runtime; those of the engine turn it on.
os.environ["AASCE_FAST"] = "0"

__all__ = ["aasce_data", "data", "film", "run", "straight_spine"]


@pytest.fixture(scope="session")
def aasce_data() -> Path:
    """The folder that holds aasce19/ and aasce19_wide/; a test that needs real films skips without it."""
    value = os.environ.get("AASCE_DATA")
    if not value or not (Path(value) / "aasce19").is_dir():
        pytest.skip("AASCE_DATA does not name the folder that holds aasce19/")
    return Path(value)


def straight_spine(vertebrae: int = 17, tilt: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """(V, 4, 2) px corners of 60x40 boxes every 50 px down the column x = 200, each turned by `tilt` degrees."""
    turn = np.radians(np.zeros(vertebrae) if tilt is None else np.asarray(tilt, dtype=np.float64))
    box = np.array([[-30, -20], [30, -20], [-30, 20], [30, 20]], dtype=np.float64)
    rotation = np.stack(
        [np.stack([np.cos(turn), -np.sin(turn)], -1), np.stack([np.sin(turn), np.cos(turn)], -1)], -2
    )
    centres = np.stack([np.full(vertebrae, 200.0), 60.0 + 50.0 * np.arange(vertebrae)], -1)
    return np.einsum("vij,kj->vki", rotation, box) + centres[:, None]
