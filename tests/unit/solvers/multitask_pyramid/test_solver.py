"""`multitask_pyramid`: its parts, each against values derived by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from aasce.config import dump_settings, load_settings
from aasce.datasets import FilmSet, read_challenge
from aasce.preprocess.crop import letterbox
from aasce.solvers.base import RunFolder
from aasce.solvers.multitask_pyramid.inference import MaskPass
from aasce.solvers.multitask_pyramid.network import MultitaskNet
from aasce.solvers.multitask_pyramid.settings import MultitaskPyramidConfig
from aasce.solvers.multitask_pyramid.solver import MultitaskPyramidSolver
from aasce.solvers.multitask_pyramid.task import MultitaskLoss, MultitaskTask
from aasce.solvers.shared.encoders import EncoderSettings, VggEncoder, make_encoder
from aasce.solvers.shared.film_task import angle_scores, film_order
from aasce.solvers.shared.masks import half_map
from aasce.solvers.shared.samples import load_split
from aasce.types import AasceError, Radiograph
from tests.conftest import straight_spine
from tests.synthetic import bent_spine, write_challenge


def tiny(tmp: Path, *overrides: str) -> MultitaskPyramidConfig:
    path = tmp / "tiny.yaml"
    path.write_text(dump_settings(MultitaskPyramidSolver.Config.tiny()))
    return load_settings(MultitaskPyramidConfig, path, overrides)


@pytest.fixture
def films(tmp_path: Path) -> FilmSet:
    return read_challenge(write_challenge(tmp_path / "set", [bent_spine(b) for b in (-40.0, 10.0)]))


def test_full_width_is_vgg_11() -> None:
    """Its eight convolutions: 9 (64 + 64 128 + 128 256 + 256 256 + 256 512 + 3 512 512) weights from one channel."""
    for options in ({}, {"width": 1.0}):
        settings = EncoderSettings(name="vgg11_bn", options=options)
        encoder, channels = make_encoder(settings, 1, 6, 32, start=False, finest=1)
        assert isinstance(encoder, VggEncoder) == bool(options)
        weights = sum(p.numel() for p in encoder.parameters() if p.ndim == 4)
        assert weights == 9 * (64 + 64 * 128 + 128 * 256 + 256 * 256 + 256 * 512 + 3 * 512 * 512)
        assert channels == [64, 128, 256, 512, 512, 512]


ENCODERS = {
    "narrow VGG": "encoder={name: vgg11_bn, options: {width: 0.125}}",
    "VGG": "encoder={name: vgg11_bn, options: {}}",
    "ResNet": "encoder={name: resnet50, options: {channels: [4, 4, 8, 8], layers: [1, 1, 1, 1]}}",
}


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
def test_encoders_reach_stride_32_and_the_mask_half_the_canvas(tmp_path: Path, encoder: str) -> None:
    config = tiny(tmp_path, encoder)
    net = MultitaskNet(config).eval()
    assert net.encoder(torch.zeros(1, 1, 128, 64))[-1].shape[-2:] == (4, 2)
    logits, found = net(torch.zeros(1, 1, 128, 64))
    assert logits is not None
    assert logits.shape == (1, 2, 64, 32)
    assert found.angles.shape == (1, 3)


def test_five_stages_reach_the_canvas_and_are_compared_at_half(tmp_path: Path) -> None:
    net = MultitaskNet(tiny(tmp_path, "mask.decoder=[16, 16, 16, 8, 8]")).eval()
    features = net.encoder(torch.zeros(1, 1, 64, 32))
    assert net._decoded(features)[-1].shape[-2:] == (64, 32)
    assert net(torch.zeros(1, 1, 64, 32))[0].shape == (1, 2, 32, 16)


def test_pooled_maps_of_the_papers_cases(tmp_path: Path) -> None:
    """The encoder's last map (64 channels), and with the pyramid the decoder's stages but the last (16 each)."""
    cases = {"mask=null": 64, "mask.pyramid=false": 64, "mask.pyramid=true": 64 + 3 * 16}
    for case, width in cases.items():
        net = MultitaskNet(tiny(tmp_path, case, "head.kind=direct")).eval()
        logits, found = net(torch.zeros(2, 1, 64, 32))
        assert found.features.shape == (2, width)
        assert (logits is None) == (case == "mask=null")


def test_sizes_that_do_not_fit_are_named() -> None:
    with pytest.raises(AasceError, match="multiple of 32"):
        load_settings(MultitaskPyramidConfig, None, ["size=[200, 100]"])
    with pytest.raises(AasceError, match=r"mask\.decoder: tuple should have at least 4 items"):
        load_settings(MultitaskPyramidConfig, None, ["mask.decoder=[8, 8]"])


def test_the_released_network_fits_into_six_megabytes() -> None:
    weights = MultitaskPyramidSolver().module.state_dict().values()
    assert sum(w.numel() * (2 if w.ndim >= 2 else 4) for w in weights) < 6e6


def test_loss_is_what_the_settings_weigh(tmp_path: Path, films: FilmSet) -> None:
    """The paper's: Dice plus SMAPE."""
    settings = (
        "mask.dice=1",
        "mask.entropy=0",
        "head={kind: direct, smooth_l1: 0, smape: 1}",
    )
    config = tiny(tmp_path, *settings)
    task = MultitaskTask(config, MultitaskNet(config), load_split(films, None, "none"))
    losses = MultitaskLoss(task.module.net, config).eval()(next(task.batches(0)))
    assert losses["loss"].item() == pytest.approx((losses["dice"] + losses["smape"]).item())


