"""Who measures: one solver, or several as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aasce import api as members
from aasce.api import Ensemble, check_device, load, load_ensemble, load_single, measure, measure_groups
from aasce.config import dump_settings
from aasce.ensemble import EnsembleMember, EnsembleSettings, Measurement
from aasce.readers import FilmFile
from aasce.solvers.constant.solver import ConstantSolver
from aasce.types import AasceError, Definition, Radiograph

FILM = Radiograph("film", np.zeros((40, 40), np.uint8))


def saved(folder: Path, degrees: tuple[float, float, float]) -> str:
    solver = ConstantSolver()
    solver.angles = np.array(degrees)
    solver.save(folder)
    return str(folder)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A YAML of two constant solvers, (40, 20, 10) with weight 3 and (20, 0, 6) with weight 1."""
    first, second = saved(tmp_path / "a", (40, 20, 10)), saved(tmp_path / "b", (20, 0, 6))
    rows = (EnsembleMember(solver=first, weight=3.0), EnsembleMember(solver=second, weight=1.0))
    path = tmp_path / "pair.yaml"
    path.write_text(dump_settings(EnsembleSettings(members=rows)))
    return path


def test_weighted_mean_by_hand(pair: Path) -> None:
    # (3 * 40 + 20) / 4 = 35, (3 * 20 + 0) / 4 = 15, (3 * 10 + 6) / 4 = 9
    ensemble = load_ensemble(pair, "cpu")
    (measured,) = ensemble.measure([FILM])
    assert measured.angles is not None
    assert measured.angles.degrees.tolist() == [35, 15, 9]
    (predicted,) = ensemble.predict([FILM])
    assert predicted.solver == "ensemble"
    assert predicted.angles is not None
    assert predicted.angles.degrees.tolist() == [35, 15, 9]
    assert ensemble.predict([]) == []


def test_load_knows_the_default_ensemble(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "DEFAULT_ENSEMBLE", pair)
    loaded = load("ensemble")
    assert isinstance(loaded, Ensemble)
    assert loaded.weights == (3.0, 1.0)


def test_load_takes_a_released_name_and_a_folder(tmp_path: Path) -> None:
    assert load("constant").name == "constant"
    assert load(saved(tmp_path / "a", (1, 2, 3))).name == "constant"


def test_single_measures_as_an_ensemble_does(tmp_path: Path) -> None:
    (measured,) = load_single(saved(tmp_path / "a", (1, 2, 3)), "cpu").measure([FILM])
    assert measured.angles is not None
    assert measured.angles.degrees.tolist() == [1, 2, 3]
    with pytest.raises(AasceError, match="definition"):
        load_single(str(tmp_path / "a"), "cpu").measure([FILM], "clinical")


def test_released_weights_are_told_by_their_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AASCE_WEIGHTS", str(tmp_path))
    folder = saved(tmp_path / "constant_of_ours", (1, 2, 3))
    assert load_single("constant_of_ours", "cpu").measure([FILM])[0].prediction.solver == "constant_of_ours"
    assert load_single(folder, "cpu").measure([FILM])[0].prediction.solver == "constant"


@pytest.mark.parametrize("device", ["cuda:99", "abacus"])
def test_device_that_cannot_be_used(device: str) -> None:
    with pytest.raises(AasceError, match=f"--device {device}: cannot be used") as caught:
        check_device(device)
    assert "\n" not in str(caught.value)


class Forgetful:
    """Has memory for films of up to 1,000 pixels, and for two films at once."""

    def measure(self, films: list[Radiograph], definition: Definition = "challenge") -> list[Measurement]:
        if len(films) > 2 or any(film.pixels.size > 1000 for film in films):
            raise RuntimeError("out of memory\nsecond line")
        return load_single("constant").measure(films, definition)


def test_where_memory_is_short_films_are_measured_one_by_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sizes = {"a": 20, "b": 60, "c": 21, "d": 22, "e": 23}

    def read(path: Path, film_id: str) -> list[Radiograph]:
        if film_id == "e":
            raise MemoryError
        return [Radiograph(film_id, np.zeros((sizes[film_id], 20), np.uint8))]

    monkeypatch.setattr(members, "read_films", read)
    files = [FilmFile(tmp_path / name, name) for name in sizes]
    found = [m for group in measure_groups(files, Forgetful()) for _, _, m in group]
    assert [m.film_id for m in found] == list(sizes)
    assert {m.film_id: m.failure for m in found if m.failure} == {
        "b": "cannot be measured (out of memory); scale it down",
        "e": "does not fit into memory; measure it alone, or scale it down",
    }


def test_measure_raises_for_a_name_that_stands_for_no_film(tmp_path: Path) -> None:
    with pytest.raises(AasceError, match="no such film"):
        measure([tmp_path / "gone.png"], "constant")
