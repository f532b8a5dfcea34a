"""`corner_regression`: the crop rule, patches, detections to a column, corners to 17 vertebrae, losses, settings."""

from pathlib import Path

import numpy as np
import pytest
import torch

from aasce.config import load_settings
from aasce.preprocess.augment import mirror_landmarks
from aasce.solvers.corner_regression.network import CornerNet, make_detector
from aasce.solvers.corner_regression.postprocess import (
    Detections,
    column_of,
    crop_by,
    filled_column,
    finished,
    merge_detections,
    rectangles,
)
from aasce.solvers.corner_regression.settings import (
    CornerRegressionConfig,
    CornerSettings,
    DetectorSettings,
    HeatmapHead,
    InferenceSettings,
    LocalizerCrop,
    NoCrop,
    PooledHead,
    RuleCrop,
)
from aasce.solvers.corner_regression.targets import SPACING, cut_patches, grown_boxes, jittered, patch_view
from aasce.solvers.corner_regression.task import shown_corners, soft_f1
from aasce.solvers.shared.encoders import EncoderSettings

SMALL = EncoderSettings(
    name="resnet18d", options={"channels": [8, 8, 16, 16], "layers": [1, 1, 1, 1], "stem_width": 8}
)
PLAIN = InferenceSettings()
PAPER = InferenceSettings(missing="duplicate", smoothing=6)


def column(count: int, step: float = 100.0) -> Detections:
    """Boxes 80 px wide and 60 high, one below the other, the first one around (200, 50)."""
    y = 50.0 + step * np.arange(count)
    boxes = np.stack([np.full(count, 160.0), y - 30, np.full(count, 240.0), y + 30], axis=1)
    return Detections(boxes, np.linspace(0.9, 0.7, count))


def spine(count: int = 17, step: float = 100.0) -> np.ndarray:
    """(V, 4, 2) vertebrae of 60 x 40 px in the boxes of `column`."""
    centre = np.stack([np.full(count, 200.0), 50.0 + step * np.arange(count)], axis=1)
    return centre[:, None] + np.array([[-30, -20], [30, -20], [-30, 20], [30, 20]])


def test_the_crop_rule_cuts_in_proportion_to_the_aspect() -> None:
    rule = RuleCrop(top=0.18, bottom=0.21, aspect=2.0)
    assert crop_by(rule, (1000, 500), None) == (0, 180, 500, 790)
    assert crop_by(rule, (1000, 1000), None) == (0, 90, 1000, 895)


def test_the_crop_rule_leaves_a_tenth_of_a_very_high_film() -> None:
    x0, top, x1, bottom = crop_by(RuleCrop(top=0.2, bottom=0.2, aspect=1.0), (1000, 100), None)
    assert (x0, top, x1, bottom) == (0, 450, 100, 550)


def test_the_localizer_crops_a_film_of_the_whole_body_and_nothing_crops_without_a_rule() -> None:
    film, small = (2000, 900), np.array([400.0, 500, 500, 1300])
    x0, y0, x1, y1 = crop_by(LocalizerCrop(), film, small)
    assert 0 <= x0 < 400
    assert 500 < x1 <= 900
    assert 450 <= y0 < 500
    assert 1300 < y1 <= 1400
    assert crop_by(NoCrop(), film, small) == (0, 0, 900, 2000)


def test_boxes_grow_by_the_papers_px_on_a_film_of_its_resolution_and_half_as_much_on_half_the_film() -> None:
    landmarks = spine(step=SPACING)
    box = grown_boxes(landmarks, (50.0, 10.0))[0]
    np.testing.assert_allclose(box, [200 - 30 - 25, 50 - 20 - 5, 200 + 30 + 25, 50 + 20 + 5])
    np.testing.assert_allclose(
        grown_boxes(landmarks / 2, (50.0, 10.0)), grown_boxes(landmarks, (50.0, 10.0)) / 2
    )


def test_a_stretched_patch_shows_the_box_and_its_corners_are_those_of_the_unit_square() -> None:
    settings = CornerSettings(margin=(0.0, 0.0), keep_aspect=False, size=(128, 192))
    corners = patch_view(np.array([10.0, 20, 50, 40]), settings).apply(np.array([[10.0, 20], [50, 40]]))
    np.testing.assert_allclose(corners, [[-0.5, -0.5], [191.5, 127.5]])