def test_samples_of_an_epoch_are_fixed_by_the_seed(tmp_path: Path, films: FilmSet) -> None:
    config = tiny(tmp_path)
    task = MultitaskTask(config, MultitaskNet(config), load_split(films, None, "none"))
    first, again, other = (next(task.batches(epoch)) for epoch in (0, 0, 1))
    assert all(torch.equal(first[k].nan_to_num(), again[k].nan_to_num()) for k in first)
    assert not torch.equal(first["image"], other["image"])


def test_films_are_drawn_in_turn() -> None:
    order = film_order(5, 3, 4, np.random.default_rng(0))
    assert [len(batch) for batch in order] == [4, 4, 4]
    flat = [index for batch in order for index in batch]
    assert sorted(flat[:5]) == sorted(flat[5:10]) == list(range(5))


def test_scores_of_the_worked_example() -> None:
    """CHALLENGE: truth (40,20,10), (30,0,0); found (38,22,10), (30,6,0): 100/2 (4/140 + 6/66)."""
    scores = angle_scores(np.array([[38.0, 22, 10], [30, 6, 0]]), np.array([[40.0, 20, 10], [30, 0, 0]]))
    assert scores["score"] == pytest.approx(50 * (4 / 140 + 6 / 66))
    assert (scores["mae_an1"], scores["mae_an2"], scores["mae_an3"]) == (1.0, 4.0, 0.0)


@pytest.mark.parametrize("missed", [(), (8,)])
def test_separate_vertebrae_make_one_spine(missed: tuple[int, ...]) -> None:
    """Neither gaps nor one missed vertebra divide it: the film would be cropped to a part of the spine."""
    landmarks = np.delete(straight_spine(), missed, axis=0)
    for size in ((384, 192), (256, 128)):
        view = letterbox((900, 400), size)
        vertebra = half_map(view.apply(landmarks), size)[1]
        found = MaskPass(view, (0, 0, 400, 900), np.zeros((2, 3)), vertebra).spine
        assert found is not None
        # Boxes of 60 x 40 about x = 200, y = 60 to 860; to 1.2 px of the map.
        assert np.abs(found - [170, 40, 230, 880]).max() < 1.2 * 900 / (size[0] / 2)


def test_a_solver_without_a_mask_predicts_angles_alone(tmp_path: Path, films: FilmSet) -> None:
    solver = MultitaskPyramidSolver(tiny(tmp_path, "mask=null"))
    found = solver.predict([films.radiograph(0)])[0]
    assert found.mask is None
    assert found.landmarks is None
    assert found.angles is not None
    assert np.isfinite(found.angles.degrees).all()


def test_validation_sets_score_and_confidence(tmp_path: Path, films: FilmSet) -> None:
    solver = MultitaskPyramidSolver(tiny(tmp_path, "mask=null"))
    report = solver.fit(films, films, RunFolder(tmp_path / "run", "cpu", quiet=True))
    assert report.best_score is not None
    assert report.notes["validation_smape"] > 0
    solver.save(tmp_path / "run")
    on = MultitaskPyramidSolver(tiny(tmp_path, "mask=null"))
    on.start_from(tmp_path / "run")
    assert on.learned.calibration == solver.learned.calibration is not None
    states = solver.module.state_dict(), on.module.state_dict()
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def test_unusual_films_fail_with_a_reason(tmp_path: Path) -> None:
    solver = MultitaskPyramidSolver(tiny(tmp_path, "mask.min_share=1.0"))
    noise = np.random.default_rng(0).integers(0, 65535, (300, 90)).astype(np.uint16)
    blank, speckle = solver.predict(
        [Radiograph("one", np.ones((1, 1), np.uint8)), Radiograph("noise", noise)]
    )
    assert blank.failure == "the film is blank (one grey value)"
    assert speckle.failure == "no vertebra found on the film"
