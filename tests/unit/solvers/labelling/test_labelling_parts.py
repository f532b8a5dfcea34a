"""`labelling`: networks, losses, curve and targets, each against values derived by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from aasce.preprocess.crop import View
from aasce.solvers.labelling.inference import Centroids, centroids_on, mean_of
from aasce.solvers.labelling.network import Labelled, LabellingNet, ResidualCorrector, value_at
from aasce.solvers.labelling.postprocess import curve_angles, features, fit_levels, plain_correction
from aasce.solvers.labelling.settings import (
    CurveSettings,
    LabellingConfig,
    NetworkSettings,
    ResidualSettings,
    TargetSettings,
)
from aasce.solvers.labelling.task import (
    LabellingLoss,
    NeckSampler,
    coordinate_loss,
    image_losses,
    level_targets,
    tilt_loss,
    with_background,
)
from aasce.solvers.shared.samples import AugmentSettings, Sample
from aasce.targets.heatmap import encode_heatmaps
from tests.conftest import straight_spine
from tests.synthetic import bent_spine

COLUMN = np.stack([np.full(17, 60.0), 12.0 + 14.0 * np.arange(17)], axis=1)
SEEN = np.ones(17)


def config(**changes: Any) -> LabellingConfig:
    return LabellingConfig.tiny().model_copy(update=changes)


def test_a_map_a_level_and_one_for_the_background() -> None:
    for levels, count in (("T1-L5", 17), ("C1-L5", 24)):
        net = LabellingNet(config(levels=levels)).eval()
        with torch.no_grad():
            found = net(torch.randn(2, 1, 256, 128))
        assert found.maps.shape == (2, 1 + count, 128, 64)
        assert found.located.shape == found.corrected.shape == (2, count, 2)
        assert found.tilt_map is not None
        assert found.tilt_map.shape == (2, 128, 64)


def test_films_of_other_sizes_pass_the_same_network() -> None:
    net = LabellingNet(config()).eval()
    with torch.no_grad():
        for size in ((256, 128), (192, 160)):
            assert net(torch.zeros(1, 1, *size)).corrected.shape == (1, 17, 2)


def test_an_untrained_corrector_changes_nothing_and_a_constant_one_shifts_by_shares_of_the_height() -> None:
    corrector = ResidualCorrector(17, ResidualSettings(width=8, layers=2))
    points = torch.rand(2, 17, 2) * 50
    assert torch.equal(corrector(points, (128, 64)), points)
    with torch.no_grad():
        corrector.layers[-1].bias.fill_(0.25)
    assert torch.allclose(corrector(points, (128, 64)), points + 32)
    assert torch.allclose(corrector(points, (64, 64)), points + 16)


def test_the_corrector_sees_every_level_for_every_level() -> None:
    torch.manual_seed(0)
    corrector = ResidualCorrector(5, ResidualSettings(width=64, layers=1))
    torch.nn.init.normal_(corrector.layers[-1].weight, std=0.1)
    points = torch.rand(1, 5, 2) * 50
    jacobian = torch.autograd.functional.jacobian(lambda p: corrector(p, (64, 32)), points)
    assert (jacobian.abs() > 0).all()


def test_values_at_points_are_means_under_a_squared_gaussian() -> None:
    """Of a plane, its value there; of a Gaussian of the same width, 2/3 of its peak; off the map, that of the edge."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(32.0), indexing="ij")
    points = torch.tensor([[[10.3, 20.6], [20.0, 40.0]]])
    assert value_at((2 * x + 3 * y)[None], points, 2.0)[0].numpy() == pytest.approx([82.4, 160.0], abs=1e-3)
    gaussian = torch.from_numpy(encode_heatmaps(points[0].numpy(), (64, 32), 2.0)).amax(dim=0)
    assert value_at(0.6 * gaussian[None], points, 2.0)[0].numpy() == pytest.approx(0.4, abs=1e-3)
    edge = value_at(x[None], torch.tensor([[[90.0, 30.0]]]), 0.3)
    assert float(edge) == pytest.approx(31.0, abs=0.01)


