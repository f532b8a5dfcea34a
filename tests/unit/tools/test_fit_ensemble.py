"""What a mixture is worth is measured on films that its weights were not fitted on, and paired with the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aasce.datasets import read_challenge
from aasce.ensemble import fit_weights
from tests.synthetic import bent_spine, write_challenge
from tools.fit_ensemble import HeldOut, crossed, main, measured, mixtures, read_members

FILMS = 40


def held_out(noise: tuple[float, ...], seed: int = 0) -> HeldOut:
    """Members whose errors are independent, of the given standard deviations; the first one is the reference."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(20, 60, (FILMS, 3))
    angles = np.stack([truth + rng.normal(0, sd, truth.shape) for sd in noise])
    names = tuple(f"member{k}" for k in range(len(noise)))
    return HeldOut(names, angles, truth, angles[0], [f"study{k // 2}" for k in range(FILMS)])


def test_two_members_with_independent_errors_beat_one_beyond_chance() -> None:
    found = mixtures(held_out((6.0, 6.0)), limit=90.0)
    assert all(mixture.difference < 0 for mixture in found)
    assert found[1].beyond_chance
    assert "better beyond chance" in str(found[1])


def test_a_worse_copy_adds_nothing_beyond_chance() -> None:
    held = held_out((3.0, 20.0))
    fitted, equal, _ = mixtures(held, limit=90.0)
    assert abs(fitted.difference) < 1.0
    assert not fitted.beyond_chance
    assert equal.difference > 0
    assert "within chance or worse" in str(equal)


def test_each_film_is_mixed_by_weights_of_other_studies() -> None:
    """One study that the first member alone gets right must not gain from weights fitted on itself."""
    held = held_out((8.0, 2.0))
    angles = held.angles.copy()
    angles[0, :2] = held.truth[:2]
    changed = HeldOut(held.names, angles, held.truth, held.reference, held.studies)
    others = fit_weights(angles[:, 2:], held.truth[2:], 90.0)
    assert others[1] > 0.8
    off = np.abs(crossed(changed, 90.0)[:2] - held.truth[:2])
    assert off.max() > 0.1


def test_the_reference_against_itself_differs_by_nothing() -> None:
    held = held_out((5.0, 5.0))
    assert measured("itself", held.reference, held).difference == 0


def test_each_member_alone_is_told_against_the_reference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films = read_challenge(write_challenge(tmp_path, [bent_spine(b) for b in range(10, 70, 5)]))
    for member, off in (("a", 4.0), ("b", 1.0)):
        folder = tmp_path / f"oof-{member}"
        folder.mkdir()
        rows = [f"{film.film_id},{','.join(str(angle + off) for angle in film.angles)}" for film in films]
        (folder / "preds.csv").write_text("\n".join(["name,an1,an2,an3", *rows]) + "\n")
    main(["a", "b"], tmp_path, tmp_path, "a")
    told = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in told[:3]] == ["reference a", "a alone", "b alone"]
    assert "over 12 films" in told[0]
    assert ", +0.00" in told[1]
    assert told[2].endswith("better beyond chance")


def test_films_that_a_member_lacks_are_left_out(tmp_path: Path) -> None:
    films = read_challenge(write_challenge(tmp_path, [bent_spine(b) for b in (10.0, 30.0, 50.0)]))
    names = [film.film_id for film in films]
    for member, some in (("a", names), ("b", names[:2])):
        folder = tmp_path / f"oof-{member}"
        folder.mkdir()
        rows = "".join(f"{name},{10 * k},2,3\n" for k, name in enumerate(some))
        (folder / "preds.csv").write_text("name,an1,an2,an3\n" + rows)
    held = read_members(["a", "b"], "a", films, tmp_path)
    assert held.angles.shape == (2, 2, 3)
    assert held.reference[:, 0].tolist() == [0, 10]
    assert held.truth.tolist() == [pytest.approx(films[k].angles) for k in range(2)]
