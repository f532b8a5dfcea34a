"""`top_down`: its parts, each against values derived by hand, and its angles on true masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from aasce.config import dump_settings, load_settings
from aasce.datasets import FilmSet, read_challenge
from aasce.geometry.cobb import tilts
from aasce.geometry.correction import Correction
from aasce.preprocess.crop import View
from aasce.scoring import smape
from aasce.solvers.base import RunFolder
from aasce.solvers.shared.samples import Sample, load_samples
from aasce.solvers.top_down.edges import EdgeResponse, canny, cut_patch, gaussian_derivative
from aasce.solvers.top_down.inference import (
    FittedSpine,
    Rules,
    Scene,
    box_scene,
    fit_spine,
    in_one_piece,
    measure_spine,
    most_curved,
    sample_scene,
)
from aasce.solvers.top_down.network import Residual, RUNet
from aasce.solvers.top_down.settings import (
    EdgeSettings,
    NetworkSettings,
    SpineFunctionSettings,
    TopDownConfig,
)
from aasce.solvers.top_down.solver import TopDownSolver
from aasce.solvers.top_down.task import TopDownLoss
from aasce.targets.curves import encode_spine
from aasce.types import AasceError, Radiograph
from tests.synthetic import SIZE, bent_spine, drawn_film, write_challenge

PAPER = EdgeSettings(prior=1000.0, sharpness=1000.0, range=90.0, step=1.0, gain=1.0)
STILL = View.identity(SIZE)


def tiny(tmp: Path, *overrides: str) -> TopDownConfig:
    path = tmp / "tiny.yaml"
    path.write_text(dump_settings(TopDownSolver.Config.tiny()))
    return load_settings(TopDownConfig, path, overrides)


@pytest.fixture
def films(tmp_path: Path) -> FilmSet:
    return read_challenge(write_challenge(tmp_path / "set", [bent_spine(b) for b in (-40.0, 10.0, 25.0)]))


def fitted(bend: float) -> FittedSpine:
    found = fit_spine(encode_spine(bent_spine(bend), SIZE), SpineFunctionSettings())
    assert found is not None
    return found


def endplates(degrees: float, size: int = 48) -> NDArray[np.uint8]:
    """A bright bar across the patch, like a vertebra between its discs, rotated by `degrees`."""
    middle, along = (size - 1) / 2, np.radians(degrees)
    y, x = np.mgrid[:size, :size] - middle
    return np.where(np.abs(y * np.cos(along) - x * np.sin(along)) < 8, 200, 60).astype(np.uint8)


def test_sizes_fit_the_scales() -> None:
    with pytest.raises(AasceError, match="multiple of 64"):
        load_settings(TopDownConfig, None, ["size=[500, 256]"])


def test_weights_fit_into_six_megabytes() -> None:
    weights = TopDownSolver().module.state_dict().values()
    assert sum(w.numel() * (2 if w.ndim >= 2 else 4) for w in weights) < 6e6


@pytest.mark.parametrize("unshuffle", [1, 2, 4])
def test_two_maps_of_the_canvas(unshuffle: Any) -> None:
    """1 is the paper's network; there is no transposed convolution in any."""
    net = RUNet(NetworkSettings(widths=(4, 6, 8), unshuffle=unshuffle)).eval()
    assert net(torch.zeros(2, 1, 64, 32)).shape == (2, 2, 64, 32)
    assert not any(isinstance(m, torch.nn.ConvTranspose2d) for m in net.modules())


def test_residual_module_adds_its_input() -> None:
    module = Residual(3, 3).eval()
    last = module.body[-1]
    assert isinstance(last, torch.nn.BatchNorm2d)
    torch.nn.init.zeros_(last.weight)
    x = torch.rand(1, 3, 4, 4)
    assert torch.equal(module(x), x)
    assert isinstance(Residual(3, 5).short, torch.nn.Conv2d)


def test_undecided_maps_cost_ln_2() -> None:
    net = RUNet(NetworkSettings(widths=(4, 6), unshuffle=1))
    torch.nn.init.zeros_(net.output.weight)
    assert net.output.bias is not None
    torch.nn.init.zeros_(net.output.bias)
    spine = torch.tensor([0, 51, 255], dtype=torch.uint8).repeat(1, 4, 4)[:, :, :4]
    loss = TopDownLoss(net)({"image": torch.zeros(1, 1, 4, 4), "spine": spine})
    assert loss["loss"].item() == pytest.approx(np.log(2))


def test_kernel_is_odd_across_and_flat_along() -> None:
    kernel = gaussian_derivative(6.0, 1.0, 0.0)
    assert np.abs(kernel).sum() == pytest.approx(1)
    assert np.allclose(kernel, -kernel[::-1])
    assert np.allclose(kernel, kernel[:, ::-1])
    upright = gaussian_derivative(6.0, 1.0, 90.0)
    assert np.allclose(np.abs(upright), np.abs(kernel.T), atol=1e-6)