def test_a_level_is_seen_where_the_background_shows_a_vertebra() -> None:
    """At the centroids 0.8, half way between two of them nothing; tilts are those of the map at T1 to L5."""
    net = LabellingNet(config(levels="C1-L5")).eval()
    levels = torch.from_numpy(encode_heatmaps(COLUMN / 2, (128, 64), net.sigma))[None]
    rows = torch.arange(128.0)[None, :, None].expand(1, 128, 64)
    at = torch.from_numpy(np.concatenate([np.full((7, 2), 5.0), COLUMN / 2]))[None].float()
    found = Labelled(0.8 * with_background(levels), at + 3.5, at, rows)
    net.forward = lambda image: found  # type: ignore[method-assign]
    read = net.points(torch.zeros(1), corrected=True)
    assert read.seen[0, 7:].numpy() == pytest.approx(0.8, abs=0.01)
    assert read.seen[0, :7].numpy() == pytest.approx(0.0, abs=0.01)
    assert read.tilts is not None
    assert read.tilts[0].numpy() == pytest.approx(COLUMN[:, 1] / 2, abs=0.01)
    assert float(net.points(torch.zeros(1), corrected=False).seen[0, 7:].max()) < 0.45


def test_background_is_minus_the_maximum() -> None:
    maps = with_background(torch.from_numpy(encode_heatmaps(COLUMN, (256, 128), 3.0))[None])
    assert maps.shape == (1, 18, 256, 128)
    assert float(maps[0, 0, 12, 60]) == -1.0
    assert torch.equal(maps[:, 0], -maps[:, 1:].amax(dim=1))


def test_image_losses_of_a_right_and_of_an_empty_map() -> None:
    """Level maps of squared norm `area` each, and a background of about their sum: an empty map costs 2."""
    points = COLUMN * [1.0, 1.0]
    wanted = with_background(torch.from_numpy(encode_heatmaps(points, (256, 128), 1.5))[None])
    known = torch.ones(1, 17, dtype=torch.bool)
    area = math.pi * 1.5**2
    assert [float(v) for v in image_losses(wanted, wanted, known, area)] == pytest.approx([0, 0], abs=1e-5)
    squared, entropy = image_losses(torch.zeros_like(wanted), wanted, known, area)
    assert float(squared) == pytest.approx(2.0, abs=0.01)
    # Of a single px: the divergence of equal shares from the softmax of its 18 values.
    value = wanted[0, :, 12, 60].double()
    divergence = float((value.softmax(0) * (value.log_softmax(0) + math.log(18))).sum())
    pixel = wanted[:, :, 12:13, 60:61]
    one = image_losses(torch.zeros_like(pixel), pixel, known, area)[1]
    assert float(one) == pytest.approx(divergence / (17 * area), rel=1e-3)
    assert float(entropy) > float(one)
    sharp = float(image_losses(torch.zeros_like(pixel), pixel, known, area, sharpness=50.0)[1])
    assert sharp == pytest.approx(math.log(18) / (17 * area), rel=1e-3)


def test_levels_that_are_not_known_are_not_taught() -> None:
    wanted = with_background(torch.from_numpy(encode_heatmaps(COLUMN, (256, 128), 1.5))[None])
    known = torch.ones(1, 17, dtype=torch.bool)
    known[0, :3] = False
    found = torch.zeros_like(wanted).requires_grad_()
    sum(image_losses(found, wanted, known, 7.0)).backward()
    taught = (found.grad != 0).any(dim=-1).any(dim=-1)[0].tolist()
    # The background is made of all levels, so it is not known either.
    assert taught == [False] * 4 + [True] * 14


def test_huber_loss_of_coordinates() -> None:
    """0.5 px off along x: 1/8; 3 px along y: 2.5; a level off the canvas does not count."""
    wanted = torch.zeros(1, 3, 2)
    found = torch.tensor([[[0.5, 0.0], [0.0, 3.0], [90.0, 90.0]]])
    shown = torch.tensor([[True, True, False]])
    assert float(coordinate_loss(found, wanted, shown)) == pytest.approx((0.125 + 2.5) / 2)


def test_tilt_loss_is_that_of_the_levels_of_each_place() -> None:
    gaussians = torch.from_numpy(encode_heatmaps(COLUMN, (256, 128), 2.0))[None]
    wanted = torch.linspace(-20, 20, 17)[None]
    weight = gaussians**2
    right = (weight * wanted[:, :, None, None]).sum(1) / weight.sum(1).clamp(min=1e-6)
    assert float(tilt_loss(right, wanted, gaussians)) == pytest.approx(0.0, abs=1e-6)
    assert float(tilt_loss(right + 7, wanted, gaussians)) == pytest.approx((7 - 1) / 10, rel=1e-3)


