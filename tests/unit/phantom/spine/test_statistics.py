"""The chain of frames, and spines that vary like scanned ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aasce.phantom.spine.curves import draw_spine
from aasce.phantom.spine.pose import LEVELS, axis_rotation, pose_from_angles
from aasce.phantom.spine.statistics import average_pose, correlated, scan_statistics


def angles_of(axis: torch.Tensor) -> tuple[float, float]:
    x, y, z = (float(v) for v in axis)
    return float(np.degrees(np.arctan2(x, z))), float(np.degrees(np.arctan2(y, z)))


class TestAxisRotation:
    def test_leans_as_asked_on_both_views(self) -> None:
        turned = axis_rotation(torch.tensor([12.0]), torch.tensor([-25.0]), torch.tensor([30.0]))[0]
        assert angles_of(turned[:, 2]) == pytest.approx((12.0, -25.0), abs=1e-4)

    def test_is_a_rotation(self) -> None:
        turned = axis_rotation(torch.tensor([40.0]), torch.tensor([20.0]), torch.tensor([-50.0]))[0].double()
        assert torch.allclose(turned.T @ turned, torch.eye(3, dtype=torch.float64), atol=1e-6)
        assert torch.linalg.det(turned).item() == pytest.approx(1, abs=1e-6)

    def test_a_positive_axial_angle_turns_the_front_to_the_left(self) -> None:
        turned = axis_rotation(torch.zeros(1), torch.zeros(1), torch.tensor([90.0]))[0]
        assert turned[:, 1].tolist() == pytest.approx([-1, 0, 0], abs=1e-6)


class TestPoseFromAngles:
    def test_spacing_is_kept(self) -> None:
        steps = (average_pose().centre[:-1] - average_pose().centre[1:]).norm(dim=1).numpy()
        assert steps == pytest.approx(scan_statistics().spacing_mean)

    def test_the_origin_is_the_upper_endplate_of_the_sacrum(self) -> None:
        pose = average_pose(1.2)
        top = pose.place("S1", torch.tensor([[0.0, 0.0, 15.0]]))
        assert top[0].tolist() == pytest.approx([0, 0, 0], abs=1e-9)

    def test_a_level_tilts_as_asked(self) -> None:
        coronal = torch.zeros(25, dtype=torch.float64)
        coronal[12] = 17.0
        mean = torch.as_tensor(scan_statistics().sagittal_mean)
        pose = pose_from_angles(torch.full((24,), 25.0, dtype=torch.float64), coronal, mean, 0 * coronal)
        assert angles_of(pose.rotation[12, :, 2])[0] == pytest.approx(17)

    def test_gradients_reach_every_number(self) -> None:
        numbers = [torch.full((n,), v, dtype=torch.float64, requires_grad=True) for n, v in
                   ((24, 25.0), (25, 3.0), (24, 5.0), (25, 2.0))]  # fmt: skip
        pose = pose_from_angles(*numbers)
        (pose.rotation[:, 0].sum() + pose.centre.sum()).backward()
        assert all(n.grad is not None and (n.grad != 0).any() for n in numbers)


def test_correlation_falls_to_zero_at_its_reach() -> None:
    rng = np.random.default_rng(0)
    draws = np.stack([correlated(rng, 12, 6) for _ in range(20000)])
    found = np.corrcoef(draws.T)[0]
    assert found[1] == pytest.approx(5 / 6, abs=0.03)
    assert found[3] == pytest.approx(0.5, abs=0.03)
    assert found[7] == pytest.approx(0, abs=0.03)
    assert draws.std() == pytest.approx(1, abs=0.02)


def test_spacing_of_drawn_adults_follows_the_scans() -> None:
    rng = np.random.default_rng(1)
    poses = [draw_spine(rng, float(rng.uniform(0, 8))).pose() for _ in range(300)]
    centre = np.stack([pose.centre.numpy() for pose in poses])
    spacing = np.linalg.norm(np.diff(centre, axis=1), axis=2)
    real = scan_statistics()
    seen = real.count >= 100
    assert seen.sum() == 17
    assert np.abs(spacing.mean(axis=0) - real.spacing_mean)[seen].max() < 1.0
    ratio = spacing.std(axis=0, ddof=1)[seen] / real.spacing_sd[seen]
    assert ratio.min() > 0.7
    assert ratio.max() < 1.3


def test_levels_are_25_from_the_top() -> None:
    assert (len(LEVELS), LEVELS[0], LEVELS[7], LEVELS[23], LEVELS[24]) == (25, "C1", "T1", "L5", "S1")
