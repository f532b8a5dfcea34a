"""The contract of every solver, whatever its method; a new one adds its case to `CASES`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aasce.config import dump_settings, load_settings
from aasce.datasets import FilmSet, read_challenge
from aasce.ensemble import with_angles
from aasce.solvers.base import CONFIG_FILE, STATE_FILE, WEIGHTS_FILE, Localization, RunFolder, Solver
from aasce.solvers.registry import SOLVERS, solver_class
from aasce.types import AasceError, Orientation, Radiograph, SpinePrediction
from tests.synthetic import SIZE, bent_spine, write_challenge

BENDS = (-50.0, -20.0, 10.0, 40.0)
"""Degrees from T1 to L5 of the four films of the tiny set."""


@dataclass(frozen=True)
class Case:
    """What a solver needs to learn the tiny set in seconds.

    Attributes:
        learn: settings over its `tiny()` ones.
        repeats: how often each of the four films is in an epoch.
    """

    learn: tuple[str, ...] = ()
    repeats: int = 1


CASES = {
    "constant": Case(),
    "inverse_render": Case(
        learn=(
            "stages=[{rows: 96, steps: 2, rate: 0.15, blur: 1.0}]",
            "start.sizes=[0.8, 0.9]", "start.spines=1", "start.kept=1", "start.explored=1",
        ),
    ),
    "centerline": Case(
        learn=(
            "train.epochs=4", "train.lr=5e-3", "train.ema=0.97",
            "augment.intensity=0.0", "augment.rotation_share=0.0", "augment.small_rotation=1.0",
            "augment.small_share=0.0",
            "augment.bend_share=0.0", "augment.scale=[0.97, 1.03]",
        ),
        repeats=25,
    ),
    "keypoint_fusion": Case(
        learn=(
            "boxes.train.epochs=4", "boxes.train.lr=3e-3", "boxes.train.ema=0.97",
            "corners.train.epochs=2", "corners.train.lr=5e-3", "corners.train.ema=0.95",
            "rough.train.epochs=8", "rough.train.lr=5e-3", "rough.train.ema=0.97",
            "patches.train.epochs=4", "patches.train.lr=5e-3", "patches.train.ema=0.97",
            "augment.intensity=0.0", "augment.small_rotation=1.0",
            "augment.bend_share=0.0", "augment.scale=[0.97, 1.03]",
        ),
        repeats=25,
    ),
    "vertebra_field": Case(
        learn=(
            "train.epochs=5", "train.validate_every=5", "train.lr=5e-3", "train.ema=0.97",
            "network.head_channels=32", "network.pyramid_channels=32",
            "augment.intensity=0.0", "augment.rotation=1.0", "augment.stretch=0.01", "augment.scale=0.02",
            "augment.shift=3.0", "augment.coarse_spacing=[12.0, 14.0]",
        ),
        repeats=25,
    ),
    "labelling": Case(
        learn=(
            "train.epochs=8", "train.validate_every=8", "train.lr=5e-3", "train.ema=0.97",
            "augment.intensity=0.0", "augment.rotation_share=0.0", "augment.small_rotation=1.0",
            "augment.small_share=0.0",
            "augment.bend_share=0.0", "augment.scale=[0.97, 1.03]",
        ),
        repeats=25,
    ),
    "coarse_to_fine": Case(
        learn=(
            "masks.train.epochs=3", "masks.train.lr=5e-3", "masks.train.ema=0.95",
            "detection.train.epochs=4", "detection.train.lr=4e-3", "detection.train.ema=0.95",
            "local.train.epochs=4", "local.train.lr=5e-3", "local.train.ema=0.97",
            "augment.intensity=0.0", "augment.rotation_share=0.0", "augment.small_rotation=1.0",
            "augment.small_share=0.0",
            "augment.bend_share=0.0", "augment.scale=[0.97, 1.03]",
        ),
        repeats=25,
    ),
    "corner_regression": Case(
        learn=(
            "detector.train.epochs=6", "detector.train.lr=4e-3", "detector.train.ema=0.97",
            "corners.train.epochs=4", "corners.train.lr=4e-3", "corners.train.ema=0.97",
            "detector.augment.intensity=0.0", "detector.augment.rotation_share=0.0",
            "detector.augment.small_rotation=1.0", "detector.augment.small_share=0.0",
            "detector.augment.bend_share=0.0", "detector.augment.scale=[0.97, 1.03]",
            "corners.augment.intensity=0.0", "corners.augment.rotation_share=0.0",
        ),
        repeats=25,
    ),
    "multitask_pyramid": Case(
        learn=(
            "train.epochs=6", "train.validate_every=6", "train.lr=5e-3", "train.ema=0.97", "batch=4",
            "head.dropout=0.0",
            "augment.intensity=0.0", "augment.rotation_share=0.0", "augment.small_rotation=1.0",
            "augment.small_share=0.0",
            "augment.bend_share=0.0", "augment.scale=[0.97, 1.03]",
        ),
        repeats=25,
    ),
    "rotated_proposals": Case(
        learn=(
            "train.epochs=4", "train.validate_every=4", "train.lr=5e-3", "train.ema=0.97",
            "augment.intensity=0.0", "augment.rotation_share=0.0", "augment.small_rotation=1.0",
            "augment.bend_share=0.0", "augment.scale=[0.97, 1.03]",
            "region.coarse_share=0.4", "region.rotation=1.0", "region.scale=0.02", "region.shift=0.01",
        ),
        repeats=25,
    ),
    "scg_net": Case(
        learn=(
            "boundaries.train.epochs=4", "boundaries.train.lr=5e-3", "boundaries.train.ema=0.97",
            "regression.train.epochs=16", "regression.train.lr=4e-3", "regression.train.ema=0.97",
            "boundaries.batch=4", "regression.batch=4", "regression.input.corrupt=0.0",
            "regression.head.dropout=0.0",
            "augment.intensity=0.0", "augment.rotation_share=0.0", "augment.small_rotation=1.0",
            "augment.small_share=0.0",
            "augment.bend_share=0.0", "augment.scale=[0.97, 1.03]",
        ),
        repeats=25,
    ),
    "top_down": Case(
        learn=(
            "train.epochs=6", "train.validate_every=6", "train.lr=5e-3", "train.ema=0.97",
            "augment.intensity=0.0", "augment.rotation_share=0.0", "augment.small_rotation=1.0",
            "augment.small_share=0.0",
            "augment.bend_share=0.0", "augment.scale=[0.97, 1.03]",
        ),
        repeats=25,
    ),
    "seg4reg": Case(
        learn=(
            "segmentation.train.epochs=4", "segmentation.train.lr=5e-3", "segmentation.train.ema=0.97",
            "regression.train.epochs=12", "regression.train.lr=4e-3", "regression.train.ema=0.97",
            "segmentation.batch=4", "regression.batch=4",
            "augment.intensity=0.0", "augment.rotation_share=0.0", "augment.small_rotation=1.0",
            "augment.small_share=0.0",
            "augment.bend_share=0.0", "augment.scale=[0.97, 1.03]",
            "regression.input.synthetic=0.0", "regression.input.corrupt=0.0", "regression.head.dropout=0.0",
        ),
        repeats=25,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """A solver trained on the tiny set, the set, and its predictions for it."""

    name: str
    case: Case
    solver: Any
    films: FilmSet
    radiographs: list[Radiograph]
    predictions: list[SpinePrediction]


def made(name: str, folder: Path, overrides: Sequence[str]) -> Any:
    """A new solver with its tiny settings, changed by overrides."""
    cls: Any = solver_class(name)
    path = folder / "tiny.yaml"
    path.write_text(dump_settings(cls.Config.tiny()))
    return cls(load_settings(cls.Config, path, overrides))


@pytest.fixture(scope="session")
def tiny_set(tmp_path_factory: pytest.TempPathFactory) -> FilmSet:
    root = write_challenge(tmp_path_factory.mktemp("tiny"), [bent_spine(bend) for bend in BENDS])
    return read_challenge(root)


@pytest.fixture(scope="session", params=CASES)
def trained(
    request: pytest.FixtureRequest, tiny_set: FilmSet, tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    """Trained once for all tests, then saved, since a solver predicts with the rounded weights that it saved."""
    name = str(request.param)
    case, folder = CASES[name], tmp_path_factory.mktemp(name)
    solver = made(name, folder, case.learn)
    often = tiny_set.subset(list(range(len(tiny_set))) * case.repeats)
    solver.fit(often, None, RunFolder(folder / "run", "cpu", quiet=True))
    solver.save(folder / "run")
    radiographs = [tiny_set.radiograph(i) for i in range(len(tiny_set))]
    return Trained(name, case, solver, tiny_set, radiographs, solver.predict(radiographs))


def same(first: SpinePrediction, second: SpinePrediction, atol: float = 0.0) -> bool:
    """Equal in all that a table or an overlay shows, arrays to `atol` px or degrees."""
    rest = ("film_id", "size", "flags", "solver", "failure", "first_level")
    arrays = [(first.landmarks, second.landmarks), (first.centerline, second.centerline)]
    arrays += [(first.mask, second.mask), (degrees(first), degrees(second))]
    return all(getattr(first, name) == getattr(second, name) for name in rest) and all(
        (a is None and b is None)
        or (a is not None and b is not None and a.shape == b.shape and np.allclose(a, b, rtol=0, atol=atol))
        for a, b in arrays
    )


def degrees(prediction: SpinePrediction) -> Any:
    """(3,) angles regressed or measured, None for a failure."""
    angles = with_angles(prediction).angles
    return None if angles is None else angles.degrees


def test_every_solver_has_a_case() -> None:
    assert set(CASES) == set(SOLVERS)


def test_contract(trained: Trained) -> None:
    assert isinstance(trained.solver, Solver)
    assert trained.solver.name == trained.name
    assert isinstance(trained.solver.learned, trained.solver.Learned)
    assert isinstance(trained.solver.localize(trained.radiographs[0]), Localization)


def test_flags_of_the_film_are_kept_once(trained: Trained) -> None:
    flagged = replace(trained.radiographs[0], flags=("intensity_rescaled",))
    blank = Radiograph("blank", np.zeros(SIZE, np.uint8), flags=("intensity_rescaled",))
    for found in trained.solver.predict([flagged, blank]):
        assert found.flags.count("intensity_rescaled") == 1


class KnownOrientation(Solver):
    """A localizer that is given how the film lies."""

    def __init__(self, found: Localization, inner: Solver) -> None:
        self.found, self.inner = found, inner

    def localize(self, film: Radiograph) -> Localization:
        return self.found

    def predict(self, films: Sequence[Radiograph]) -> list[SpinePrediction]:
        return self.inner.predict(films)

    fit = save = load = None  # type: ignore[assignment]


@pytest.mark.parametrize(("turns", "negative"), [(2, False), (1, False), (0, True)])
def test_a_turned_or_negative_film_is_measured_as_the_upright_one(
    trained: Trained, turns: int, negative: bool
) -> None:
    """By solvers that rely on a localizer: `turns` quarter turns clockwise set the film upright."""
    solver = trained.solver
    if not solver.needs_localizer:
        pytest.skip(f"{trained.name} needs no localizer")
    film = trained.radiographs[0]
    pixels = np.ascontiguousarray(np.rot90(film.pixels, turns))
    lying = replace(film, pixels=255 - pixels if negative else pixels)
    plain = solver.predict([film])[0]
    solver.localizer = KnownOrientation(Localization(Orientation(turns, negative)), solver)
    try:
        found = solver.predict([lying])[0]
    finally:
        solver.localizer = None
    assert found.orientation == Orientation(turns, negative)
    assert set(found.orientation.flags) <= set(found.flags)
    np.testing.assert_allclose(degrees(found), degrees(plain), atol=1e-6)


def test_predictions_are_of_their_films(trained: Trained) -> None:
    for film, found in zip(trained.radiographs, trained.predictions, strict=True):
        assert (found.film_id, found.size, found.solver) == (film.film_id, SIZE, trained.name)
        assert found.failure is None
        assert 0 <= found.confidence <= 1
        assert found.landmarks is None or found.landmarks.shape[1:] == (4, 2)


def test_order_is_kept(trained: Trained) -> None:
    backward = trained.solver.predict(trained.radiographs[::-1])
    assert all(same(a, b, atol=1e-3) for a, b in zip(trained.predictions[::-1], backward, strict=True))


def test_batching_changes_nothing(trained: Trained) -> None:
    alone = [trained.solver.predict([film])[0] for film in trained.radiographs]
    assert all(same(a, b, atol=1e-3) for a, b in zip(trained.predictions, alone, strict=True))


def test_no_film_no_prediction(trained: Trained) -> None:
    assert trained.solver.predict([]) == []


def test_save_and_load_give_the_same_bits(trained: Trained, tmp_path: Path) -> None:
    trained.solver.save(tmp_path / "a")
    again = type(trained.solver).load(tmp_path / "a")
    assert all(
        same(a, b) for a, b in zip(trained.predictions, again.predict(trained.radiographs), strict=True)
    )
    again.save(tmp_path / "b")
    assert {p.name for p in (tmp_path / "b").iterdir()} == {CONFIG_FILE, STATE_FILE, WEIGHTS_FILE}
    for name in (CONFIG_FILE, STATE_FILE, WEIGHTS_FILE):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_damaged_weights_are_refused_in_one_line(trained: Trained, tmp_path: Path) -> None:
    trained.solver.save(tmp_path)
    (tmp_path / WEIGHTS_FILE).write_bytes(b"cut short")
    with pytest.raises(AasceError, match=WEIGHTS_FILE) as caught:
        type(trained.solver).load(tmp_path)
    assert "\n" not in str(caught.value)


def test_weights_of_another_solver_are_refused(trained: Trained, tmp_path: Path) -> None:
    trained.solver.save(tmp_path)
    (tmp_path / STATE_FILE).write_text('{"solver": "another", "learned": {}, "training": {}}')
    with pytest.raises(AasceError, match="another"):
        type(trained.solver).load(tmp_path)


def test_mirrored_film_gives_mirrored_landmarks(trained: Trained) -> None:
    mirrored = [
        replace(film, pixels=np.ascontiguousarray(film.pixels[:, ::-1])) for film in trained.radiographs
    ]
    for found, other in zip(trained.predictions, trained.solver.predict(mirrored), strict=True):
        assert abs(degrees(found)[0] - degrees(other)[0]) <= SOLVERS[trained.name].mirror_degrees
        if found.landmarks is not None:
            # x runs the other way, so left and right corners change places.
            expected = found.landmarks[:, [1, 0, 3, 2]] * [-1, 1] + [SIZE[1] - 1, 0]
            assert (
                np.linalg.norm(other.landmarks - expected, axis=-1).mean() <= SOLVERS[trained.name].mirror_px
            )


def test_tiny_set_is_learned(trained: Trained) -> None:
    """On its training films, half the error of the major angle of the best constant."""
    if trained.name == "constant":
        truth = np.array([film.angles for film in trained.films])
        assert np.array_equal(degrees(trained.predictions[0]), np.median(truth, axis=0))
        return
    if trained.name == "inverse_render":
        # Nothing is learned, and drawn boxes are no X-ray; tests/unit/solvers/inverse_render fits real shadows.
        assert all(found.landmarks is not None for found in trained.predictions)
        return
    truth = np.array([film.angles[0] for film in trained.films if film.angles is not None])
    major = np.array([degrees(found)[0] for found in trained.predictions])
    assert np.abs(major - truth).mean() < np.abs(truth - np.median(truth)).mean() / 2, (major, truth)


def test_training_steps_change_every_trainable_weight(trained: Trained, tmp_path: Path) -> None:
    """A few steps, since layers behind a zero-initialised one learn from the second on. A matrix has to
    change by a thousandth of its largest weight: more than rounding to half precision or weight decay do."""
    solver = made(trained.name, tmp_path, (*trained.case.learn, *_one_epoch(trained.case)))
    before = _trainable(solver)
    films = trained.films.subset(list(range(len(trained.films))) * 5)
    solver.fit(films, None, RunFolder(tmp_path / "run", "cpu", quiet=True))
    after = _trainable(solver)
    change = {name: np.abs(after[name] - value).max() for name, value in before.items()}
    least = {name: 1e-3 * np.abs(value).max() if value.ndim > 1 else 0.0 for name, value in before.items()}
    assert [name for name in before if change[name] <= least[name]] == []


def _one_epoch(case: Case) -> list[str]:
    return [f"{text.split('=')[0]}=1" for text in case.learn if text.split("=")[0].endswith("train.epochs")]


def _trainable(solver: Any) -> dict[str, Any]:
    """Copies of the weights that training is to change; inverse_render has none, its prior is the phantom's."""
    if solver.name == "inverse_render":
        return {}
    if solver.name == "constant":
        return {"angles": np.zeros(3) if solver.angles is None else solver.angles.copy()}
    parameters = solver.module.named_parameters()
    return {name: p.detach().cpu().numpy().copy() for name, p in parameters if p.requires_grad}


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_blank_film_fails_or_gives_finite_angles(trained: Trained, grey: int) -> None:
    blank = Radiograph("blank", np.full(SIZE, grey, np.uint8))
    found = trained.solver.predict([blank])[0]
    assert found.film_id == "blank"
    assert found.failure or np.isfinite(degrees(found)).all()


def test_film_of_another_shape_and_depth(trained: Trained) -> None:
    """A landscape film of 16 bit is measured in its own frame."""
    pixels = np.zeros((200, 300), np.uint16)
    pixels[50:150, 140:160] = 60_000
    found = trained.solver.predict([Radiograph("wide", pixels)])[0]
    assert found.size == (200, 300)
    assert found.failure or np.isfinite(degrees(found)).all()
