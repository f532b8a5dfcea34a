"""vertebra_field: targets meet votes, samples are repeatable, passes are joined."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aasce.geometry.cobb import tilts
from aasce.solvers.vertebra_field.films import FieldSample
from aasce.solvers.vertebra_field.inference import merge_candidates
from aasce.solvers.vertebra_field.network import (
    UNIT,
    VertebraFieldNet,
    centres_of_cells,
    field_losses,
    to_field,
)
from aasce.solvers.vertebra_field.settings import AugmentSettings, BackgroundSettings, LossSettings
from aasce.solvers.vertebra_field.solver import VertebraFieldSolver
from aasce.solvers.vertebra_field.task import FieldSampler
from aasce.targets.field import (
    LEVELS,
    STRIDE,
    Candidates,
    choose_column,
    encode_members,
    gather_votes,
)
from aasce.types import Radiograph
from tests.conftest import straight_spine

SIZE = (960, 416)


def perfect_maps(landmarks: np.ndarray) -> dict[str, torch.Tensor]:
    """Raw maps of a network that has learned `landmarks` by heart."""
    members = torch.from_numpy(encode_members(landmarks, SIZE)).long()
    shape = members.shape
    cell = centres_of_cells(torch.zeros(1, 1, *shape))
    corners = torch.from_numpy(landmarks).float()[members.clamp(min=0)]
    levels = torch.full((LEVELS, *shape), -10.0)
    for v in range(LEVELS):
        levels[v][members == v] = 10.0
    return {
        "objectness": torch.where(members >= 0, 12.0, -12.0)[None, None],
        "levels": levels[None],
        "centre": ((corners.mean(2) - cell) / UNIT).permute(2, 0, 1)[None],
        "corners": ((corners - cell[:, :, None]) / UNIT).permute(2, 3, 0, 1).reshape(1, 8, *shape),
        "weight": torch.zeros(1, 4, *shape),
        "spread": torch.zeros(1, 4, *shape),
    }


def test_the_loss_vanishes_on_perfect_maps_and_they_decode_to_the_truth() -> None:
    spine = straight_spine(tilt=15 * np.sin(np.linspace(0, 6, 17)))
    maps = perfect_maps(spine)
    members = torch.from_numpy(encode_members(spine, SIZE)).long()[None]
    losses = field_losses(maps, members, torch.from_numpy(spine).float()[None], LossSettings())
    for term in ("objectness", "votes", "corners", "tilt"):
        assert float(losses[term]) == pytest.approx(0.0, abs=1e-3), term
    column = choose_column(gather_votes(to_field(maps, 0)))
    assert column is not None
    np.testing.assert_allclose(column.corners, spine, atol=0.01)


def test_a_turned_vertebra_costs_its_sine() -> None:
    spine = straight_spine()
    turned = straight_spine(tilt=np.full(17, 10.0))
    members = torch.from_numpy(encode_members(spine, SIZE)).long()[None]
    maps = perfect_maps(spine)
    losses = field_losses(maps, members, torch.from_numpy(turned).float()[None], LossSettings())
    assert float(losses["tilt"]) == pytest.approx(np.sin(np.radians(10.0)), abs=1e-3)


def test_a_narrow_box_does_not_make_a_tilt_cheaper() -> None:
    spine = straight_spine()
    maps = perfect_maps(spine)
    arms = maps["corners"].view(1, 4, 2, *maps["corners"].shape[2:]) - maps["centre"][:, None]
    arms[:, :, 0] *= 0.7
    maps["corners"] = (maps["centre"][:, None] + arms).flatten(1, 2)
    members = torch.from_numpy(encode_members(spine, SIZE)).long()[None]
    turned = torch.from_numpy(straight_spine(tilt=np.full(17, 10.0))).float()[None]
    losses = field_losses(maps, members, turned, LossSettings())
    assert float(losses["tilt"]) == pytest.approx(np.sin(np.radians(10.0)), abs=1e-3)


def unsure_maps(landmarks: np.ndarray, seed: int = 0) -> dict[str, torch.Tensor]:
    """Maps of a network that finds `landmarks` roughly: votes scatter, weights differ, the outlines are blurred."""
    maps = perfect_maps(landmarks)
    rng = torch.Generator().manual_seed(seed)
    for name, spread in (("corners", 0.3), ("weight", 1.0), ("spread", 0.3)):
        maps[name] = maps[name] + spread * torch.randn(maps[name].shape, generator=rng)
    blurred = torch.nn.functional.avg_pool2d(maps["objectness"], 5, stride=1, padding=2)
    cell = centres_of_cells(maps["centre"])
    middles = torch.from_numpy(landmarks).float().mean(1)
    nearest = middles[(cell[:, :, None] - middles).norm(dim=-1).argmin(-1)]
    corners = torch.from_numpy(landmarks).float()[(cell[:, :, None] - middles).norm(dim=-1).argmin(-1)]
    maps["centre"] = ((nearest - cell) / UNIT).permute(2, 0, 1)[None]
    maps["corners"] = maps["corners"] - perfect_maps(landmarks)["corners"]
    maps["corners"] += (
        ((corners - cell[:, :, None]) / UNIT).permute(2, 3, 0, 1).reshape(maps["corners"].shape)
    )
    return maps | {"objectness": blurred}


def test_the_loss_is_that_of_the_decoded_corners() -> None:
    spine = straight_spine(tilt=12 * np.sin(np.linspace(0, 6, 17)))
    maps = unsure_maps(spine)
    members = torch.from_numpy(encode_members(spine, SIZE)).long()[None]
    losses = field_losses(maps, members, torch.from_numpy(spine).float()[None], LossSettings())
    found = gather_votes(to_field(maps, 0))
    order = np.argsort(found.corners.mean(axis=1)[:, 1])
    lean = np.radians(tilts(found.corners[order]) - tilts(spine))
    assert len(order) == LEVELS
    assert np.abs(lean).mean() > 1e-3
    assert float(losses["tilt"]) == pytest.approx(np.abs(np.sin(lean)).mean(), rel=0.05)


def test_the_label_s_outline_does_not_choose_the_votes_of_a_landmark() -> None:
    # The cells of a tilted outline lie tilted: gathered by the labels, any votes would lean with them.
    straight, leaning = straight_spine(), straight_spine(tilt=np.full(17, 12.0))
    maps = unsure_maps(straight)
    truth = torch.from_numpy(leaning).float()[None]
    with_outline, without = (
        field_losses(maps, torch.from_numpy(encode_members(s, SIZE)).long()[None], truth, LossSettings())
        for s in (leaning, straight)
    )
    for term in ("corners", "tilt", "spread"):
        assert float(with_outline[term]) == float(without[term]), term
    assert float(with_outline["tilt"]) == pytest.approx(np.sin(np.radians(12.0)), rel=0.1)


def test_a_loss_of_nothing_found_is_a_number() -> None:
    maps = perfect_maps(straight_spine())
    maps["objectness"] = torch.full_like(maps["objectness"], -12.0)
    members = torch.from_numpy(encode_members(straight_spine(), SIZE)).long()[None]
    losses = field_losses(maps, members, torch.from_numpy(straight_spine()).float()[None], LossSettings())
    assert all(torch.isfinite(term) for term in losses.values())


def make_sample() -> FieldSample:
    spine = straight_spine(tilt=np.linspace(-10, 10, 17))
    film = np.random.default_rng(0).integers(0, 60, (960, 420), dtype=np.uint8)
    for quad in spine:
        left, top = quad.min(axis=0).astype(int)
        right, bottom = quad.max(axis=0).astype(int)
        film[top:bottom, left:right] = 200
    return FieldSample(film, spine)


@pytest.mark.parametrize("fine", [True, False])
def test_a_sample_depends_on_its_seed_alone_and_its_corners_on_the_film(fine: bool) -> None:
    config = VertebraFieldSolver.Config.tiny().model_copy(
        update={
            "augment": AugmentSettings(intensity=0.0),
            "backgrounds": BackgroundSettings(sample_share=1.0),
        }
    )
    behind = np.full((640, 300), 90, np.uint8)
    sampler = FieldSampler(config, [make_sample()], [behind])
    first, again, other = (sampler.draw(0, fine, np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(first["image"], again["image"])
    np.testing.assert_array_equal(first["corners"], again["corners"])
    assert not np.array_equal(first["corners"], other["corners"])
    members = first["members"]
    height, width = first["image"].shape[1:]
    assert members.shape == (height // STRIDE, width // STRIDE)
    bright = first["image"][0][STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
    assert np.median(bright[members >= 0]) > np.median(bright[members < 0])
    corners = first["corners"]
    assert (corners[:, 0, 0] < corners[:, 1, 0]).all()


def one_candidate(x: float, mass: float, spread: float) -> Candidates:
    quad = np.array([[-20, -10], [20, -10], [-20, 10], [20, 10]]) + np.array([x, 50.0])
    return Candidates(
        quad[None].astype(float), np.zeros((1, LEVELS)), np.array([mass]), np.full((1, 4), spread)
    )


def test_passes_are_joined_by_inverse_variance() -> None:
    joined = merge_candidates([one_candidate(100.0, 1.0, 1.0), one_candidate(103.0, 1.0, 2.0)])
    # Weights 1 and 1/4: (100 + 103 / 4) / 1.25 = 100.6.
    assert joined.corners.mean() == pytest.approx((100.6 + 50) / 2)
    assert joined.mass[0] == pytest.approx(1.0)


def test_a_candidate_of_one_of_two_passes_weighs_half() -> None:
    empty = Candidates(np.zeros((0, 4, 2)), np.zeros((0, LEVELS)), np.zeros(0), np.zeros((0, 4)))
    assert merge_candidates([one_candidate(100.0, 0.8, 1.0), empty]).mass[0] == pytest.approx(0.4)


def test_weights_stay_under_the_size_that_is_shipped() -> None:
    net = VertebraFieldNet(VertebraFieldSolver.Config().network, LossSettings())
    half_bytes = 2 * sum(v.numel() for v in net.state_dict().values())
    assert half_bytes < 8e6


def test_a_blank_film_is_a_failure_with_its_reason() -> None:
    film = Radiograph("blank", np.zeros((400, 200), np.uint8))
    found = VertebraFieldSolver(VertebraFieldSolver.Config.tiny()).predict([film])[0]
    assert found.failure is not None
    assert "blank" in found.failure
    assert found.landmarks is None
