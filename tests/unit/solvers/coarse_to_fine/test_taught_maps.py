"""What the U-nets are taught, regions, the corners read from maps, and the networks' shapes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aasce.config import load_settings
from aasce.preprocess.crop import View, render_all
from aasce.solvers.coarse_to_fine.inference import detection_pass, mask_pass, read_corners
from aasce.solvers.coarse_to_fine.local_task import expected_places, place_losses
from aasce.solvers.coarse_to_fine.maps import box_masks, corner_maps, instance_masks, region_box, spine_mask
from aasce.solvers.coarse_to_fine.network import BLACK, CoarseToFineNet, under_mask
from aasce.solvers.coarse_to_fine.regions import local_spacings, region_views
from aasce.solvers.coarse_to_fine.settings import CoarseToFineConfig, EncoderUNetSettings, LocalSettings
from aasce.solvers.coarse_to_fine.task import channel_loss
from aasce.targets.boxes import mirrored_boxes
from aasce.types import AasceError
from tests.synthetic import SIZE, bent_spine, drawn_film

SPINE = bent_spine(30.0)
QUAD = np.array([[30.0, 20.0], [66.0, 24.0], [28.0, 42.0], [64.0, 46.0]])


def at(map_: np.ndarray, point: np.ndarray, stride: int) -> float:
    x, y = np.round((point + 0.5) / stride - 0.5).astype(int)
    return float(map_[y, x])


def test_the_whole_spine_is_softer_and_longer_than_the_target() -> None:
    whole = spine_mask(SPINE, SIZE, 2, 10.0, 1)
    target = spine_mask(SPINE, SIZE, 2, 2.0, 0)
    assert min(at(target, corner, 2) for corner in SPINE.reshape(-1, 2)) > 0.45
    assert whole[target > 0.5].min() > 0.5
    soft = [((m > 0.05) & (m < 0.95)).sum() for m in (whole, target)]
    assert soft[0] > 2 * soft[1]
    above = SPINE[0, :2].mean(axis=0) - [0, 12]
    assert at(whole, above, 2) > 0.8
    assert at(target, above, 2) < 0.1


def test_box_masks_are_the_middles_of_the_vertebrae() -> None:
    masks = box_masks(SPINE, SIZE, 4, 0.75)
    area = masks.sum(axis=(1, 2)) * 16
    sides = [np.linalg.norm(SPINE[:, i] - SPINE[:, 0], axis=1) for i in (1, 2)]
    # Drawn on sub-pixels of one px of the canvas, where cv2 fills the px of the outline too: one more on each axis.
    np.testing.assert_allclose(area, (0.75 * sides[0] + 1) * (0.75 * sides[1] + 1), rtol=0.06)
    assert masks.sum(axis=0).max() <= 1 + 1e-6
    rows, columns = np.indices(masks.shape[1:])
    for mask, middle in zip(masks, SPINE.mean(axis=1), strict=True):
        found = np.array([(mask * columns).sum(), (mask * rows).sum()]) / mask.sum() * 4 + 1.5
        np.testing.assert_allclose(found, middle, atol=0.75)


def test_a_vertebra_off_the_canvas_has_an_empty_mask() -> None:
    masks = instance_masks(np.stack([QUAD, QUAD + 500]), (96, 96))
    assert masks.dtype == np.uint8
    assert int(masks[0].sum()) == pytest.approx(37 * 23, rel=0.05)  # the px of the outline belong to it
    assert masks[1].sum() == 0


def test_the_box_of_a_region_has_room_for_the_corners() -> None:
    box = region_box(QUAD, (64, 96), 1, 8.0)
    assert min(at(box, corner, 1) for corner in QUAD) == 1.0
    plain = region_box(QUAD, (64, 96), 1, 0.0)
    np.testing.assert_allclose([plain.sum(), box.sum()], [36.2 * 22.1, (36.2 + 16) * (22.1 + 16)], rtol=0.05)


def test_overlapping_corners_share_a_px() -> None:
    maps = corner_maps(QUAD * 0.2, (32, 32), 1, 6.0)
    assert maps.sum(axis=0).max() <= 1 + 1e-6
    apart = corner_maps(QUAD, (64, 96), 1, 2.0)
    np.testing.assert_allclose([at(m, c, 1) for m, c in zip(apart, QUAD, strict=True)], 1.0, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
def test_corners_are_read_where_they_were_drawn(stride: int) -> None:
    maps = corner_maps(QUAD + 0.3, (64, 96), stride, 3.0)[None]
    found, heights = read_corners(maps, 0.5, stride)
    np.testing.assert_allclose(found[0], QUAD + 0.3, atol=0.6)
    np.testing.assert_allclose(heights, 1.0, atol=0.1)


def test_faint_corners_are_read_at_half_their_height() -> None:
    maps = corner_maps(QUAD, (64, 96), 1, 3.0)[None]
    faint = maps.copy()
    faint[0, 2] *= 0.3
    found, heights = read_corners(faint, 0.5, 1)
    np.testing.assert_allclose(found, read_corners(maps, 0.5, 1)[0], atol=1e-9)
    assert heights[0, 2] == pytest.approx(0.3)


def test_an_empty_map_gives_finite_corners() -> None:
    found, heights = read_corners(np.zeros((1, 4, 8, 8), np.float32), 0.5, 2)
    assert np.isfinite(found).all()
    assert (heights == 0).all()


def test_expected_places_and_their_losses() -> None:
    maps = torch.from_numpy(corner_maps(QUAD, (64, 96), 1, 3.0)[None])
    found = expected_places(maps)
    np.testing.assert_allclose(found[0].numpy(), QUAD, atol=0.3)
    truth = torch.from_numpy(QUAD[None].astype(np.float32))
    assert place_losses(truth, truth, 1.0)["tilt"] == 0
    turned = truth.clone()
    turned[:, [1, 3], 1] -= 4.0  # the right side 4 px higher: level, where the label has 4 px on 36
    losses = place_losses(turned, truth, 2.0)
    assert float(losses["place"]) == pytest.approx(4 * 2 / 8 / 2)
    assert float(losses["tilt"]) == pytest.approx(5 * 36 * 4 / (36**2 + 4**2), rel=1e-4)


def test_the_loss_of_channels_is_least_at_the_truth() -> None:
    shares = torch.from_numpy(corner_maps(QUAD, (64, 96), 1, 3.0)[None])
    background = 1 - shares.sum(dim=1, keepdim=True)
    right = torch.cat([shares, background], dim=1).clamp(min=1e-4).log()
    swapped = torch.cat([shares[:, [1, 0, 3, 2]], background], dim=1).clamp(min=1e-4).log()
    level = torch.zeros_like(right)
    assert channel_loss(right, shares) < channel_loss(level, shares) < channel_loss(swapped, shares)


def test_spacings_grow_along_a_line_whatever_one_step_is() -> None:
    steps = np.linspace(15, 25, 16)
    rows = np.concatenate([[0], np.cumsum(steps)])
    places = np.stack([np.zeros(17), rows], axis=1)
    even = local_spacings(places)
    np.testing.assert_allclose(even, 15 + 10 / 15 * (np.arange(17) - 0.5), atol=1e-6)
    squeezed = places.copy()
    squeezed[8, 1] = squeezed[7, 1] + 2.0  # one step far too short, the next far too long
    np.testing.assert_allclose(local_spacings(squeezed), even, atol=1.5)


def test_regions_have_one_spacing_and_their_vertebra_in_the_middle() -> None:
    settings = LocalSettings(spacing=30.0, region=(64, 96))
    film = drawn_film(SPINE)
    places = SPINE.mean(axis=1)
    views = region_views(places, local_spacings(places), settings)
    assert render_all(views, film).shape == (17, 64, 96)
    for k in range(1, 16):
        np.testing.assert_allclose(views[k].apply(places[k]), [47.5, 31.5])
        step = views[k].apply(places[k + 1]) - views[k].apply(places[k])
        assert np.hypot(*step) == pytest.approx(30.0, rel=0.06)
    as_it_is = region_views(places, local_spacings(places), settings.model_copy(update={"spacing": 0.0}))
    assert all(view.scale == pytest.approx(1.0) for view in as_it_is)


def test_under_a_mask_a_film_is_black_where_it_is_zero() -> None:
    image = torch.rand(1, 1, 8, 8)
    mask = torch.zeros(1, 1, 4, 4)
    assert (under_mask(image, mask) == BLACK).all()
    np.testing.assert_allclose(under_mask(image, mask + 1), image, atol=1e-6)


@pytest.fixture(scope="module")
def nets() -> CoarseToFineNet:
    return CoarseToFineNet(CoarseToFineConfig.tiny()).eval()


def test_maps_have_the_stride_that_settings_say(nets: CoarseToFineNet) -> None:
    config = CoarseToFineConfig.tiny()
    canvas, region = torch.zeros(1, 1, *config.masks.size), torch.zeros(1, 1, *config.local.region)
    for net, settings, image, outputs in (
        (nets.whole, config.masks.whole, canvas, 1),
        (nets.target, config.masks.target, canvas, 1),
        (nets.boxes, config.masks.boxes, canvas, 18),
        (nets.box, config.local.box, region, 1),
        (nets.corners, config.local.corners, region, 5),
    ):
        expected = (1, outputs, *(side // settings.stride for side in image.shape[-2:]))
        assert tuple(net(image).shape) == expected


def test_mirrored_canvases_give_mirrored_maps(nets: CoarseToFineNet) -> None:
    config = CoarseToFineConfig.tiny()
    canvas = np.random.default_rng(0).integers(0, 255, config.masks.size).astype(np.uint8)
    view = View.identity(config.masks.size)
    box = (0, 0, config.masks.size[1], config.masks.size[0])
    plain = mask_pass(nets, canvas, view, box, 4)
    mirrored = mask_pass(nets, np.ascontiguousarray(canvas[:, ::-1]), view, box, 4)
    np.testing.assert_allclose(mirrored.boxes[..., ::-1], plain.boxes, atol=1e-5)
    np.testing.assert_allclose(mirrored.target[:, ::-1], plain.target, atol=1e-5)
    # The same detections as pairs of the canvas and its mirror image, in the other order.
    first, second = (detection_pass(nets, film) for film in (plain.film, mirrored.film))
    assert len(first.boxes) == len(second.boxes)
    back = mirrored_boxes(second.boxes, config.masks.size[1])
    order = [np.lexsort(boxes.round(1).T) for boxes in (first.boxes, back)]
    np.testing.assert_allclose(first.boxes[order[0]], back[order[1]], atol=0.2)


def test_a_decoder_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="decoder"):
        EncoderUNetSettings(decoder=(8,))
    assert EncoderUNetSettings(decoder=(8, 8)).stride == 4
    assert EncoderUNetSettings(decoder=(8, 8, 8)).stride == 2
    with pytest.raises(AasceError, match=r"masks\.size"):
        load_settings(CoarseToFineConfig, None, ["masks.size=[640, 288]"])
