"""Patches, cut-outs and heatmaps of `keypoint_fusion`, and its networks' shapes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aasce.config import load_settings
from aasce.solvers.keypoint_fusion.inference import box_corners, dense_points, spread_windows
from aasce.solvers.keypoint_fusion.network import KEYPOINTS, KeypointFusionNet
from aasce.solvers.keypoint_fusion.patches import (
    both_ways,
    box_view,
    cut,
    heatmap_loss,
    jittered,
    patch_windows,
    tag_heatmaps,
    window_boxes,
)
from aasce.solvers.keypoint_fusion.settings import CornersSettings, KeypointFusionConfig, PatchesSettings
from aasce.targets.boxes import encode_boxes
from aasce.targets.heatmap import encode_heatmaps, from_map, highest_peaks, peaks
from aasce.types import AasceError
from tests.synthetic import bent_spine


def test_patches_hold_4_to_12_points_of_one_to_three_vertebrae() -> None:
    windows = patch_windows(17)
    sizes = {2 * (end - top) for top, end in windows}
    assert sizes == {4, 6, 8, 10, 12}
    # 34 endplates: 33 patches of two of them, 32 of three, ... 29 of six.
    assert len(windows) == sum(range(29, 34)) == len(set(windows))
    assert {(0, 2), (1, 3)} <= set(windows)  # T1, and the halves of T1 and T2
    assert max(end for _, end in windows) == 34


def test_patches_of_a_prediction_cover_the_whole_column() -> None:
    chosen = spread_windows(48)
    assert len(set(chosen)) == 48
    shown = [sum(top <= plate < end for top, end in chosen) for plate in range(34)]
    assert (
        min(shown) >= 4
    )  # 5 of 155 patches show the first endplate: 48 drawn evenly would show it once or twice
    assert {end - top for top, end in chosen} == {2, 3, 4, 5, 6}
    assert list(spread_windows(1000)) == sorted(patch_windows())


def test_the_box_of_two_halves_lies_around_the_disc() -> None:
    spine = bent_spine(0.0)
    box = window_boxes(spine, [(1, 3)])[0]
    disc = np.concatenate([spine[0, 2:], spine[1, :2]])
    np.testing.assert_allclose(box, [*disc.min(axis=0), *disc.max(axis=0)])
    np.testing.assert_allclose(window_boxes(spine, [(4, 6)])[0], encode_boxes(spine)[2])


def test_a_view_shows_the_enlarged_box_in_the_middle() -> None:
    view = box_view(np.array([10.0, 20.0, 50.0, 40.0]), (64, 96), 1.2)
    # 48 wide and 24 high: the width decides, 2 px for 1.
    assert view.scale == pytest.approx(2.0)
    np.testing.assert_allclose(view.apply(np.array([30.0, 30.0])), [47.5, 31.5])


def test_cut_outs_show_what_lies_there() -> None:
    canvas = np.zeros((100, 100), np.uint8)
    canvas[30, 60] = 200
    view = box_view(np.array([50.0, 20.0, 82.0, 52.0]), (32, 32), 1.0)
    found = cut(canvas, [view])[0]
    at = view.apply(np.array([60.0, 30.0])).round().astype(int)
    assert found.max() > 0
    assert abs(np.argwhere(found == found.max())[0][::-1] - at).max() <= 1


def test_jitter_moves_boxes_and_keeps_their_aspect() -> None:
    boxes = np.tile([0.0, 0.0, 40.0, 20.0], (500, 1))
    moved = jittered(boxes, 0.1, np.random.default_rng(0))
    sides = moved[:, 2:] - moved[:, :2]
    np.testing.assert_allclose(sides[:, 0] / sides[:, 1], 2.0)
    assert ((moved[:, :2] + moved[:, 2:]) / 2 - [20, 10]).std(axis=0) == pytest.approx([4, 4], rel=0.15)
    np.testing.assert_allclose(jittered(boxes, 0.0, np.random.default_rng(0)), boxes)


def test_peaks_lie_between_pixels() -> None:
    points = np.array([[20.3, 30.6], [60.7, 41.2]])
    maps = encode_heatmaps(points, (96, 96), 1.5, 4).max(axis=0)[None]
    index, found, values = peaks(maps, 0.3)
    assert index.tolist() == [0, 0]
    np.testing.assert_allclose(from_map(found, 4), points, atol=1e-3)
    assert (values > 0.8).all()
    assert len(peaks(maps, 0.99)[0]) == 0


def test_peaks_at_the_edge_do_not_count() -> None:
    maps = encode_heatmaps(np.array([[0.0, 40.0]]), (96, 96), 1.0, 4)
    assert len(peaks(maps, 0.3)[0]) == 0
    assert len(peaks(np.zeros((0, 8, 8)), 0.3)[0]) == 0


def test_the_highest_peak_of_each_map() -> None:
    points = np.array([[33.1, 20.4], [12.0, 50.9]])
    found, values = highest_peaks(encode_heatmaps(points, (64, 96), 1.0, 4))
    np.testing.assert_allclose(from_map(found, 4), points, atol=1e-3)
    assert values.shape == (2,)
    assert (values > 0.8).all()


def test_heatmaps_of_tags_hold_every_corner_shown() -> None:
    spine = bent_spine(20.0)
    view = box_view(encode_boxes(spine)[4], (96, 64), 2.0)
    shown = view.apply(spine)
    maps = tag_heatmaps(shown, (96, 64), 1.0, 4)
    assert maps.shape == (4, 24, 16)
    inside = ((shown > 3) & (shown < [60, 92])).all(axis=-1)
    for tag in range(4):
        _, points, _ = peaks(maps[tag : tag + 1], 0.3)
        wanted = shown[inside[:, tag], tag]
        found = from_map(points, 4)
        apart = np.linalg.norm(found[:, None] - wanted[None], axis=-1)
        assert (apart.min(axis=0) < 0.5).all()
    assert tag_heatmaps(shown + 1000, (96, 64), 1.0, 4).max() == 0


def test_the_loss_of_empty_maps_is_one_and_of_perfect_ones_zero() -> None:
    wanted = torch.from_numpy(encode_heatmaps(np.array([[30.0, 30.0]]), (64, 64), 1.0, 4))[None]
    assert float(heatmap_loss(torch.zeros_like(wanted), wanted, 5.0)) == pytest.approx(1.0)
    assert float(heatmap_loss(wanted, wanted, 5.0)) == 0


class Painted(nn.Module):
    """Gives maps whose first tag is what lies left of the middle, the second what lies right of it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, image: Tensor) -> Tensor:
        bright = (image[:, 0, ::4, ::4] > 0).float()
        left = torch.arange(bright.shape[-1]) < bright.shape[-1] / 2
        return torch.stack([bright * left, bright * ~left, bright * left, bright * ~left], dim=1)