def test_a_patch_of_kept_aspect_holds_the_box_with_its_margin() -> None:
    settings = CornerSettings(margin=(0.0, 1.0), size=(64, 96))
    view = patch_view(np.array([0.0, 0, 60, 30]), settings)
    assert view.matrix[0, 0] == view.matrix[1, 1] == pytest.approx(64 / 60)
    np.testing.assert_allclose(view.apply(np.array([30.0, 15])), [47.5, 31.5])
    wider = patch_view(np.array([0.0, 0, 60, 30]), settings, zoom=2.0)
    assert wider.matrix[0, 0] == pytest.approx(32 / 60)


def test_patches_show_the_canvas_and_give_points_back() -> None:
    canvas = np.zeros((200, 300), np.uint8)
    canvas[100, 150] = 255
    boxes = np.array([[130.0, 90, 170, 110], [40, 40, 100, 80]])
    patches = cut_patches(canvas, boxes, CornerSettings(margin=(0.0, 0.0)))
    row, x = np.unravel_index(patches.images[0].argmax(), patches.images[0].shape)
    assert abs(row - 31.5) <= 1.5
    assert abs(x - 47.5) <= 1.5
    assert patches.images[1].max() == 0
    points = rectangles(boxes)
    np.testing.assert_allclose(patches.undo(patches.apply(points)), points)


def test_jitter_moves_every_side_by_a_share_of_the_height() -> None:
    boxes = np.tile([[0.0, 0, 100, 20]], (4000, 1))
    moved = jittered(boxes, 0.1, np.random.default_rng(0)) - boxes
    np.testing.assert_allclose(moved.std(axis=0), 2.0, rtol=0.06)
    np.testing.assert_allclose(moved.mean(axis=0), 0.0, atol=0.12)


def test_corners_off_the_canvas_or_off_their_patch_do_not_count() -> None:
    landmarks = spine(3)
    landmarks[0] -= [0, 80]  # leaves the canvas at the top
    boxes = grown_boxes(spine(3), (20.0, 10.0))
    boxes[1, :2] += 60  # a box that misses its vertebra
    patches = cut_patches(np.zeros((400, 400), np.uint8), boxes, CornerSettings(margin=(0.0, 0.0)))
    assert shown_corners(patches, landmarks, (400, 400)).tolist() == [0, 0, 1]


def test_soft_f1_is_one_for_all_boxes_and_falls_with_missing_and_surplus_ones() -> None:
    boxes = column(4).boxes
    everything = Detections(boxes, np.ones(4))
    assert soft_f1(everything, boxes) == pytest.approx(1)
    assert soft_f1(everything.chosen(np.arange(2)), boxes) == pytest.approx(2 * 2 / 6)
    assert soft_f1(Detections(np.concatenate([boxes, boxes[:1] + 500]), np.ones(5)), boxes) == pytest.approx(
        8 / 9
    )
    assert soft_f1(everything.chosen(np.arange(0)), boxes) == 0


def test_passes_are_merged_and_a_box_of_one_pass_alone_counts_half() -> None:
    first = Detections(np.array([[0.0, 0, 10, 10], [50, 0, 60, 10]]), np.array([0.9, 0.8]))
    second = Detections(np.array([[1.0, 0, 11, 10]]), np.array([0.3]))
    merged = merge_detections([first, second], 0.5)
    np.testing.assert_allclose(merged.boxes, [[0.25, 0, 10.25, 10], [50, 0, 60, 10]])
    np.testing.assert_allclose(merged.scores, [0.6, 0.4])
    nothing = Detections(np.zeros((0, 4)), np.zeros(0))
    assert merge_detections([nothing, nothing], 0.5).boxes.shape == (0, 4)


def test_a_detection_off_the_spine_and_a_second_one_of_a_vertebra_are_dropped() -> None:
    true = column(17)
    rib = true.boxes[8:9] + np.array([90, 45, 90, 45])  # more than half a box width from both neighbours
    double = true.boxes[3:4] + np.array([4, 10, 4, 10])
    found = Detections(np.concatenate([rib, double, true.boxes]), np.concatenate([[0.5, 0.5], true.scores]))
    np.testing.assert_allclose(column_of(found, PLAIN).boxes, true.boxes)
    kept = column_of(found, InferenceSettings(outliers=False))
    assert len(kept.boxes) == 18
    assert (kept.boxes[:, 0] == 250).sum() == 1


