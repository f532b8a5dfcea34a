"""Films rendered while a network trains."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.datasets import FilmSet
from aasce.solvers.shared.rendered import RenderedFilms, render_sample
from aasce.solvers.vertebra_field.solver import VertebraFieldSolver
from aasce.solvers.vertebra_field.task import FieldTask


@pytest.fixture
def rendered():
    films = RenderedFilms(2, seed=3, rows=192)
    yield films
    films.close()


def test_every_epoch_has_films_of_its_own_and_the_same_ones_again(rendered: RenderedFilms) -> None:
    first, second = rendered.take(0), rendered.take(1)
    ids = [film.radiograph.film_id for film in (*first, *second)]
    assert len(set(ids)) == 4
    again = render_sample(int(ids[2].removeprefix("rendered-")), 192)
    assert np.array_equal(again.radiograph.pixels, second[0].radiograph.pixels)
    assert np.array_equal(again.landmarks, second[0].landmarks)


def test_a_network_trains_on_rendered_films_alone() -> None:
    config = VertebraFieldSolver.Config.tiny().model_copy(update={"rendered": 2})
    task = FieldTask(config, VertebraFieldSolver(config).module, FilmSet([], "none", "none"), None)
    assert task.rendered is not None
    task.rendered.rows = 192
    try:
        batches = list(task.batches(0))
    finally:
        task.rendered.close()
    assert task.steps() == 1
    assert len(batches) == 1
    assert batches[0]["image"].shape[0] == 2
    assert (batches[0]["members"] >= 0).any()
