"""`seg4reg`: its parts, each against values derived by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from aasce.config import load_settings
from aasce.datasets import FilmSet, read_challenge
from aasce.geometry.cobb import cobb_angles
from aasce.preprocess.crop import View, letterbox
from aasce.solvers.base import RunFolder
from aasce.solvers.seg4reg.adaptation import Discriminator, reverse_gradient, target_films
from aasce.solvers.seg4reg.drawn_masks import draw_mask, shake_vertebrae
from aasce.solvers.seg4reg.inference import SegmentedPass, regressor_input
from aasce.solvers.seg4reg.network import Seg4RegNet, SegmentationNet
from aasce.solvers.seg4reg.settings import (
    AdaptationSettings,
    Seg4RegConfig,
    SegmentationSettings,
)
from aasce.solvers.seg4reg.solver import Seg4RegSolver, without_small
from aasce.solvers.seg4reg.task import RegressionLoss, first_network
from aasce.solvers.shared.autocrop import crop_box
from aasce.solvers.shared.cascade import channels_tensor, predicted_samples
from aasce.solvers.shared.confidence import fit_confidence
from aasce.solvers.shared.corruption import corrupt_mask
from aasce.solvers.shared.encoders import EncoderSettings
from aasce.solvers.shared.heads import level_tilts, smape_loss
from aasce.solvers.shared.masks import ClassOverlap, dice_score, film_mask, half_map, soft_dice
from aasce.solvers.shared.pyramid_pooling import Pyramids
from aasce.solvers.shared.regressor import RegressingSolver
from aasce.solvers.shared.row_head import angle_targets
from aasce.solvers.shared.samples import AugmentSettings, Sample, Warper, canvas_of
from aasce.targets.mask import encode_mask
from aasce.types import AasceError, Radiograph
from tests.conftest import straight_spine
from tests.synthetic import bent_spine, write_challenge


def tiny(*overrides: str, tmp: Path) -> Seg4RegConfig:
    from aasce.config import dump_settings

    path = tmp / "tiny.yaml"
    path.write_text(dump_settings(Seg4RegSolver.Config.tiny()))
    return load_settings(Seg4RegConfig, path, overrides)


@pytest.fixture
def films(tmp_path: Path) -> FilmSet:
    return read_challenge(write_challenge(tmp_path / "set", [bent_spine(b) for b in (-40.0, 10.0)]))


def straight_sample(height: int = 900, width: int = 400) -> Sample:
    pixels = np.zeros((height, width, 1), np.uint8)
    view = View.identity((height, width))
    return Sample(pixels, straight_spine(), np.array([1.0, 2.0, 3.0]), view, height)


def test_one_aspect_for_both_canvases(tmp_path: Path) -> None:
    with pytest.raises(AasceError, match="one aspect"):
        load_settings(Seg4RegConfig, None, ["regression.size=[256, 256]"])
    with pytest.raises(AasceError, match="multiples of 32"):
        load_settings(Seg4RegConfig, None, ["regression.size=[200, 100]"])


def test_both_networks_fit_into_eight_megabytes() -> None:
    weights = Seg4RegSolver().module.state_dict().values()
    assert sum(w.numel() * (2 if w.ndim >= 2 else 4) for w in weights) < 8e6


def test_pyramids_keep_the_map_size_and_count_their_branches() -> None:
    net = Pyramids(24, 16, (1, 2, 3, 6), (2, 4, 6)).eval()
    assert net(torch.zeros(1, 24, 8, 4)).shape == (1, 16, 8, 4)
    assert [d[0].dilation for d in net.dilations] == [(2, 2), (4, 4), (6, 6)]
    assert len(Pyramids(24, 16, (1,), ()).dilations) == 0


@pytest.mark.parametrize("skips", [True, False])
def test_the_segmenters_map_is_half_the_canvas(skips: bool) -> None:
    settings = Seg4RegSolver.Config.tiny().segmentation.model_copy(update={"skips": skips})
    logits, deep = SegmentationNet(settings).eval()(torch.zeros(1, 1, 128, 64))
    assert logits.shape == (1, 3, 64, 32)
    assert deep.shape[:2] == (1, settings.width)


def test_a_paper_sized_encoder_is_a_setting() -> None:
    """ResNet-50 with PSPNet's stride 8, every stage."""
    encoder = EncoderSettings(name="resnet50")
    settings = SegmentationSettings(encoder=encoder, stages=4, output_stride=8, skips=False, decoder=8)
    net = SegmentationNet(settings).eval()
    with torch.inference_mode():
        logits, deep = net(torch.zeros(1, 1, 64, 32))
    assert deep.shape[-2:] == (8, 4)
    assert logits.shape == (1, 3, 32, 16)


