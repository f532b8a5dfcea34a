"""The angles of every released solver on the example films, as first released.

released_angles.json was written by 0.1.0, and for later solvers when their weights came in. Settings, state and code
may change their form; what is measured may not.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from aasce.api import load_ensemble, load_single
from aasce.examples import example_films
from aasce.readers import read_film
from aasce.weights import released

ANGLES: dict[str, dict[str, list[float]]] = json.loads(
    (Path(__file__).parent / "released_angles.json").read_text()
)
FITTED = 3
"""Films that `inverse_render`, which takes seconds for each, is asked for."""


def test_all_that_is_released_stands_here() -> None:
    assert set(ANGLES) == {*released(), "ensemble"}
    assert all(set(films) == {path.stem for path in example_films()} for films in ANGLES.values())


@pytest.mark.parametrize("name", ANGLES)
def test_angles_are_those_first_released(name: str) -> None:
    measurer = load_ensemble(None) if name == "ensemble" else load_single(name)
    paths = example_films()[: FITTED if name == "inverse_render" else None]
    for path in paths:
        measured = measurer.measure([read_film(path)])[0]
        assert measured.angles is not None, measured.failure
        np.testing.assert_allclose(measured.angles.degrees, ANGLES[name][path.stem], atol=0.01)