@pytest.mark.parametrize("degrees", [-40.0, -7.0, 0.0, 12.0, 60.0])
def test_strongest_response_is_the_direction_of_the_endplates(degrees: float) -> None:
    """The paper's rule, over 180 degrees."""
    response = EdgeResponse(PAPER)
    curve = response.curve(endplates(degrees))
    assert len(curve) == 181
    assert response.directions[int(curve.argmax())] == pytest.approx(degrees, abs=2)
    assert response.direction(curve) == pytest.approx(degrees, abs=2)


def test_a_mirrored_patch_has_the_opposite_direction() -> None:
    response = EdgeResponse(EdgeSettings())
    patch = endplates(8.0)
    there, back = (
        response.direction(response.curve(p)) for p in (patch, np.ascontiguousarray(patch[:, ::-1]))
    )
    assert 1 < there < 9
    assert back == pytest.approx(-there, abs=0.3)


def test_a_prior_holds_edges_near_the_normal() -> None:
    patch = endplates(20.0)
    far, near = (EdgeResponse(EdgeSettings(prior=p, sharpness=2.0)) for p in (15.0, 3.0))
    assert far.direction(far.curve(patch)) > near.direction(near.curve(patch)) > 0


def test_a_patch_without_edges_has_no_direction() -> None:
    response = EdgeResponse(EdgeSettings())
    flat = np.full((48, 48), 90, np.uint8)
    assert not canny(flat, EdgeSettings()).any()
    assert response.direction(response.curve(flat)) == 0


def test_patch_lies_along_the_tilt() -> None:
    """A bar of 15 degrees, cut out along 15 degrees, lies level."""
    cut = cut_patch(endplates(15.0, 97), np.array([48.0, 48.0]), 15.0, 24.0, 48)
    rows = cut[:, 4:44].astype(float)
    assert rows.std(axis=1)[[3, 23, 44]].max() == 0
    assert rows[23, 0] == 200


def test_spine_function_of_a_true_mask() -> None:
    found, landmarks = fitted(50.0), bent_spine(50.0)
    wanted = np.interp(np.linspace(0, 1, 17), np.linspace(0.03, 0.97, 17), tilts(landmarks))
    assert np.abs(found.tilts - wanted).max() < 5
    assert np.abs(found.tilts - wanted).mean() < 2.5
    assert found.curve[0, 1] == pytest.approx(landmarks[0, :2, 1].mean(), abs=2)
    assert found.curve[-1, 1] == pytest.approx(landmarks[-1, 2:, 1].mean(), abs=2)


def test_no_spine_no_function() -> None:
    assert fit_spine(np.zeros(SIZE, np.float32), SpineFunctionSettings()) is None
    spot = np.zeros(SIZE, np.float32)
    spot[100:120, 50:110] = 1
    assert fit_spine(spot, SpineFunctionSettings()) is None


def test_a_torn_spine_is_one() -> None:
    """Ten rows are missing in the middle; the function goes from end to end all the same."""
    share = encode_spine(bent_spine(30.0), SIZE)
    torn = share.copy()
    torn[200:210] = 0
    whole, other = fit_spine(share, SpineFunctionSettings()), fit_spine(torn, SpineFunctionSettings())
    assert whole is not None
    assert other is not None
    assert np.abs(whole.tilts - other.tilts).max() < 2
    assert in_one_piece(share, 0.5) is share


def test_scene_leads_back_to_the_film() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (1500, 700)).astype(np.uint8)
    box = (100, 300, 500, 1300)
    scene = box_scene(pixels, box, (256, 128), "none")
    points = np.array([[30.0, 40.0], [99.0, 200.0]])
    film = scene.on_film(points) + np.array(box[:2])
    assert np.allclose(scene.view(box).apply(film), points)
    assert scene.height == 1000
    assert scene.canvas.shape == (256, 128)


EVEN = Correction(np.eye(17), (np.arange(17) + 0.5) / 17)
"""Drawn vertebrae stand evenly down the spine."""


def measured(film: NDArray[np.uint8], bend: float, edges: EdgeSettings, gain: float) -> NDArray[np.float64]:
    scene = Scene(film, STILL, STILL, SIZE[0])
    return measure_spine(scene, fitted(bend), Rules(EVEN, gain), EdgeResponse(edges)).tilts


def test_correction_turns_a_vertebra_towards_its_endplates() -> None:
    """L2 is drawn 8 degrees off the curve, which the outline of the spine does not show."""
    landmarks = bent_spine(0.0)
    turn = np.radians(8.0)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    middle = landmarks[13].mean(axis=0)
    landmarks[13] = (landmarks[13] - middle) @ rotation.T + middle
    film = drawn_film(landmarks)
    edges = EdgeSettings(at="all", reach=0.75)
    before, after = (measured(film, 0.0, edges, gain) for gain in (0.0, 1.5))
    assert abs(before[13]) < 1
    assert 1.5 < after[13] < 10
    assert np.abs(after[:10]).max() < after[13]