def test_reversed_gradient() -> None:
    features = torch.tensor([1.0, -2.0], requires_grad=True)
    (reverse_gradient(features, 0.5) * torch.tensor([3.0, 4.0])).sum().backward()
    assert features.grad is not None
    assert features.grad.tolist() == [-1.5, -2.0]


def test_discriminator_learns_what_the_features_unlearn() -> None:
    """One step down the loss: weights lower it, features raise it."""
    torch.manual_seed(0)
    judge = Discriminator(4, 1.0)
    features, domain = torch.randn(8, 4, requires_grad=True), torch.arange(8) % 2
    before = judge(features, domain)
    before.backward()
    assert features.grad is not None
    with torch.no_grad():
        assert judge(features - 0.05 * features.grad, domain) > before
        for weight in judge.parameters():
            assert weight.grad is not None
            weight -= 0.05 * weight.grad
        assert judge(features, domain) < before


def test_target_films_are_named_or_missed(tmp_path: Path) -> None:
    assert target_films(None) is None
    gone = AdaptationSettings(films=str(tmp_path / "gone"))
    with pytest.raises(AasceError, match=r"adaptation\.films"):
        target_films(gone)


def test_unbent_samples_keep_their_labels_and_bent_ones_are_measured() -> None:
    rng = np.random.default_rng(0)
    sample = straight_sample()
    still = Warper((256, 128), AugmentSettings(bend_share=0.0), small=False)
    assert np.array_equal(still.draw(sample, rng).angles, sample.angles)
    bent = Warper(
        (256, 128), AugmentSettings(bend_share=1.0, mirror_share=1.0, rotation_share=1.0), small=False
    )
    for _ in range(5):
        canvas, landmarks, angles = bent.draw(sample, rng)
        assert canvas.shape == (256, 128, 1)
        # The largest angle depends on no frame, so it can be measured where the landmarks now lie.
        assert cobb_angles(landmarks, 256).degrees[0] == pytest.approx(angles[0], abs=1e-3)


def test_landmarks_of_predicted_samples_lie_on_their_masks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With true masks in place of the segmenter's."""
    config = tiny(tmp=tmp_path)
    plain = straight_sample()
    marked = np.round(encode_mask(plain.landmarks, (900, 400), oversample=2)[1] * 255).astype(np.uint8)
    sample = replace(plain, pixels=marked[..., None])

    def truth(net: object, canvases: np.ndarray, fast: bool) -> np.ndarray:
        half = canvases.reshape(len(canvases), 64, 2, 32, 2).mean(axis=(2, 4)) / 255
        return np.stack([1 - half, half, 0 * half], axis=1).astype(np.float32)

    monkeypatch.setattr("aasce.solvers.seg4reg.task.segment", truth)
    first = first_network(Seg4RegSolver(config).module.segmentation, config)
    samples = predicted_samples(first, [sample], regressor_input(config.regression), 4, 0.0, 0)
    assert len(samples) == 4
    for found in samples:
        assert found.pixels.shape == (64, 32, 2)
        drawn = encode_mask(found.landmarks, (64, 32))[1] * 255
        assert np.abs(drawn - found.pixels[..., 0]).mean() < 6
        rows = found.view.undo(found.landmarks)[..., 1]
        assert np.abs(rows - sample.landmarks[..., 1]).max() < 1e-6


def test_canvas_of_a_rectangle_and_its_way_back() -> None:
    pixels = np.zeros((300, 200), np.uint8)
    pixels[150:160, 100:110] = 200
    canvas, view = canvas_of(pixels, (50, 100, 150, 300), (128, 64), "none")
    row, column = np.unravel_index(int(np.argmax(canvas)), canvas.shape)
    assert view.scale == pytest.approx(0.64)
    assert np.abs(view.undo(np.array([column, row])) - [104.5, 154.5]).max() < 5
    assert view.undo(view.apply(np.array([7.0, 9.0]))) == pytest.approx([7.0, 9.0])


@pytest.mark.parametrize(("kind", "channels"), [("mask", 2), ("image", 1), ("image+mask", 3)])
def test_channels_of_each_input(kind: str, channels: int, tmp_path: Path) -> None:
    shown = regressor_input(tiny(f"regression.input.kind={kind}", tmp=tmp_path).regression)
    given = shown.channels(np.full((128, 64), 255, np.uint8), np.full((2, 64, 32), 1 / 3, np.float32))
    assert given.shape == (64, 32, channels)
    x = channels_tensor(torch.from_numpy(given)[None], shown.film)
    assert x.shape == (1, channels, 64, 32)
    if kind != "mask":
        assert x[0, 0, 0, 0].item() == pytest.approx(127.5 / 64)
    if kind != "image":
        assert x[0, -1, 0, 0].item() == pytest.approx(85 / 127.5 - 1)


