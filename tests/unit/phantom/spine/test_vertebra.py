"""Vertebrae: closed surfaces of the right sizes, deformed according to their records."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from aasce.phantom.spine.ageing import GENANT
from aasce.phantom.spine.anthropometry import means
from aasce.phantom.spine.pose import LEVELS
from aasce.phantom.spine.statistics import average_pose
from aasce.phantom.spine.templates import template
from aasce.phantom.spine.vertebra import VertebraModel, VertebraShape, build_vertebra, draw_shape, draw_shapes
from aasce.types import VERTEBRAE, AasceError

Floats = NDArray[np.float64]
FEATURED = ("C5", "T2", "T7", "T12", "L3", "S1")


def model(level: str, shape: VertebraShape | None = None) -> VertebraModel:
    return build_vertebra(level, shape, dtype=torch.float64)


def volume(vertices: torch.Tensor, faces: torch.Tensor) -> float:
    """Signed volume of a closed mesh: tetrahedra with the origin."""
    a, b, c = vertices[faces].double().unbind(1)
    return float((a * torch.linalg.cross(b, c)).sum() / 6)


def assert_closed(faces: torch.Tensor) -> None:
    """Every edge is used once in each direction."""
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    key = edges[:, 0] * 100_000 + edges[:, 1]
    back = edges[:, 1] * 100_000 + edges[:, 0]
    assert len(torch.unique(key)) == len(key)
    assert torch.equal(torch.sort(key).values, torch.sort(back).values)


def angle(points: dict[str, torch.Tensor], ends: tuple[str, str], axis: int) -> float:
    """Degrees between the upper and the lower endplate along an axis, positive when the first end is taller."""
    slopes = []
    for plate in ("superior", "inferior"):
        d = points[f"{plate}_{ends[0]}"] - points[f"{plate}_{ends[1]}"]
        slopes.append(math.degrees(math.atan(float(d[2] / d[axis]))))
    return slopes[0] - slopes[1]


def height(points: dict[str, torch.Tensor], place: str) -> float:
    return float((points[f"superior_{place}"] - points[f"inferior_{place}"])[2])


@pytest.mark.parametrize("level", LEVELS)
def test_surfaces_are_closed_oriented_outwards_and_nested(level: str) -> None:
    one = model(level)
    assert_closed(one.faces)
    outside, inside = volume(one.outer, one.faces), volume(one.marrow, one.faces)
    assert 0.3 * outside < inside < outside
    assert len(one.faces) <= (2500 if level == "S1" else 1650)


@pytest.mark.parametrize("level", VERTEBRAE)
def test_film_corners_measure_the_mean_sizes(level: str) -> None:
    points, size = model(level).points, means()[level]
    for plate, width, depth in (
        ("superior", size.upper_width, size.upper_depth),
        ("inferior", size.lower_width, size.lower_depth),
    ):
        assert float((points[f"{plate}_right"] - points[f"{plate}_left"])[0]) == pytest.approx(
            width, rel=0.03
        )
        assert float((points[f"{plate}_front"] - points[f"{plate}_back"])[1]) == pytest.approx(
            depth, rel=0.03
        )
    assert height(points, "front") == pytest.approx(size.front_height, rel=0.03)
    assert height(points, "back") == pytest.approx(size.back_height, rel=0.03)
    span = float((points["right_transverse_tip"] - points["left_transverse_tip"])[0])
    assert span == pytest.approx(size.transverse_span, rel=0.03)


@pytest.mark.parametrize("level", VERTEBRAE)
def test_film_corners_lie_on_the_surface_at_the_edge_of_the_body(level: str) -> None:
    one = model(level)
    depth = means()[level].depth
    body = one.outer[(one.outer[:, 1].abs() < 0.3 * depth)]
    for name in ("superior_right", "inferior_right"):
        point = one.points[name]
        a, b, c = one.outer[one.faces].unbind(1)
        normal = torch.linalg.cross(b - a, c - a)
        normal = normal / normal.norm(dim=1, keepdim=True)
        near = ((a + b + c) / 3 - point).norm(dim=1) < 6
        assert float(((point - a) * normal).sum(1).abs()[near].min()) < 0.15
        waist = body[(body[:, 2].abs() < 2) & (body[:, 0] > 0)][:, 0]
        assert float(point[0]) > float(waist[waist < 0.56 * means()[level].lower_width].median())


@pytest.mark.parametrize("level", LEVELS)
def test_the_mean_shape_is_symmetric(level: str) -> None:
    one, twin = model(level), torch.as_tensor(template(level).mirror)
    flip = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    for vertices in (one.outer, one.marrow):
        torch.testing.assert_close(vertices[twin] * flip, vertices, atol=1e-9, rtol=0)
    for name in one.points:
        if "right" in name:
            torch.testing.assert_close(one.points[name.replace("right", "left")] * flip, one.points[name])


@pytest.mark.parametrize("level", ["T2", "T7", "L3"])
@pytest.mark.parametrize("degrees", [-12.0, 5.0, 20.0])
def test_wedging_is_the_angle_between_the_endplates(level: str, degrees: float) -> None:
    sized = VertebraShape(width=1.1, depth=0.93, height=1.07)
    before = model(level, sized).points
    coronal = model(level, sized.model_copy(update={"coronal_wedging": degrees})).points
    assert angle(coronal, ("right", "left"), 0) == pytest.approx(degrees, abs=1e-3)
    sagittal = model(level, sized.model_copy(update={"sagittal_wedging": degrees})).points
    assert angle(sagittal, ("front", "back"), 1) - angle(before, ("front", "back"), 1) == pytest.approx(
        degrees, abs=1e-3
    )


def test_factors_scale_the_body() -> None:
    mean, large = model("T7"), model("T7", VertebraShape(width=1.2, depth=0.9, height=1.1))
    ratio = torch.tensor([1.2, 0.9, 1.1], dtype=torch.float64)
    torch.testing.assert_close(large.outer, mean.outer * ratio)


@pytest.mark.parametrize("grade", [1, 2, 3])
@pytest.mark.parametrize(("kind", "place"), [("wedge", "front"), ("biconcave", "centre"), ("crush", "back")])
def test_a_fracture_loses_the_height_of_its_grade_where_its_type_says(
    grade: int, kind: str, place: str
) -> None:
    low, high = GENANT[grade]
    loss = (low + min(high, 0.6)) / 2
    whole = model("T12").points
    shape = VertebraShape.model_validate(
        {"fracture_grade": grade, "fracture_type": kind, "fracture_loss": loss}
    )
    broken = model("T12", shape).points
    lost = 1 - height(broken, place) / height(whole, place)
    assert low <= lost <= high
    assert lost == pytest.approx(loss, abs=0.03)
    if kind == "wedge":
        assert height(broken, "back") == pytest.approx(height(whole, "back"), rel=0.02)


def test_a_loss_outside_its_grade_is_refused() -> None:
    with pytest.raises(ValueError, match="grade 1 loses 20% to 25%"):
        VertebraShape(fracture_grade=1, fracture_loss=0.5)


def test_osteophytes_widen_the_rim_on_their_side_only() -> None:
    before, after = model("L3").points, model("L3", VertebraShape(lip_superior_right=4.0)).points
    assert 2.0 < float((after["superior_right"] - before["superior_right"])[0]) <= 4.2
    torch.testing.assert_close(after["superior_left"], before["superior_left"])
    torch.testing.assert_close(after["inferior_right"], before["inferior_right"])


def test_processes_and_pedicles_follow_their_numbers() -> None:
    before = model("T7")
    after = model("T7", VertebraShape(spinous_length=1.2, spinous_deviation=10.0, transverse_right=0.8))
    way = (before.points["spinous_tip"] - before.points["spinous_base"])[1:]
    moved = after.points["spinous_tip"] - before.points["spinous_tip"]
    np.testing.assert_allclose(moved[1:], 0.2 * way, atol=0.02 * float(way.norm()))
    assert float(moved[0]) == pytest.approx(math.tan(math.radians(10)) * float(way.norm()), rel=0.1)
    assert (
        float(after.points["right_transverse_tip"][0]) < float(before.points["right_transverse_tip"][0]) - 2
    )
    torch.testing.assert_close(after.points["left_transverse_tip"], before.points["left_transverse_tip"])
    thick = model("T7", VertebraShape(pedicle_right=1.4))
    assert volume(thick.outer, thick.faces) > volume(before.outer, before.faces) + 20


def test_thin_cortex_leaves_more_marrow() -> None:
    thick, thin = model("L3"), model("L3", VertebraShape(cortex=0.5))
    assert volume(thin.marrow, thin.faces) > 1.03 * volume(thick.marrow, thick.faces)
    torch.testing.assert_close(thin.outer, thick.outer)


@pytest.mark.parametrize("level", FEATURED)
@pytest.mark.parametrize("age", [None, 14.0, 85.0])
def test_draws_stay_closed_positive_and_nested(level: str, age: float | None) -> None:
    rng = np.random.default_rng(7)
    for _ in range(8):
        one = build_vertebra(level, draw_shape(level, rng, age, spread=1.3))
        outside, inside = volume(one.outer, one.faces), volume(one.marrow, one.faces)
        assert torch.isfinite(one.outer).all()
        assert 0.3 * outside < inside < outside


def test_one_seed_gives_one_spine() -> None:
    first, second = (draw_shapes(np.random.default_rng(3), age=70.0) for _ in range(2))
    other = draw_shapes(np.random.default_rng(4), age=70.0)
    assert first == second
    assert first != other
    for level in FEATURED:
        assert torch.equal(
            build_vertebra(level, first[level]).marrow, build_vertebra(level, second[level]).marrow
        )


def test_a_record_survives_being_written() -> None:
    shape = draw_shape("T9", np.random.default_rng(0), age=80.0)
    assert VertebraShape.model_validate_json(shape.model_dump_json()) == shape


def test_no_spread_is_the_mean_shape() -> None:
    one = build_vertebra("L2", draw_shape("L2", np.random.default_rng(0), spread=0.0))
    torch.testing.assert_close(one.outer, build_vertebra("L2").outer)


@pytest.mark.parametrize(
    "name",
    [
        "width",
        "depth",
        "height",
        "coronal_wedging",
        "sagittal_wedging",
        "waist",
        "lip_superior_left",
        "spinous_drop",
    ],
)
def test_gradients_agree_with_differences(name: str) -> None:
    start = 1.0 if name in ("width", "depth", "height", "waist") else 0.5

    def corner(value: torch.Tensor) -> torch.Tensor:
        one = build_vertebra("T8", numbers={name: value}, dtype=torch.float64)
        return one.points["superior_left"].sum() + (one.outer * one.outer).sum() * 1e-3

    value = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(corner(value), value)
    step = 1e-5
    with torch.no_grad():
        difference = (corner(value + step) - corner(value - step)) / (2 * step)
    assert abs(float(gradient)) > 1e-4
    assert float(gradient) == pytest.approx(float(difference), rel=1e-5)


def test_asymmetry_and_fractures_are_differentiable_too() -> None:
    waves = torch.full((8,), 0.2, dtype=torch.float64, requires_grad=True)
    loss = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    shape = VertebraShape(fracture_grade=2, fracture_type="crush", fracture_loss=0.3)
    one = build_vertebra("T8", shape, {"asymmetry": waves, "fracture_loss": loss}, torch.float64)
    by_waves, by_loss = torch.autograd.grad((one.outer**2).sum(), (waves, loss))
    assert bool((by_waves != 0).all())
    assert float(by_loss) != 0


def test_placing_scales_and_moves_everything_together() -> None:
    pose = average_pose(1.1)
    one = model("T4")
    meshes, points = one.placed(pose)
    assert [(m.name, m.material, m.inside) for m in meshes] == [
        ("T4", "cortex", "soft"),
        ("T4/marrow", "marrow", "cortex"),
    ]
    index = LEVELS.index("T4")
    expected = one.points["spinous_tip"] * 1.1 @ pose.rotation[index].T + pose.centre[index]
    torch.testing.assert_close(points["spinous_tip"], expected)
    assert volume(meshes[0].vertices, meshes[0].faces) == pytest.approx(
        1.1**3 * volume(one.outer, one.faces), rel=1e-5
    )


@pytest.mark.parametrize("level", ["T13", "S2", "t1"])
def test_an_unknown_level_is_named(level: str) -> None:
    with pytest.raises(AasceError, match=f"no vertebra is called '{level}'"):
        build_vertebra(level)


def test_an_unknown_number_is_answered_with_the_nearest() -> None:
    with pytest.raises(AasceError, match="did you mean 'width'"):
        build_vertebra("T1", numbers={"widht": torch.tensor(1.0)})


@pytest.mark.parametrize("level", [level for level in LEVELS if level[0] == "T"])
def test_ribs_find_their_facets(level: str) -> None:
    points = build_vertebra(level).points
    for side, sign in (("right", 1), ("left", -1)):
        head, tubercle = points[f"{side}_costal"], points[f"{side}_costotransverse"]
        assert sign * float(head[0]) > 5
        assert float(tubercle[1]) < float(head[1]) - 5
