"""Normalised gradient correlation: its fixed points, its invariances, its gradient."""

from __future__ import annotations

import pytest
import torch

from aasce.xray.similarity import multiscale_gradient_correlation, normalised_gradient_correlation


def image(seed: int, *lead: int) -> torch.Tensor:
    return torch.rand(*lead, 24, 20, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("measure", [normalised_gradient_correlation, multiscale_gradient_correlation])
def test_equal_images_correlate_fully_whatever_their_contrast(measure: object) -> None:
    one = image(0)
    assert float(measure(one, one)) == pytest.approx(1.0)  # type: ignore[operator]
    assert float(measure(one, 3.0 * one + 7.0)) == pytest.approx(1.0)  # type: ignore[operator]
    assert float(measure(one, -one)) == pytest.approx(-1.0)  # type: ignore[operator]


def test_unrelated_and_constant_images() -> None:
    assert abs(float(normalised_gradient_correlation(image(0), image(1)))) < 0.2
    flat = torch.zeros(24, 20, dtype=torch.float64, requires_grad=True)
    value = normalised_gradient_correlation(flat, image(1))
    assert float(value.detach()) == 0.0
    value.backward()
    assert flat.grad is not None
    assert flat.grad.isfinite().all()


def test_perpendicular_ramps_by_hand() -> None:
    # x^2 and y^2 vary in different directions only: each correlation has one constant side, so the mean is 0; x^2
    # against x^2 + y^2 agrees across (1) and has a constant side along (0), so the mean is 1/2.
    y, x = torch.meshgrid(torch.arange(9.0), torch.arange(9.0), indexing="ij")
    assert float(normalised_gradient_correlation(x**2, y**2)) == pytest.approx(0.0, abs=1e-6)
    assert float(normalised_gradient_correlation(x**2, x**2 + y**2)) == pytest.approx(0.5, abs=1e-6)


def test_weight_leaves_out_what_differs() -> None:
    one = image(2)
    other = one.clone()
    other[:, 12:] = image(3)[:, 12:]
    weight = torch.zeros_like(one)
    weight[:, :11] = 1.0
    assert float(normalised_gradient_correlation(one, other)) < 0.9
    assert float(normalised_gradient_correlation(one, other, weight)) == pytest.approx(1.0)


def test_batch_equals_one_by_one() -> None:
    first, second = image(4, 3), image(5, 3)
    together = multiscale_gradient_correlation(first, second)
    assert together.shape == (3,)
    for index in range(3):
        assert float(together[index]) == pytest.approx(
            float(multiscale_gradient_correlation(first[index], second[index]))
        )


def test_gradient() -> None:
    target = image(6)
    moving = image(7).requires_grad_()
    assert torch.autograd.gradcheck(lambda moved: multiscale_gradient_correlation(moved, target), (moving,))
