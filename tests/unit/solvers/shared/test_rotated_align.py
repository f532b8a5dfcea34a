"""Rotated ROI align, against torchvision at angle 0 and against the rotated image."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from torchvision.ops import roi_align

from aasce.preprocess.crop import similarity
from aasce.solvers.shared.rotated_align import rotated_roi_align
from tests.unit.solvers.shared.test_rotated import random_boxes, upright_corners


@pytest.mark.parametrize(("stride", "sampling"), [(1, 1), (4, 2), (8, 3)])
def test_at_angle_0_it_is_torchvisions(stride: int, sampling: int) -> None:
    """Boxes inside, across the edges of and outside the map."""
    maps = torch.rand(2, 3, 24, 16, generator=torch.Generator().manual_seed(0))
    boxes = [random_boxes(40, seed, 28.0 * stride) for seed in (1, 2)]
    for part in boxes:
        part[:, :2] -= 2 * stride
        part[:, 4] = 0
    theirs = [upright_corners(part) + 0.5 for part in boxes]  # they count px from the outer edge
    expected = roi_align(maps, theirs, (5, 7), 1 / stride, sampling, aligned=True)
    assert (expected == 0).all(dim=3).any()
    found = rotated_roi_align(maps, boxes, (5, 7), stride, sampling)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("degrees", [30.0, -55.0, 89.0])
def test_a_rotated_box_gives_what_the_rotated_image_shows_upright(degrees: float) -> None:
    """The image is rotated about the box's middle against the box's rotation, and cut upright."""
    noise = np.random.default_rng(0).normal(size=(120, 120)).astype(np.float32)
    image = cv2.GaussianBlur(noise, (0, 0), 5)
    image /= image.std()
    middle = np.array([57.0, 62.0])
    turned = similarity(middle, 1.0, -degrees, (120, 120), middle).render(image)
    box = torch.tensor([[57.0, 62.0, 40.0, 24.0, math.radians(degrees)]])
    upright = torch.tensor([[57.0, 62.0, 40.0, 24.0, 0.0]])
    found = rotated_roi_align(torch.from_numpy(image)[None, None], [box], (12, 20), 1)
    expected = rotated_roi_align(torch.from_numpy(np.asarray(turned))[None, None], [upright], (12, 20), 1)
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0)
    other = rotated_roi_align(torch.from_numpy(image)[None, None], [upright], (12, 20), 1)
    assert (other - expected).abs().max() > 0.5


def test_a_ramp_is_read_where_the_box_lies() -> None:
    """A map that holds its own x: turned by 90 degrees clockwise, the box's width runs down, its height to the left."""
    ramp = torch.arange(30.0).expand(1, 1, 30, 30).contiguous()
    box = torch.tensor([[12.0, 15.0, 8.0, 4.0, math.pi / 2]])
    found = rotated_roi_align(ramp, [box], (4, 2), 1)[0, 0]
    torch.testing.assert_close(found[:, 0], torch.tensor([13.5, 12.5, 11.5, 10.5]), atol=1e-4, rtol=0)
    torch.testing.assert_close(found[:, 0], found[:, 1], atol=1e-4, rtol=0)


def test_films_keep_their_own_boxes() -> None:
    maps = torch.stack([torch.full((1, 9, 9), float(k)) for k in (1, 2, 3)])
    box = torch.tensor([[4.0, 4.0, 4.0, 4.0, 0.2]])
    found = rotated_roi_align(maps, [box, torch.zeros(0, 5), torch.cat([box, box])], (2, 2), 1)
    assert found.mean(dim=(1, 2, 3)).tolist() == pytest.approx([1.0, 3.0, 3.0])
    assert rotated_roi_align(maps, [torch.zeros(0, 5)] * 3, (2, 2), 1).shape == (0, 1, 2, 2)


def test_gradients_in_the_features() -> None:
    maps = torch.rand(2, 2, 6, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    boxes = [
        torch.tensor([[4.0, 5.0, 6.0, 4.0, 0.5]]).double(),
        torch.tensor([[0.0, 9.0, 5.0, 5.0, -1.0]]).double(),
    ]
    assert torch.autograd.gradcheck(
        lambda m: rotated_roi_align(m, boxes, (3, 4), 2, 2), maps.requires_grad_()
    )
