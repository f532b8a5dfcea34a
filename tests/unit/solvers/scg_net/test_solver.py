"""`scg_net`: its parts, each against values derived by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from aasce.config import dump_settings, load_settings
from aasce.datasets import FilmSet, read_challenge
from aasce.preprocess.crop import letterbox
from aasce.solvers.base import RunFolder
from aasce.solvers.scg_net.inference import BorderPass, regressor_input
from aasce.solvers.scg_net.network import CHANNELS, BoundaryNet, ScgNet
from aasce.solvers.scg_net.settings import ScgNetConfig
from aasce.solvers.scg_net.solver import ScgNetSolver
from aasce.solvers.scg_net.task import BoundaryTask, RegressionTask
from aasce.solvers.shared.samples import load_split
from aasce.targets.curves import encode_boundaries
from aasce.types import AasceError, Radiograph
from tests.conftest import straight_spine
from tests.synthetic import bent_spine, write_challenge


def tiny(tmp: Path, *overrides: str) -> ScgNetConfig:
    path = tmp / "tiny.yaml"
    path.write_text(dump_settings(ScgNetSolver.Config.tiny()))
    return load_settings(ScgNetConfig, path, overrides)


@pytest.fixture
def films(tmp_path: Path) -> FilmSet:
    return read_challenge(write_challenge(tmp_path / "set", [bent_spine(b) for b in (-40.0, 10.0)]))


def test_the_decoder_has_skips_at_1x_and_4x_alone() -> None:
    """With nothing from the pyramid, 8X and the bottom have no effect; 2X has one through 4X alone."""
    torch.manual_seed(0)
    settings = ScgNetSolver.Config.tiny().boundaries.model_copy(update={"channels": (4, 6, 8, 10, 12)})
    net = BoundaryNet(settings).eval()
    with torch.no_grad():
        net.pyramid.join[0].weight.zero_()
    features: list[torch.Tensor] = []
    for level in net.levels:
        level.register_forward_hook(lambda _module, _inputs, out: features.append(out))
    logits = net(torch.randn(1, 1, 64, 32))
    assert logits.shape == (1, 2, 64, 32)
    gradients = torch.autograd.grad(logits.sum(), features)
    assert [bool(g.abs().sum() > 0) for g in gradients] == [True, True, True, False, False]
    # 16 and 8 channels come from below, 8 and 4 are those of 4X and 1X.
    assert [way["join"][0][0].in_channels for way in net.ways] == [16 + 8, 8 + 4]


def test_the_pyramid_stands_at_the_bottom() -> None:
    net = BoundaryNet(ScgNetSolver().config.boundaries).eval()
    sizes = []
    net.pyramid.register_forward_pre_hook(lambda _m, inputs: sizes.append(inputs[0].shape[-2:]))
    net(torch.zeros(1, 1, 256, 128))
    assert sizes == [(16, 8)]
    assert len(net.pyramid.pools) == 4
    assert len(net.pyramid.dilations) == 0


def test_levels_and_sizes_that_do_not_fit_are_named() -> None:
    for override, message in (
        ("boundaries.size=[200, 100]", "multiples of 32"),
        ("regression.size=[256, 256]", "one aspect"),
        ("boundaries.channels=[8, 8, 8]", "four to six levels"),
    ):
        with pytest.raises(AasceError, match=message):
            load_settings(ScgNetConfig, None, [override])


def test_both_networks_fit_into_six_megabytes() -> None:
    weights = ScgNetSolver().module.state_dict().values()
    assert sum(w.numel() * (2 if w.ndim >= 2 else 4) for w in weights) < 6e6


@pytest.mark.parametrize("kind", ["image", "image+curves", "curves"])
def test_the_papers_regressor_is_a_densenet_of_that_input(tmp_path: Path, kind: str) -> None:
    paper = ("regression.maps=1", "regression.head.kind=direct")
    config = tiny(tmp_path, f"regression.input.kind={kind}", *paper)
    net = ScgNet(config).regression.eval()
    found = net(torch.zeros(2, CHANNELS[kind], 128, 64))
    assert found.angles.shape == (2, 3)
    assert found.tilts is None
    shown = regressor_input(config.regression)
    channels = shown.channels(np.zeros((128, 64), np.uint8), np.ones((2, 128, 64), np.float32))
    assert channels.shape == (128, 64, CHANNELS[kind])


def test_targets_are_the_dilated_borders_of_the_image(tmp_path: Path, films: FilmSet) -> None:
    """Under no change at all, the drawn film and the drawn borders are those of the letterboxed film."""
    still = [
        f"augment.{k}"
        for k in (
            "mirror_share=0",
            "bend_share=0",
            "rotation_share=0",
            "small_rotation=0",
            "small_share=0",
            "shift=0",
            "scale=[1, 1]",
        )
    ]
    config = tiny(tmp_path, *still, "augment.intensity=0")
    split = load_split(films, None, "none")
    batch = next(BoundaryTask(config, BoundaryNet(config.boundaries), split).batches(0))
    wanted = []
    for sample in split.train:
        view = letterbox(sample.size, (128, 64))
        wanted.append(encode_boundaries(view.apply(sample.landmarks), (128, 64), 3))
    order = [0, 1] if np.abs(batch["curves"][0].numpy() / 255 - wanted[0]).mean() < 0.01 else [1, 0]
    for drawn, index in zip(batch["curves"], order, strict=True):
        assert np.abs(drawn.numpy() / 255 - wanted[index]).mean() < 0.01
        left, right = (drawn[k].float().argmax(dim=1) for k in (0, 1))
        rows = (drawn > 128).any(dim=2).all(dim=0)
        assert (left[rows] < right[rows]).all()


def test_a_regressors_samples_hold_film_and_curves(tmp_path: Path, films: FilmSet) -> None:
    config = tiny(tmp_path)
    solver = ScgNetSolver(config)
    nets = solver.module.boundaries, solver.module.regression
    task = RegressionTask(config, nets, load_split(films, None, "none"))
    assert len(task.split.train) == 2 * config.regression.variants
    first, again = next(task.batches(0)), next(task.batches(0))
    assert first["channels"].shape == (2, 128, 64, 3)
    assert torch.equal(first["channels"], again["channels"])


def pass_over(landmarks: np.ndarray, size: tuple[int, int]) -> BorderPass:
    view = letterbox(size, (256, 128))
    curves = encode_boundaries(view.apply(landmarks), (256, 128), 4)
    return BorderPass(
        np.zeros((256, 128), np.uint8),
        view,
        (0, 0, size[1], size[0]),
        np.stack([curves, curves[::-1, :, ::-1]]),
    )


def test_borders_of_the_mirrored_pass_are_turned_back() -> None:
    found = pass_over(straight_spine() + np.array([60, 0]), (900, 400))
    assert np.abs(found.borders - found.curves[0]).max() < 1e-6


def test_the_spine_and_its_middle_are_found_between_the_borders() -> None:
    landmarks = straight_spine() * 0.5 + [300, 400]  # 30 px wide, y = 420 to 840 of 1280
    found = pass_over(landmarks, (1280, 640))
    spine = found.spine
    points = landmarks.reshape(-1, 2)
    assert spine is not None
    assert (
        np.abs(spine - np.concatenate([points.min(axis=0), points.max(axis=0)])).max() < 22
    )  # 2 px of the half map
    middle = found.middle
    assert np.abs(middle[:, 0] - 400).max() < 1.0
    assert (np.diff(middle[:, 1]) > 0).all()
    assert middle[0, 1] == pytest.approx(420, abs=10)
    assert middle[-1, 1] == pytest.approx(840, abs=10)


def test_both_stages_train_and_are_resumed(tmp_path: Path, films: FilmSet) -> None:
    """Stopped after the segmenter: what is resumed equals what was never stopped."""
    whole, halves = (ScgNetSolver(tiny(tmp_path)) for _ in range(2))
    report = whole.fit(films, films, RunFolder(tmp_path / "whole", "cpu", quiet=True))
    assert report.notes["validation_dice"] >= 0
    split = load_split(films, films, halves.config.intensity)
    halves.fit_boundaries(split, RunFolder(tmp_path / "halves", "cpu", quiet=True))
    again = ScgNetSolver(tiny(tmp_path))
    again.fit(films, films, RunFolder(tmp_path / "halves", "cpu", resume=True, quiet=True))
    states = whole.module.state_dict(), again.module.state_dict()
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def test_unusual_films_fail_with_a_reason(tmp_path: Path) -> None:
    solver = ScgNetSolver(tiny(tmp_path))
    torch.nn.init.constant_(solver.module.boundaries.classify.bias, -20.0)  # no border anywhere
    noise = np.random.default_rng(0).integers(0, 65535, (300, 90)).astype(np.uint16)
    blank, speckle = solver.predict(
        [Radiograph("one", np.ones((1, 1), np.uint8)), Radiograph("noise", noise)]
    )
    assert blank.failure == "the film is blank (one grey value)"
    assert speckle.failure == "no spine found on the film"
