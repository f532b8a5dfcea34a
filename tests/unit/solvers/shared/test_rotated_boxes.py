"""Rotated anchors and the differences of boxes from them."""

from __future__ import annotations

import math

import pytest
import torch

from aasce.solvers.shared.rotated_boxes import RotatedCoder, rotated_anchors, wrapped
from tests.unit.solvers.shared.test_rotated import random_boxes


def test_anchors_of_5_scales_3_ratios_and_3_angles() -> None:
    scales, ratios, angles = (16.0, 24.0, 32.0, 40.0, 48.0), (1.0, 2.0, 4.0), (-0.5, 0.0, 0.5)
    anchors = rotated_anchors((3, 2), 8, scales, ratios, angles)
    assert anchors.shape == (3 * 2 * 45, 5)
    # The middles of cells of 8 px whose first px has its centre at 0.
    assert anchors[0, :2].tolist() == [3.5, 3.5]
    assert anchors[45, :2].tolist() == [11.5, 3.5]
    assert anchors[90, :2].tolist() == [3.5, 11.5]
    one = anchors[:45]
    assert sorted({round(v, 3) for v in (one[:, 2] * one[:, 3]).sqrt().tolist()}) == list(scales)
    assert sorted({round(v, 3) for v in (one[:, 2] / one[:, 3]).tolist()}) == list(ratios)
    assert one[:3, 4].tolist() == list(angles)


def test_encode_and_decode_are_inverse() -> None:
    boxes, anchors = random_boxes(50, 0), random_boxes(50, 1)
    coder = RotatedCoder((10.0, 10.0, 5.0, 5.0, 3.0))
    torch.testing.assert_close(coder.decode(coder.encode(boxes, anchors), anchors), boxes, atol=1e-3, rtol=0)


def test_differences_are_along_the_anchors_own_axes() -> None:
    """An anchor on its side, its width down the film: a shift down is one along its width."""
    anchor = torch.tensor([[50.0, 50.0, 20.0, 10.0, math.pi / 2 - 1e-6]])
    box = torch.tensor([[50.0, 54.0, 40.0, 10.0, math.pi / 2 - 0.1]])
    found = RotatedCoder((1.0, 1.0, 1.0, 1.0, 1.0)).encode(box, anchor)
    torch.testing.assert_close(found, torch.tensor([[0.2, 0.0, math.log(2), 0.0, -0.1]]), atol=1e-4, rtol=0)


def test_rotations_stay_within_half_a_turn() -> None:
    theta = torch.tensor([-math.pi / 2, 1.5, 1.7, -1.7, 3.2])
    expected = [-math.pi / 2, 1.5, 1.7 - math.pi, math.pi - 1.7, 3.2 - math.pi]
    assert wrapped(theta).tolist() == pytest.approx(expected, abs=1e-6)
    anchor, box = torch.tensor([[0.0, 0, 10, 5, 1.5]]), torch.tensor([[0.0, 0, 10, 5, -1.5]])
    turn = RotatedCoder((1.0, 1.0, 1.0, 1.0, 1.0)).encode(box, anchor)[0, 4]
    assert float(turn) == pytest.approx(math.pi - 3.0, abs=1e-5)  # the short way, over 90 degrees


def test_gradients_of_the_coder() -> None:
    coder = RotatedCoder()
    boxes, anchors = random_boxes(6, 2).double(), random_boxes(6, 3).double()
    deltas = (torch.rand(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.5) * 2
    assert torch.autograd.gradcheck(lambda d: coder.decode(d, anchors), deltas.requires_grad_())
    assert torch.autograd.gradcheck(lambda b: coder.encode(b, anchors), boxes.requires_grad_())
