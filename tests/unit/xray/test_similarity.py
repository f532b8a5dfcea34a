"""Normalised gradient correlation: its fixed points, its invariances, its gradient."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from aasce.xray.similarity import (
    local_gradient_correlation,
    multiscale_gradient_correlation,
    normalised_gradient_correlation,
)


def image(seed: int, *batch: int) -> torch.Tensor:
    return torch.rand(*batch, 24, 20, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def local(first: torch.Tensor, second: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    return local_gradient_correlation(first, second, 6, 2, weight)


@pytest.mark.parametrize("measure", [normalised_gradient_correlation, multiscale_gradient_correlation, local])
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


def test_windows_do_not_hear_what_is_loud_elsewhere() -> None:
    one = image(8)
    other = one.clone()
    other[:6] = 100 * image(9)[:6]
    assert float(multiscale_gradient_correlation(one, other)) < 0.2
    assert float(local(one, other)) > 0.5
    below = torch.zeros_like(one)
    below[9:] = 1.0
    assert float(local(one, other, below)) == pytest.approx(1.0)
    # The second image is constant: correlation zero, and a gradient that is finite.
    flat = torch.zeros_like(one).requires_grad_()
    value = local(one, flat)
    value.backward()
    assert float(value.detach()) == 0.0
    assert flat.grad is not None
    assert flat.grad.isfinite().all()


def test_batch_equals_one_by_one() -> None:
    first, second = image(4, 3), image(5, 3)
    together = multiscale_gradient_correlation(first, second)
    assert together.shape == (3,)
    for index in range(3):
        assert float(together[index]) == pytest.approx(
            float(multiscale_gradient_correlation(first[index], second[index]))
        )


@pytest.mark.parametrize("measure", [multiscale_gradient_correlation, local])
def test_gradient(measure: Callable[..., torch.Tensor]) -> None:
    target = image(6)
    moving = image(7).requires_grad_()
    assert torch.autograd.gradcheck(lambda moved: measure(moved, target), (moving,))