def test_weak_detections_are_dropped_and_the_rest_comes_from_the_top() -> None:
    true = column(5)
    found = Detections(true.boxes[::-1], np.array([0.9, 0.9, 0.1, 0.9, 0.9]))
    np.testing.assert_allclose(column_of(found, PLAIN).boxes, true.boxes[[0, 1, 3, 4]])


@pytest.mark.parametrize("missing", ["interpolate", "duplicate"])
def test_surplus_vertebrae_are_dropped_from_the_bottom(missing: str) -> None:
    settings = InferenceSettings(surplus="bottom", missing=missing)  # type: ignore[arg-type]
    filled = filled_column(column(19), settings)
    np.testing.assert_allclose(filled.boxes, column(19).boxes[:17])
    np.testing.assert_allclose(filled.scores, column(19).scores[:17])


def test_a_vertebra_above_t1_goes_where_it_is_less_sure_than_l5() -> None:
    found = column(18)
    found.scores[:] = 0.9
    found.scores[0] = 0.4
    np.testing.assert_allclose(filled_column(found, InferenceSettings()).boxes, found.boxes[1:])
    found.scores[0], found.scores[-1] = 0.9, 0.4
    np.testing.assert_allclose(filled_column(found, InferenceSettings()).boxes, found.boxes[:-1])


def test_a_missing_vertebra_is_interpolated_or_the_lowest_one_repeated() -> None:
    true = column(17)
    seen = true.chosen(np.delete(np.arange(17), 6))
    filled = filled_column(seen, PLAIN)
    np.testing.assert_allclose(filled.boxes, true.boxes)
    assert np.flatnonzero(filled.scores == 0).tolist() == [6]
    repeated = filled_column(seen, PAPER)
    np.testing.assert_allclose(repeated.boxes, np.concatenate([seen.boxes, seen.boxes[-1:]]))
    assert np.flatnonzero(repeated.scores == 0).tolist() == [16]


def test_a_spine_that_leaves_the_film_is_continued_below() -> None:
    """Twelve vertebrae of seventeen; the last five follow in a straight line with no confidence."""
    found = finished(spine(12), np.full(12, 0.8), PLAIN)
    np.testing.assert_allclose(found.landmarks, spine(17))
    np.testing.assert_allclose(found.scores, [0.8] * 12 + [0] * 5)


def test_two_boxes_whose_corners_fell_on_one_vertebra_give_one() -> None:
    corners = np.concatenate([spine()[:5], spine()[4:5] + 1.0, spine()[5:]])
    scores = np.full(18, 0.9)
    scores[5] = 0.0  # the box that was filled in
    found = finished(corners, scores, PLAIN)
    np.testing.assert_allclose(found.landmarks, spine())
    assert (found.scores > 0).all()


def test_smoothing_replaces_x_by_a_polynomial_of_y() -> None:
    noisy = spine()
    noisy[8, :, 0] += 6.0  # one vertebra beside the column
    smooth = finished(noisy, np.ones(17), PAPER).landmarks
    np.testing.assert_allclose(smooth[..., 1], noisy[..., 1])
    assert np.abs(smooth[..., 0] - spine()[..., 0]).max() < 4
    np.testing.assert_allclose(finished(noisy, np.ones(17), PLAIN).landmarks, noisy)


def test_a_squeezed_vertebra_is_kept() -> None:
    """Half as high as its neighbours and nearer to them, but nobody's double."""
    squeezed = spine()
    squeezed[9] = squeezed[9].mean(axis=0) + (squeezed[9] - squeezed[9].mean(axis=0)) * [1.0, 0.5]
    squeezed[10:] -= [0, 30]
    found = finished(squeezed, np.linspace(0.5, 0.9, 17), PLAIN)
    np.testing.assert_allclose(found.landmarks, squeezed)


