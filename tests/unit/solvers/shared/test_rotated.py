"""Overlap and suppression of rotated boxes, against shapely and torchvision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from shapely.affinity import rotate
from shapely.geometry import Polygon
from shapely.geometry import box as rectangle
from torchvision.ops import box_iou, nms

from aasce.solvers.shared.rotated import box_outline, from_box_frame, rotated_iou, rotated_nms, to_box_frame


def random_boxes(count: int, seed: int, extent: float = 100.0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    columns = [
        rng.uniform(0, extent, count),
        rng.uniform(0, extent, count),
        rng.uniform(3, 50, count),
        rng.uniform(3, 30, count),
        rng.uniform(-math.pi / 2, math.pi / 2, count),
    ]
    return torch.tensor(np.stack(columns, axis=1), dtype=torch.float32)


def upright_corners(boxes: torch.Tensor) -> torch.Tensor:
    half = boxes[:, 2:4] / 2
    return torch.cat([boxes[:, :2] - half, boxes[:, :2] + half], dim=1)


def by_shapely(first: torch.Tensor, second: torch.Tensor) -> np.ndarray:
    a, b = ([Polygon(p) for p in box_outline(boxes.double()).numpy()] for boxes in (first, second))
    return np.array([[p.intersection(q).area / p.union(q).area for q in b] for p in a])


def test_outline_is_the_rectangle_turned_by_theta() -> None:
    """Positive theta lowers the right side, as y runs down."""
    for box in random_boxes(5, 0):
        x, y, w, h, theta = box.tolist()
        upright = rectangle(x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        turned = rotate(upright, theta, origin=(x, y), use_radians=True)
        assert Polygon(box_outline(box[None])[0].double().numpy()).symmetric_difference(turned).area < 1e-3
    lowered = box_outline(torch.tensor([[0.0, 0.0, 20.0, 8.0, 0.3]]))[0]
    assert lowered[1, 1] > lowered[0, 1]


def test_a_point_in_the_frame_of_a_box_comes_back() -> None:
    boxes, points = random_boxes(4, 1), torch.rand(4, 3, 2) * 50
    torch.testing.assert_close(from_box_frame(to_box_frame(points, boxes), boxes), points, atol=1e-4, rtol=0)


def test_frames_of_boxes_are_as_exact_under_autocast() -> None:
    boxes, points = random_boxes(4, 1), torch.rand(4, 3, 2) * 50
    plain = to_box_frame(points, boxes)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(to_box_frame(points, boxes), plain)
        torch.testing.assert_close(from_box_frame(plain, boxes), points, atol=1e-4, rtol=0)


def test_iou_is_shapelys() -> None:
    first, second = random_boxes(60, 2), random_boxes(50, 3)
    expected = by_shapely(first, second)
    assert (expected > 0.05).sum() > 200  # not a test of boxes that lie apart
    np.testing.assert_allclose(rotated_iou(first, second).numpy(), expected, atol=1e-6)


def test_iou_at_angle_0_is_torchvisions() -> None:
    first, second = random_boxes(30, 4), random_boxes(30, 5)
    first[:, 4] = second[:, 4] = 0
    expected = box_iou(upright_corners(first), upright_corners(second))
    torch.testing.assert_close(rotated_iou(first, second), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((50, 50, 20, 10, 0.3), (50, 50, 20, 10, 0.3), 1.0),
        ((50, 50, 20, 10, 0.3), (50, 50, 20, 10, 0.3 + math.pi), 1.0),
        ((50, 50, 20, 10, 0.2), (50, 50, 10, 20, 0.2 + math.pi / 2), 1.0),
        ((50, 50, 20, 10, 0.0), (50, 50, 20, 10, math.pi / 2), 100 / 300),
        ((50, 50, 20, 20, 0.0), (50, 50, 20, 20, math.pi / 4), 1 / math.sqrt(2)),
        ((50, 50, 40, 40, 0.5), (52, 51, 10, 10, -0.7), 100 / 1600),
        ((50, 50, 20, 10, 0.0), (60, 50, 20, 10, 0.0), 1 / 3),
        ((50, 50, 20, 10, 0.0), (70, 50, 20, 10, 0.0), 0.0),
        ((50, 50, 20, 10, 0.0), (50, 90, 20, 10, 0.4), 0.0),
    ],
)
def test_iou_of_boxes_that_touch_cross_and_hold_one_another(
    first: tuple[float, ...], second: tuple[float, ...], expected: float
) -> None:
    """Two squares at 45 degrees share a regular octagon: its area is 2 (sqrt 2 - 1) of theirs, so the IoU is
    1 / sqrt 2; the others are counted by hand."""
    a, b = torch.tensor([first]), torch.tensor([second])
    assert float(rotated_iou(a, b)) == pytest.approx(expected, abs=1e-5)
    assert float(rotated_iou(b, a)) == pytest.approx(expected, abs=1e-5)


def test_overlaps_above_the_least_are_kept_as_they_are() -> None:
    first, second = random_boxes(80, 6, 60.0), random_boxes(80, 7, 60.0)
    whole, some = rotated_iou(first, second), rotated_iou(first, second, least=0.3)
    large = whole >= 0.3
    assert large.sum() > 20
    assert torch.equal(whole[large], some[large])
    assert (some[~large] <= whole[~large]).all()
    assert (some == 0).sum() > (whole == 0).sum()


def test_nms_at_angle_0_is_torchvisions() -> None:
    boxes = random_boxes(200, 8)
    boxes[:, 4] = 0
    scores = torch.rand(200, generator=torch.Generator().manual_seed(0))
    kept = rotated_nms(boxes, scores, 0.3)
    assert 20 < len(kept) < 180
    assert torch.equal(kept, nms(upright_corners(boxes), scores, 0.3))


def test_nms_of_rotated_boxes_is_the_plain_loops() -> None:
    boxes = random_boxes(150, 9, 60.0)
    scores = torch.rand(150, generator=torch.Generator().manual_seed(1))
    overlap, kept = by_shapely(boxes, boxes), []
    for index in scores.argsort(descending=True).tolist():
        if all(overlap[index, other] <= 0.4 for other in kept):
            kept.append(index)
    assert 20 < len(kept) < 130
    assert rotated_nms(boxes, scores, 0.4).tolist() == kept


def test_a_dropped_box_drops_no_other_one() -> None:
    """Three boxes in a row: the second one overlaps both others and is dropped by the first; the third one stays."""
    boxes = torch.tensor([[0.0, 0, 20, 10, 0], [8.0, 0, 20, 10, 0], [16.0, 0, 20, 10, 0]])
    assert rotated_nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.4).tolist() == [0, 2]


def test_no_boxes() -> None:
    none = torch.zeros(0, 5)
    assert rotated_nms(none, torch.zeros(0), 0.5).tolist() == []
    assert rotated_iou(none, random_boxes(3, 0)).shape == (0, 3)