def pass_over(landmarks: np.ndarray, size: tuple[int, int]) -> SegmentedPass:
    view = letterbox(size, (512, 256))
    mask = half_map(view.apply(landmarks), (512, 256))
    return SegmentedPass(
        np.zeros((512, 256), np.uint8), view, (0, 0, size[1], size[0]), np.stack([mask, mask])
    )


def test_the_spine_is_found_where_it_stands() -> None:
    landmarks = straight_spine() * 0.5 + [300, 400]
    found = pass_over(landmarks, (1280, 640)).spine
    points = landmarks.reshape(-1, 2)
    assert found is not None
    assert np.abs(found - np.concatenate([points.min(axis=0), points.max(axis=0)])).max() < 6


def test_a_crop_has_the_margins_of_training_films() -> None:
    x0, y0, x1, y1 = crop_box(np.array([300.0, 400.0, 360.0, 850.0]), (1280, 640))
    assert (y0, y1) == (385, 886)  # 450 rows of spine are 90 % of 500; 15 above, 35 below
    assert (x0, x1) == (205, 456)  # 250 columns about x = 330
    assert crop_box(np.array([0.0, 0.0, 60.0, 1279.0]), (1280, 640))[1::2] == (0, 1280)


def test_film_mask_lies_on_the_film() -> None:
    landmarks = straight_spine()
    one = pass_over(landmarks, (900, 400))
    truth = encode_mask(landmarks, (900, 400))[1] > 0.5
    found = film_mask(one.mask[1], one.view, (900, 400))
    assert found.shape == (900, 400)
    assert found.dtype == np.uint8
    assert (truth & (found == 1)).sum() / (truth | (found == 1)).sum() > 0.93


def test_dice_of_thresholded_masks() -> None:
    """Two of three pixels in common with two of two: 2 * 2 / (3 + 2)."""
    found, truth = np.array([[1, 1, 1, 0]], bool), np.array([[1, 1, 0, 0]], bool)
    assert dice_score(found, truth) == pytest.approx(4 / 5)
    assert dice_score(found, np.zeros((1, 4), bool)) == 0.0
    assert dice_score(np.zeros((1, 4), bool), np.zeros((1, 4), bool)) == 0.0


def test_intersection_over_union_of_all_films_together() -> None:
    """Class 1 has 1 of 2 pixels in the first film and 1 of 1 in the second, 2/3 together and not the mean of both."""
    overlap = ClassOverlap(3)
    overlap.add(np.array([[1, 1, 0, 0]]), np.array([[1, 0, 0, 0]]))
    overlap.add(np.array([[1, 0, 0, 0]]), np.array([[1, 0, 0, 0]]))
    assert overlap.iou() == pytest.approx([5 / 6, 2 / 3, 0.0])


def test_dice_of_equal_and_of_disjoint_masks() -> None:
    one = torch.zeros(1, 2, 4, 4)
    one[:, :, :2] = 0.5
    assert soft_dice(one, one).item() == pytest.approx(0.0, abs=1e-6)
    assert soft_dice(one, one.flip(2)).item() == pytest.approx(1 - 1 / 5)  # (0 + 1) / (2 + 2 + 1)


def test_smape_loss_of_the_worked_example() -> None:
    """CHALLENGE: truth (40,20,10), (30,0,0); found (38,22,10), (30,6,0): 100/2 (4/140 + 6/66)."""
    truth = np.array([[40.0, 20, 10], [30, 0, 0]])
    found = np.array([[38.0, 22, 10], [30, 6, 0]])
    assert smape_loss(torch.tensor(found), torch.tensor(truth)).item() == pytest.approx(
        (4 / 140 + 6 / 66) / 2
    )


def test_small_angles_become_zero() -> None:
    assert without_small(np.array([3.99, 4.0, 50.0])).tolist() == [0.0, 4.0, 50.0]


def test_tilts_of_other_counts_are_interpolated() -> None:
    landmarks = straight_spine(9, np.linspace(-8, 8, 9))
    assert level_tilts(landmarks, 17) == pytest.approx(np.linspace(-8, 8, 17), abs=1e-4)