def test_targets_of_unknown_and_of_hidden_levels() -> None:
    points = np.concatenate([np.full((7, 2), np.nan), COLUMN])
    points[7], points[8] = [60.0, -3.0], [60.0, 0.0]
    batch = level_targets([points], config(levels="C1-L5"))
    assert batch["known"][0].tolist() == [False] * 7 + [True] * 17
    assert batch["shown"][0].tolist() == [False] * 8 + [True] * 16
    assert batch["gaussians"].shape == (1, 24, 128, 64)
    assert float(batch["gaussians"][0, :7].abs().max()) == 0.0
    # A canvas px at 12 lies between map px 5 and 6 of stride 2: (12 + 0.5) / 2 - 0.5.
    assert batch["points"][0, 9].tolist() == pytest.approx([(60.5) / 2 - 0.5, (12 + 28 + 0.5) / 2 - 0.5])


def test_unet_alone_teaches_no_corrector() -> None:
    """The paper's comparison: with `corrector` false only the maps have a loss."""
    for corrector in (True, False):
        given = config(corrector=corrector, target=TargetSettings(tilt=0.0, sigma=4.0))
        loss = LabellingLoss(LabellingNet(given), given)
        batch = {"image": torch.randn(2, 1, 256, 128), **level_targets([COLUMN, COLUMN], given)}
        losses = loss(batch)
        assert set(losses) == {"loss", "gaussian", "entropy"} | ({"coordinate"} if corrector else set())
        losses["loss"].backward()
        trained = [p.grad is not None for p in loss.net.corrector.parameters()]
        assert all(trained) if corrector else not any(trained)


@pytest.mark.parametrize("corrector", [True, False])
def test_a_mirrored_canvas_has_mirrored_centroids(corrector: bool) -> None:
    torch.manual_seed(1)
    given = config(corrector=corrector)
    net = LabellingNet(given).eval()
    torch.nn.init.normal_(net.corrector.layers[-1].weight, std=0.1)
    torch.nn.init.normal_(net.fcn.out.weight, std=0.5)
    canvas = np.random.default_rng(0).integers(0, 255, (256, 128), np.uint8)
    plain = centroids_on(net, canvas, given).mean
    other = centroids_on(net, np.ascontiguousarray(canvas[:, ::-1]), given).mean
    assert other.points == pytest.approx(plain.points * [-1, 1] + [127, 0], abs=1e-3)
    assert plain.tilts is not None
    assert other.tilts == pytest.approx(-plain.tilts, abs=1e-3)
    assert other.seen == pytest.approx(plain.seen, abs=1e-4)


def test_a_smaller_pass_is_in_the_frame_of_the_canvas() -> None:
    """A network that always points at one px of the canvas it sees: of half the size, twice as far from the middle."""
    given = config()
    net = LabellingNet(given).eval()
    canvas = np.zeros((256, 128), np.uint8)
    plain, small = (centroids_on(net, canvas, given, scale=s) for s in (1.0, 0.5))
    middle = np.array([63.5, 127.5])
    assert small.points - middle == pytest.approx(2 * (plain.points - middle), abs=1e-4)
    both = mean_of([plain, small])
    assert both.points == pytest.approx((plain.points + small.points) / 2)
    assert both.tilts == pytest.approx((np.array(plain.tilts) + np.array(small.tilts)) / 2)


def test_centroids_are_undone_with_the_crop() -> None:
    view = View(np.array([[0.5, 0.0, -10.0], [0.0, 0.5, -20.0]]), (256, 128))
    found = Centroids(np.array([COLUMN]), np.ones((1, 17)), None).undone(view)
    assert found.trunk == pytest.approx(COLUMN * 2 + [20, 40])


@pytest.mark.parametrize("lean", [-25.0, 0.0, 25.0])
def test_tangents_of_a_straight_line_are_its_tilt(lean: float) -> None:
    """A spine of normal tilt t runs along (-sin t, cos t)."""
    turn = np.radians(lean)
    points = 20 * np.arange(17)[:, None] * np.array([-np.sin(turn), np.cos(turn)]) + [300, 50]
    curve = fit_levels(points, SEEN, 0.7)
    assert curve.tangents == pytest.approx(lean, abs=1e-6)
    # Half a level beyond both ends, and every level at its own index.
    assert curve.length == pytest.approx(17 * 20)
    assert curve.points[curve.levels] == pytest.approx(points, abs=1e-6)
    assert curve.positions == pytest.approx(10 + 20 * np.arange(17))