@pytest.mark.parametrize(("at", "count"), [("ends", None), ("curvature", 2), ("all", 17)])
def test_which_vertebrae_are_corrected(at: str, count: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    corrected: list[list[int]] = []

    def offsets(
        self: EdgeResponse, image: object, middles: object, tilt: object, chosen: list[int]
    ) -> object:
        corrected.append(chosen)
        return np.zeros(17)

    monkeypatch.setattr(EdgeResponse, "offsets", offsets)
    settings = EdgeSettings.model_validate({"at": at})
    measured(drawn_film(bent_spine(40.0)), 40.0, settings, 1.0)
    assert count is None or len(corrected[0]) == count
    assert len(corrected[0]) >= 2
    measured(drawn_film(bent_spine(40.0)), 40.0, settings, 0.0)
    assert len(corrected) == 1


def test_ends_of_the_most_curved_part() -> None:
    """A spine bent evenly to one side has its curve from end to end."""
    assert most_curved(fitted(60.0), EVEN) == [0, 16]


def test_settings_override_what_training_learned(tmp_path: Path) -> None:
    solver = TopDownSolver(tiny(tmp_path))
    solver.learned = solver.Learned(gain=1.25)
    assert solver.rules().gain == 1.25
    other = TopDownSolver(tiny(tmp_path, "edges.gain=1.0"))
    other.learned = other.Learned(gain=1.25)
    assert other.rules().gain == 1.0


def test_without_edges_the_function_alone_is_measured() -> None:
    scene = Scene(drawn_film(bent_spine(40.0)), STILL, STILL, SIZE[0])
    alone = measure_spine(scene, fitted(40.0), Rules(EVEN, 1.5))
    edges = EdgeResponse(EdgeSettings(at="all", reach=0.75))
    corrected = measure_spine(scene, fitted(40.0), Rules(EVEN, 1.5), edges)
    assert alone.tilts == pytest.approx(EVEN.apply(fitted(40.0).tilts))
    assert np.abs(corrected.tilts - alone.tilts).max() > 0.1


def test_fit_learns_rules_and_calibration_for_the_next_run(films: FilmSet, tmp_path: Path) -> None:
    solver = TopDownSolver(tiny(tmp_path, "train.lr=5e-3", "train.epochs=5", "augment.small_share=0.0"))
    often = films.subset([0, 1, 2] * 8)
    report = solver.fit(often, films, RunFolder(tmp_path / "run", "cpu", quiet=True))
    assert report.epochs == 5
    assert {"validation_smape", "validation_tilt"} <= set(report.notes)
    assert None not in (solver.learned.correction, solver.learned.calibration)
    assert solver.learned.gain is not None
    assert 0 <= solver.learned.gain <= 5
    solver.save(tmp_path / "run")
    other = TopDownSolver(tiny(tmp_path))
    other.start_from(tmp_path / "run")
    assert other.learned == solver.learned


def test_unusual_films_are_measured_or_fail_with_a_reason(tmp_path: Path) -> None:
    solver = TopDownSolver(tiny(tmp_path, "min_mask=0.0"))
    noise = np.random.default_rng(0).integers(0, 65535, (300, 90)).astype(np.uint16)
    one, speckle, row = solver.predict(
        [
            Radiograph("one", np.ones((1, 1), np.uint8)),
            Radiograph("noise", noise),
            Radiograph("row", noise[:1]),
        ]
    )
    assert one.failure == "the film is blank (one grey value)"
    assert row.failure
    assert speckle.failure or (speckle.angles is not None and np.isfinite(speckle.angles.degrees).all())


def test_angles_of_true_masks(aasce_data: Path) -> None:
    """Function and usual places alone, no network, nothing fitted: far below the 25 of constant angles; the tilts of
    the two ends make a third of the difference."""
    films = read_challenge(aasce_data)
    chosen = films.subset(list(range(0, len(films), 12)))
    samples = load_samples(chosen, "none")
    truth = np.stack([sample.angles for sample in samples])
    plain = smape(np.stack([_measured(sample, SpineFunctionSettings()) for sample in samples]), truth)
    blind = smape(
        np.stack([_measured(sample, SpineFunctionSettings(openings=0.0)) for sample in samples]), truth
    )
    soft = smape(
        np.stack([_measured(sample, SpineFunctionSettings(), blur=3.0) for sample in samples]), truth
    )
    assert plain < 12
    assert soft < 13
    assert blind > plain + 2


def _measured(sample: Sample, settings: SpineFunctionSettings, blur: float = 0.0) -> NDArray[np.float64]:
    scene = sample_scene(sample, (512, 256))
    share = encode_spine(scene.to_canvas.apply(sample.landmarks), (512, 256))
    if blur:
        share = np.asarray(cv2.GaussianBlur(share, (0, 0), blur), np.float32)
    function = fit_spine(share, settings)
    assert function is not None
    return measure_spine(scene, function, Rules(Correction.plain(17), 0.0)).degrees