@pytest.mark.parametrize("head", [PooledHead(units=16), HeatmapHead(width=8)])
def test_both_heads_give_four_corners_and_train_every_weight(head: PooledHead | HeatmapHead) -> None:
    net = CornerNet(CornerSettings(encoder=SMALL, head=head, size=(32, 64)), start=False)
    corners, logits = net(torch.randn(2, 1, 32, 64))
    assert corners.shape == (2, 4, 2)
    assert (logits is None) == isinstance(head, PooledHead)
    corners.sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []


def test_a_map_with_all_its_mass_in_one_px_gives_that_px() -> None:
    net = CornerNet(CornerSettings(encoder=SMALL, head=HeatmapHead(width=8), size=(32, 64)), start=False)
    logits = torch.full((1, 4, 8, 16), -100.0)
    logits[:, :, 2, 5] = 100.0
    net.head.classify = torch.nn.Identity()  # type: ignore[assignment]
    net.head.ways = torch.nn.ModuleList()  # type: ignore[assignment]
    net.head.enter = torch.nn.Identity()  # type: ignore[assignment]
    corners, _ = net.head([logits])
    np.testing.assert_allclose(corners.numpy()[0], [[5.5 * 4 - 0.5, 2.5 * 4 - 0.5]] * 4, atol=1e-4)


def test_the_papers_densenet_has_five_blocks_of_growth_8() -> None:
    options = {"growth_rate": 8, "block_config": [4, 4, 4, 4, 4]}
    encoder = EncoderSettings(name="densenet121", options=options)
    net = CornerNet(
        CornerSettings(encoder=encoder, stages=5, head=PooledHead(), size=(120, 200)), start=False
    )
    assert [name for name, _ in net.encoder.named_children() if "denseblock" in name] == [
        f"features_denseblock{k}" for k in range(1, 6)
    ]
    assert net(torch.zeros(1, 1, 120, 200))[0].shape == (1, 4, 2)


def test_anchors_have_the_areas_and_the_ratios_of_the_settings() -> None:
    detector = make_detector(
        DetectorSettings(encoder=SMALL, pyramid=8, anchors=(32.0, 56.0), ratios=(1.0, 2.0), units=8),
        start=False,
    )
    x0, y0, x1, y1 = detector.rpn.anchor_generator.cell_anchors[0].T
    sizes = sorted(zip((x1 - x0).tolist(), (y1 - y0).tolist(), strict=True))
    expected = [(32, 32), (45.25, 22.6), (56, 56), (79.2, 39.6)]
    np.testing.assert_allclose(sizes, expected, atol=1.6)  # torchvision rounds half sides


def test_mirrored_boxes_and_corners_agree() -> None:
    """The flip of boxes in `detect` is that of landmarks."""
    boxes, width = column(3).boxes, 400
    flipped = boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [width - 1, 0] * 2
    np.testing.assert_allclose(rectangles(flipped), mirror_landmarks(rectangles(boxes), width))


def test_the_lines_of_the_papers_table_are_settings(tmp_path: Path) -> None:
    made = [
        "inference.crop.kind=rule",
        "inference.smoothing=6",
        "inference.outliers=false",
        "inference.missing=duplicate",
    ]
    found = load_settings(CornerRegressionConfig, None, made).inference
    assert (found.crop, found.smoothing, found.outliers, found.missing) == (RuleCrop(), 6, False, "duplicate")
    assert (
        load_settings(CornerRegressionConfig, None, ["inference.crop.kind=none"]).inference.crop == NoCrop()
    )


def test_a_chain_leaves_out_what_does_not_fit_and_fills_its_gaps() -> None:
    true = column(17)
    aside = true.boxes[5:6] + np.array([150.0, 10.0, 150.0, 10.0])
    seen = true.chosen(np.delete(np.arange(17), 8))
    found = Detections(np.concatenate([aside, seen.boxes]), np.concatenate([[0.9], seen.scores]))
    kept = column_of(found, InferenceSettings(column="chain"))
    np.testing.assert_allclose(kept.boxes, true.boxes, atol=1e-6)
    assert np.flatnonzero(kept.scores == 0).tolist() == [8]


def test_three_detections_are_no_chain() -> None:
    assert len(column_of(column(3), InferenceSettings(column="chain")).boxes) == 0