def test_a_level_that_is_not_seen_hardly_bends_the_curve() -> None:
    """A centroid 60 px beside the spine: seen, it tilts its neighbours; unseen, a twentieth of that."""
    points = COLUMN.copy()
    points[8, 0] += 60
    seen = SEEN.copy()
    seen[8] = 0.0
    bent, straight = fit_levels(points, SEEN, 0.7), fit_levels(points, seen, 0.7)
    assert np.abs(bent.tangents).max() > 20
    assert np.abs(straight.tangents).max() < 5


def test_smoothing_evens_out_single_centroids_and_keeps_a_bow() -> None:
    rng = np.random.default_rng(0)
    truth = np.linspace(25, -25, 17)
    steps = 14 * np.stack([-np.sin(np.radians(truth)), np.cos(np.radians(truth))], axis=1)
    points = np.cumsum(steps, axis=0)
    # A step joins the middle of two tilts: half a level of 3.1 degrees.
    found = fit_levels(points, SEEN, 0.7).tangents
    assert found[2:-2] == pytest.approx(truth[2:-2] - 1.6, abs=0.5)
    # A natural spline ends straight, so that its ends are less tilted; the fitted correction knows.
    assert 0 < truth[0] - found[0] < 5
    assert 0 < found[-1] - truth[-1] < 5
    noisy = points + rng.normal(0, 0.7, points.shape)
    rough, smooth = (np.abs(fit_levels(noisy, SEEN, s).tangents - truth).mean() for s in (1e-6, 0.7))
    assert smooth < 0.75 * rough


def test_the_correction_begins_as_the_mean_of_tangents_and_tilts() -> None:
    tangents, tilts = np.linspace(-8, 8, 17), np.linspace(10, -10, 17)
    assert plain_correction(17, 0.25).apply(features(tangents, tilts)) == pytest.approx(
        0.75 * tangents + 0.25 * tilts
    )
    assert plain_correction(17, None).apply(features(tangents, None)) == pytest.approx(tangents)


def test_angles_of_a_bow_are_those_of_its_tilts() -> None:
    """Tilts from +20 to -20 degrees: the major angle is 40 wherever the rectangle of the film begins."""
    spine = bent_spine(40.0)
    curve = fit_levels(spine.mean(axis=1), SEEN, 0.0001)
    tilts = np.linspace(20, -20, 17)
    settings = CurveSettings(tilt_sd_deg=0.0)
    for origin in ((0.0, 0.0), (30.0, 10.0)):
        assert curve_angles(curve, tilts, np.array(origin), 448, settings)[0] == pytest.approx(40.0, abs=1e-6)


@pytest.mark.parametrize(
    "ranges",
    [
        AugmentSettings(bend_share=0.0, mirror_share=1.0, intensity=0.0),
        AugmentSettings(bend_share=1.0, mirror_share=0.5, intensity=0.0, stretch=0.2),
    ],
)
def test_points_beside_the_landmarks_move_with_the_film(ranges: AugmentSettings) -> None:
    """The corners' own places, asked for as further points, come out as the sampler has them."""
    spine = bent_spine(25.0, (448, 256))
    pixels = np.zeros((448, 256, 1), np.uint8)
    sample = Sample(pixels, spine, np.zeros(3), View.identity((448, 256)), 448)
    sampler, rng = NeckSampler((256, 128), ranges), np.random.default_rng(3)
    for _ in range(6):
        drawn = sampler.draw(sample, rng)
        found = sampler.moved(sample, drawn, spine.reshape(-1, 2)).reshape(17, 4, 2)
        # A mirrored film exchanges left and right corners.
        exchanged = found[:, [1, 0, 3, 2]]
        off = min(np.abs(found - drawn.landmarks).max(), np.abs(exchanged - drawn.landmarks).max())
        assert off < 1e-3


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValidationError, match="stride is at most"):
        LabellingConfig(network=NetworkSettings(finest=1, stride=2))
    with pytest.raises(ValidationError, match="one fewer"):
        LabellingConfig(network=NetworkSettings(widths=(16, 24)))
    with pytest.raises(ValidationError, match="multiple of 32"):
        LabellingConfig(size=(500, 224))


def test_a_column_upright_has_no_tilt() -> None:
    found = Centroids(straight_spine().mean(axis=1)[None], np.ones((1, 17)), None)
    assert found.features(found.curve(0.7)) == pytest.approx(np.zeros(17), abs=1e-9)