def test_confidence_falls_with_disagreement() -> None:
    differences = np.linspace(0, 10, 100)
    offset, slope = fit_confidence(differences, differences < 5, RegressingSolver.prior)
    assert slope > 0.3
    assert offset / slope == pytest.approx(5, abs=1)  # even chances where the films change sides
    always = fit_confidence(differences, np.ones(100, bool), RegressingSolver.prior)
    assert 1 / (1 + np.exp(always[1] * 10 - always[0])) > 0.8


def test_corrupted_masks_show_the_same_spine() -> None:
    rng = np.random.default_rng(0)
    landmarks = straight_spine() * 0.28
    for _ in range(10):
        drawn = draw_mask(shake_vertebrae(landmarks, rng), (256, 128), rng)
        corrupted = corrupt_mask(drawn, landmarks, 1.0, rng)
        assert corrupted.shape == (256, 128, 2)
        assert corrupted.min() >= 0
        assert corrupted.max() <= 1
        truth = encode_mask(landmarks, (256, 128))[1]
        assert np.corrcoef(truth.ravel(), corrupted[..., 0].ravel())[0, 1] > 0.7


def test_shaken_vertebrae_stay_near() -> None:
    landmarks = straight_spine()
    moved = shake_vertebrae(landmarks, np.random.default_rng(0)) - landmarks
    assert 0 < np.abs(moved).max() < 12  # boxes of 60 x 40 px


def test_fit_without_landmarks_names_the_film(films: FilmSet, tmp_path: Path) -> None:
    bare = read_challenge(tmp_path / "set", labels="none")
    with pytest.raises(AasceError, match="no landmarks"):
        Seg4RegSolver(tiny(tmp=tmp_path)).fit(bare, None, RunFolder(tmp_path / "run", "cpu", quiet=True))


def test_adaptation_from_both_stages_trains(films: FilmSet, tmp_path: Path) -> None:
    folder = str(films[0].path.parent)
    config = tiny(f"adaptation.films={folder}", "adaptation.stages=both", tmp=tmp_path)
    solver = Seg4RegSolver(config)
    report = solver.fit(films, films, RunFolder(tmp_path / "run", "cpu", quiet=True))
    assert report.epochs == 4
    for stage in ("seg", "reg"):
        header = (tmp_path / "run" / stage / "log.csv").read_text().splitlines()[0]
        assert "domain" in header.split(",")


def test_interrupted_run_ends_alike(films: FilmSet, tmp_path: Path) -> None:
    """Stopped after the segmenter: what is resumed equals what was never stopped."""
    whole, halves = (Seg4RegSolver(tiny(tmp=tmp_path)) for _ in range(2))
    whole.fit(films, None, RunFolder(tmp_path / "whole", "cpu", quiet=True))
    run = RunFolder(tmp_path / "halves", "cpu", quiet=True)
    halves.fit_segmentation(halves.films(films, None, run), run)
    again = Seg4RegSolver(tiny(tmp=tmp_path))
    again.fit(films, None, RunFolder(tmp_path / "halves", "cpu", resume=True, quiet=True))
    states = whole.module.state_dict(), again.module.state_dict()
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def test_unusual_films_are_measured_or_fail_with_a_reason(tmp_path: Path) -> None:
    solver = Seg4RegSolver(tiny("min_mask=0.0", tmp=tmp_path))
    noise = np.random.default_rng(0).integers(0, 65535, (300, 90)).astype(np.uint16)
    odd = [
        Radiograph("one", np.ones((1, 1), np.uint8)),
        Radiograph("noise", noise),
        Radiograph("row", noise[:1]),
    ]
    one, speckle, row = solver.predict(odd)
    assert one.failure == "the film is blank (one grey value)"
    assert speckle.mask is not None
    assert speckle.mask.shape == (300, 90)
    assert speckle.angles is not None
    assert np.isfinite(speckle.angles.degrees).all()
    assert row.failure or row.mask is not None


@pytest.mark.parametrize("head", ["direct", "pairs", "rows"])
def test_every_head_learns_from_its_own_targets(head: str, tmp_path: Path) -> None:
    config = tiny(f"regression.head.kind={head}", tmp=tmp_path)
    settings = config.regression
    net = Seg4RegNet(config.segmentation, settings).regression
    landmarks = [straight_spine() * 0.04 + [8, 4]] * 2
    targets = angle_targets(landmarks, [np.array([30.0, 20.0, 10.0])] * 2, settings.size, settings.head)
    channels = torch.zeros(2, *settings.size, 2, dtype=torch.uint8)
    losses = RegressionLoss(net, config)({"channels": channels, **targets})
    assert ("along" in losses) == (head == "rows")
    assert ("tilt" in losses) == (head != "direct")
    losses["loss"].backward()
    assert all(p.grad is not None for p in net.parameters())