def test_the_mirror_image_has_left_and_right_exchanged() -> None:
    image = np.zeros((1, 32, 32), np.uint8)
    image[0, 8:12, 4:8] = 255  # left
    maps = both_ways(Painted(), image)[0]
    assert maps[0].sum() == maps[2].sum() == 1
    assert maps[1].sum() == maps[3].sum() == 0


class Known(nn.Module):
    """A network that knows where the corners are: one Gaussian a tag, 0.27 of the sides from the edges."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        points = np.array([[x, y] for y in (0.27, 0.73) for x in (0.27, 0.73)]) * [width, height] - 0.5
        maps = torch.from_numpy(encode_heatmaps(points, (height, width), 1.0, 4))
        return maps.expand(len(image), *maps.shape)


def test_corners_come_back_to_the_canvas() -> None:
    settings = CornersSettings(grow=2.0)
    box = np.array([[100.0, 200.0, 148.0, 232.0]])  # doubled, it is as large as the crop, from (76, 184) on
    found, values = box_corners(Known(), np.zeros((400, 300), np.uint8), box, settings)
    left, right, top, bottom = 76 + 0.27 * 96, 76 + 0.73 * 96, 184 + 0.27 * 64, 184 + 0.73 * 64
    wanted = [[left, top], [right, top], [left, bottom], [right, bottom]]
    np.testing.assert_allclose(found[0], wanted, atol=0.05)
    assert (values > 0.7).all()


def test_every_patch_adds_its_points() -> None:
    settings = PatchesSettings(count=30)
    rough = bent_spine(30.0)
    points = dense_points(Known(), np.zeros((448, 192), np.uint8), rough, settings)
    assert [len(tag) for tag in points] == [60] * 4  # plain and mirrored
    far = rough.copy()
    far[8, 0] += [150.0, 300.0]  # its patches are too long and left out
    assert 0 < len(dense_points(Known(), np.zeros((448, 192), np.uint8), far, settings)[0]) < 60


def test_shapes_and_budget_of_the_networks() -> None:
    config = KeypointFusionConfig()
    net = KeypointFusionNet(config).eval()
    with torch.inference_mode():
        assert net.corners(torch.zeros(1, 1, *config.corners.size)).shape == (1, 4, 16, 24)
        assert net.rough(torch.zeros(1, 1, *config.rough.size)).shape == (1, KEYPOINTS, 96, 44)
        assert net.patches(torch.zeros(1, 1, *config.patches.size)).shape == (1, 4, 32, 24)
    assert sum(p.numel() for p in net.parameters()) < 3.9e6


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("boxes.size=[500, 224]", "multiples of 16"),
        ("boxes.anchors=[[24.0]]", "one entry for each"),
        ("patches.baseline.deconvolutions=[8, 8, 8, 8, 8]", "at most one more"),
        ("fusion=votes", "fusion"),
    ],
)
def test_settings_that_do_not_fit(override: str, message: str) -> None:
    with pytest.raises(AasceError, match=message):
        load_settings(KeypointFusionConfig, None, [override])
