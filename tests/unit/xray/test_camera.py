"""Where points fall, worked out by hand, and rays that pass through them."""

from __future__ import annotations

import pytest
import torch

from aasce.types import AasceError
from aasce.xray.camera import ConeBeam, SlotScanner, rotation_matrix

BOX = (-100.0, 100.0, 0.0, 400.0)  # 200 x 400 mm on 101 x 201 px: pitch 400 / 201 mm
CAMERAS = [ConeBeam((201, 101), BOX), SlotScanner((201, 101), BOX)]
PITCH = 400 / 201


def points(*rows: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("camera", CAMERAS)
def test_middle_of_the_box_falls_on_the_middle_of_the_film(camera: ConeBeam | SlotScanner) -> None:
    assert camera.project(points((0, 0, 200)))[0].tolist() == [50.0, 100.0]


def test_box_is_covered_and_the_pitch_grows_with_the_magnification() -> None:
    camera = ConeBeam((201, 101), BOX, distance=1800.0, gap=200.0)
    assert camera.body_pitch == PITCH
    assert camera.pitch == pytest.approx(PITCH * 1800 / 1600)
    wide = ConeBeam((100, 100), BOX)
    assert wide.body_pitch == 4.0


def test_ap_shows_the_patients_right_on_the_left_and_pa_on_the_right() -> None:
    right, up = points((60, 0, 200)), points((0, 0, 300))
    for view, side in (("AP", -1), ("PA", 1)):
        camera = ConeBeam((201, 101), BOX, view=view)  # type: ignore[arg-type]
        assert float(camera.project(right)[0, 0]) == pytest.approx(50 + side * 60 / PITCH)
        assert float(camera.project(up)[0, 1]) == pytest.approx(100 - 100 / PITCH)


def test_cone_enlarges_what_is_nearer_to_the_source() -> None:
    # AP, focus 1600 mm before the body's plane: a point 100 mm forward lies 1500 mm from it.
    camera = ConeBeam((201, 101), BOX, distance=1800.0, gap=200.0)
    x, y = camera.project(points((-30, 100, 230)))[0].tolist()
    assert x == pytest.approx(50 + 30 * 1600 / 1500 / PITCH)
    assert y == pytest.approx(100 - 30 * 1600 / 1500 / PITCH)


def test_slot_scanner_enlarges_across_but_not_along() -> None:
    # PA, source 987 mm behind: a point 50 mm forward lies 1037 mm from it.
    camera = SlotScanner((201, 101), BOX, view="PA")
    x, y = camera.project(points((30, 50, 230)))[0].tolist()
    assert x == pytest.approx(50 + 30 * 987 / 1037 / PITCH)
    assert y == pytest.approx(100 - 30 / PITCH)


def test_pose_turns_about_the_middle_and_moves() -> None:
    # Yaw of 90 degrees carries the patient's right to his front, the shift then 10 mm to his right and 20 up.
    camera = ConeBeam((201, 101), BOX, rotation=(0, 0, 90), shift=(10, 0, 20))
    assert camera.place(points((40, 0, 250)))[0].tolist() == pytest.approx([-10, -70, 1680 - 40])


def test_rotation_directions() -> None:
    head = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    pitch, roll = (
        rotation_matrix(torch.tensor(angle, dtype=torch.float64)) @ head for angle in ((90, 0, 0), (0, 90, 0))
    )
    assert pitch.tolist() == pytest.approx([0, -1, 0])
    assert roll.tolist() == pytest.approx([1, 0, 0])
    some = rotation_matrix(torch.tensor([10.0, 20.0, 30.0], dtype=torch.float64))
    assert float(torch.linalg.det(some)) == pytest.approx(1.0)


@pytest.mark.parametrize("view", ["AP", "PA"])
@pytest.mark.parametrize("kind", [ConeBeam, SlotScanner])
def test_points_on_a_pixels_ray_fall_on_that_pixel(kind: type[ConeBeam], view: str) -> None:
    camera = kind((21, 11), BOX, view=view, rotation=(4.0, -3.0, 7.0), shift=(5.0, -8.0, 3.0))  # type: ignore[arg-type]
    origin, direction = camera.rays()
    assert torch.allclose(direction.norm(dim=-1), torch.ones(21, 11, dtype=torch.float64))
    pixels = camera.project(origin + 900.0 * direction)
    rows, columns = torch.meshgrid(torch.arange(21.0), torch.arange(11.0), indexing="ij")
    assert torch.allclose(pixels, torch.stack([columns, rows], -1).double(), atol=1e-9)
    end = camera.place(origin + camera.ray_length()[..., None] * direction)
    assert torch.allclose(end[..., 2], torch.full((21, 11), camera.distance, dtype=torch.float64))


def test_batch_of_poses_equals_one_by_one() -> None:
    turns = torch.tensor([[1.0, 2.0, 3.0], [-4.0, 5.0, -6.0]], dtype=torch.float64)
    shifts = torch.tensor([[1.0, 0.0, 2.0], [0.0, 3.0, 1.0]], dtype=torch.float64)
    some = points((10, 20, 30), (-40, 50, 160), (7, -8, 390))
    both = ConeBeam((201, 101), BOX, rotation=turns, shift=shifts).project(some)
    for index in range(2):
        one = ConeBeam((201, 101), BOX, rotation=turns[index], shift=shifts[index])
        assert torch.equal(both[index], one.project(some))


@pytest.mark.parametrize("camera", CAMERAS)
def test_gradient_of_the_projection_towards_the_pose(camera: ConeBeam | SlotScanner) -> None:
    some = points((10, 20, 130), (-40, 50, 260))

    def pixels(turn: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        return type(camera)((201, 101), BOX, rotation=turn, shift=shift).project(some)

    pose = [
        torch.tensor(row, dtype=torch.float64, requires_grad=True)
        for row in ([3.0, -2.0, 5.0], [1.0, 2.0, 3.0])
    ]
    assert torch.autograd.gradcheck(pixels, pose)


def test_moved_camera_keeps_its_pose() -> None:
    camera = ConeBeam((201, 101), BOX, rotation=(1.0, 2.0, 3.0)).to("cpu", torch.float32)
    origin, _ = camera.rays()
    assert origin.dtype == torch.float32
    assert torch.as_tensor(camera.rotation).tolist() == [1.0, 2.0, 3.0]


def test_source_inside_the_body_is_told() -> None:
    camera = ConeBeam((201, 101), BOX)
    with pytest.raises(AasceError, match="source is inside the body") as error:
        camera.project(points((0, 0, 200), (0, 1700, 200)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"view": "lateral"}, "neither 'AP' nor 'PA'"),
        ({"box": (100.0, -100.0, 0.0, 400.0)}, "x_min, x_max"),
        ({"gap": 2000.0}, "gap"),
    ],
)
def test_impossible_geometry_is_told_in_one_line(change: dict[str, object], words: str) -> None:
    with pytest.raises(AasceError, match=words):
        ConeBeam(**({"size": (201, 101), "box": BOX} | change))  # type: ignore[arg-type]
