"""`labelling` as a solver: what it learns, predicts and leaves out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aasce.config import dump_settings, load_settings
from aasce.datasets import FilmSet, read_challenge
from aasce.phantom.record import read_centres
from aasce.solvers.base import RunFolder
from aasce.solvers.labelling.inference import Centroids
from aasce.solvers.labelling.neck import necks_of
from aasce.solvers.labelling.settings import LabellingConfig
from aasce.solvers.labelling.solver import LabellingSolver, LevelPass
from aasce.solvers.labelling.task import LabellingTask
from aasce.solvers.shared.regressor import FilmReading
from aasce.solvers.shared.samples import Floats, SampleSplit, load_samples
from aasce.types import Radiograph
from tests.synthetic import SIZE, bent_spine, write_challenge
from tests.unit.phantom.records import write_record


def tiny(tmp: Path, *overrides: str) -> LabellingConfig:
    path = tmp / "tiny.yaml"
    path.write_text(dump_settings(LabellingConfig.tiny()))
    return load_settings(LabellingConfig, path, overrides)


@pytest.fixture
def films(tmp_path: Path) -> FilmSet:
    return read_challenge(write_challenge(tmp_path / "set", [bent_spine(b) for b in (-40.0, 10.0)]))


@pytest.fixture
def half_recorded(films: FilmSet) -> FilmSet:
    """The two films, the first of which has a record."""
    write_record(films[0].path, 3)
    return films


def test_training_fits_the_correction_and_the_confidence(tmp_path: Path, films: FilmSet) -> None:
    solver = LabellingSolver(tiny(tmp_path, "train.epochs=1", "curve.least=0.0"))
    report = solver.fit(films, films, RunFolder(tmp_path / "run", "cpu", quiet=True))
    assert solver.learned.correction is not None
    # 17 tilts, from 17 tangents and 17 tilts of the map.
    assert np.shape(solver.learned.correction.matrix) == (17, 34)
    assert solver.learned.calibration is not None
    assert report.notes["validation_tilt"] == report.best_score
    found = solver.predict([films.radiograph(0)])[0]
    assert found.landmarks is None
    assert found.centerline is not None
    assert found.centerline.shape == (17, 2)


def test_the_networks_of_the_papers_comparison(tmp_path: Path, films: FilmSet) -> None:
    """No map of tilts, no correction of tilts, no corrector: the corrector stays as it was."""
    config = tiny(tmp_path, "train.epochs=1", "corrector=false", "target.tilt=0.0", "curve.correction=null")
    solver = LabellingSolver(config)
    before = {k: v.clone() for k, v in solver.module.corrector.state_dict().items()}
    solver.fit(films, None, RunFolder(tmp_path / "run", "cpu", quiet=True))
    assert solver.learned.correction is None
    for name, value in solver.module.corrector.state_dict().items():
        np.testing.assert_allclose(value, before[name], atol=2e-4)  # rounded to half precision


def test_the_switch_leaves_the_corrector_out(tmp_path: Path, films: FilmSet) -> None:
    solver, film = LabellingSolver(tiny(tmp_path, "scales=[1.0]")), films.radiograph(0)
    located = solver.centroids(film)
    solver.module.corrector.layers[-1].bias.data.fill_(0.1)
    # A tenth of the canvas's height, which is the film's. The mirror image moves to the other side along x.
    assert solver.centroids(film) == pytest.approx(located + np.array([0.0, 0.1 * SIZE[0]]), abs=1e-2)
    solver.config = solver.config.model_copy(update={"corrector": False})
    assert solver.centroids(film) == pytest.approx(located, abs=1e-6)


def test_a_film_without_a_spine_fails_with_a_reason(tmp_path: Path) -> None:
    solver = LabellingSolver(tiny(tmp_path, "curve.least=0.9"))
    pixels = np.random.default_rng(0).integers(0, 255, SIZE, np.uint8)
    found = solver.predict([Radiograph("noise", pixels)])[0]
    assert found.failure == "no spine found on the film (0 of 17 levels seen)"


def reading(solver: LabellingSolver, points: Floats, seen: Floats, film: Radiograph) -> FilmReading | str:
    """What the solver makes of known centroids in px of the film."""
    known = Centroids(np.stack([points, points]), np.stack([seen, seen]), np.zeros((2, 17)))
    solver.run = lambda shown, box: LevelPass(box, known)  # type: ignore[method-assign]
    return solver.read(film)


def test_levels_that_are_not_seen_are_flagged(tmp_path: Path, films: FilmSet) -> None:
    solver, film = LabellingSolver(tiny(tmp_path, "curve.tilt_share=0.0")), films.radiograph(0)
    points, seen = bent_spine(30.0).mean(axis=1), np.ones(17)
    found = reading(solver, points, seen, film)
    assert isinstance(found, FilmReading)
    assert found.flags == ()
    assert found.centerline == pytest.approx(points)
    assert found.degrees[0] == pytest.approx(30, abs=4)
    seen[11:] = 0.1
    found = reading(solver, points, seen, film)
    assert isinstance(found, FilmReading)
    assert found.flags == ("vertebra_missing",)
    seen[5:] = 0.1
    assert reading(solver, points, seen, film) == "no spine found on the film (5 of 17 levels seen)"


def test_a_spine_that_leaves_the_film_is_flagged(tmp_path: Path, films: FilmSet) -> None:
    solver, film = LabellingSolver(tiny(tmp_path)), films.radiograph(0)
    points = bent_spine(0.0).mean(axis=1)
    for shift, flags in ((0.0, ()), (36.0, ("curve_leaves_film",))):
        found = reading(solver, points + np.array([0.0, shift]), np.ones(17), film)
        assert isinstance(found, FilmReading)
        assert found.flags == flags


def test_centroids_that_are_no_numbers_fail(tmp_path: Path, films: FilmSet) -> None:
    solver = LabellingSolver(tiny(tmp_path))
    assert reading(solver, np.full((17, 2), np.nan), np.ones(17), films.radiograph(0)) == (
        "the network gave no number"
    )


def test_necks_are_those_of_the_records(half_recorded: FilmSet) -> None:
    samples = load_samples(half_recorded, "none")
    necks = necks_of(half_recorded, samples)
    centres = read_centres(half_recorded[0].path)
    assert centres is not None
    assert necks[0] == pytest.approx(samples[0].view.apply(centres[:7]))
    assert necks[1] is None


def test_batches_of_all_levels(tmp_path: Path, half_recorded: FilmSet) -> None:
    """C1 to C7 are known of the film with a record alone, and lie above T1 on its own canvas."""
    config = tiny(tmp_path, "levels=C1-L5", "batch=2", "augment.rotation_share=0.0")
    samples = load_samples(half_recorded, "none")
    necks = [np.array([[96.0, -30.0 + 5 * k] for k in range(7)]), None]
    solver = LabellingSolver(config)
    task = LabellingTask(config, solver.module, SampleSplit(samples, []), necks)
    batch = task.draw_batch([0, 1], np.random.default_rng(0))
    assert batch["known"].tolist() == [[True] * 24, [False] * 7 + [True] * 17]
    assert (np.diff(batch["points"][0, :, 1].numpy()) > 0).all()
    losses = task.module(batch)
    assert all(np.isfinite(float(value.detach())) for value in losses.values())


def test_centroids_are_px_of_the_film_as_read(tmp_path: Path, films: FilmSet) -> None:
    """A film of twice the size has centroids at twice the place."""
    solver, film = LabellingSolver(tiny(tmp_path)), films.radiograph(0)
    large = replace(film, pixels=np.kron(film.pixels, np.ones((2, 2), np.uint8)))
    small, big = solver.centroids(film), solver.centroids(large)
    assert big == pytest.approx(2 * small + 0.5, abs=12)
